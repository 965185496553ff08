"""Verify what a plugin implements against the hooks, and collect what it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import pluggy

from segcore import hookspecs, specs
from segcore.discovery.names import name_key, nearest, one_line

__all__ = [
    "DECLARING_HOOKS",
    "MAX_SPECS",
    "Fault",
    "arguments_of",
    "collect_specs",
    "describe",
    "verified_hooks",
]

MAX_SPECS = 10_000

DECLARING_HOOKS: Mapping[str, type[specs.Spec]] = {
    "segcore_models": specs.ModelSpec,
    "segcore_backbones": specs.BackboneSpec,
    "segcore_losses": specs.LossSpec,
    "segcore_metrics": specs.MetricSpec,
    "segcore_transforms": specs.TransformSpec,
    "segcore_tasks": specs.TaskSpec,
    "segcore_dataset_formats": specs.DatasetFormatSpec,
    "segcore_converters": specs.ConverterSpec,
    "segcore_exporters": specs.ExporterSpec,
    "segcore_devices": specs.DeviceSpec,
    "segcore_runtimes": specs.RuntimeSpec,
    "segcore_observers": specs.ObserverSpec,
    "segcore_commands": specs.CommandSpec,
}


class Fault(Exception):  # noqa: N818  never leaves this package
    """What is wrong with a plugin, as its users read it."""


def describe(error: BaseException) -> str:
    """Say on one line what was raised, and where."""
    where = ""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    trace = error.__traceback__
    while trace is not None:
        where = f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
        trace = trace.tb_next
    try:
        message = one_line(error, 160)
    # str() of a stranger's exception is a stranger's code, too
    except Exception:  # noqa: BLE001
        message = "(no message)"
    return f"{type(error).__name__}: {message}{where}"


def verified_hooks(implementation: object) -> dict[str, Callable[..., Any]]:
    """Give the plugin's implementations by hook. Raises Fault where one fits no hook."""
    manager = pluggy.PluginManager("segcore")
    known = _hook_arguments()
    functions: dict[str, Callable[..., Any]] = {}
    faults: list[str] = []
    for attribute in dir(implementation):
        if attribute.startswith("__"):
            continue
        options = manager.parse_hookimpl_opts(implementation, attribute)
        if options is None:
            if attribute.startswith("segcore_") and attribute in known:
                faults.append(f"{attribute} lacks the decorator @segcore.plugin.hookimpl")
            continue
        hook = options.get("specname") or attribute
        function = getattr(implementation, attribute)
        fault = _fault_of_hook(hook, function, known)
        if fault is None and (options.get("wrapper") or options.get("hookwrapper")):
            fault = f"{hook} is a wrapper, which segcore does not call"
        if fault is not None and not (options.get("optionalhook") and hook not in known):
            faults.append(fault)
        functions[hook] = function
    if faults:
        raise Fault("; ".join(faults) + "; report it to its authors")
    return {hook: function for hook, function in functions.items() if hook in known}


def _fault_of_hook(
    hook: str, function: Callable[..., Any], known: Mapping[str, tuple[str, ...]]
) -> str | None:
    if hook not in known:
        guesses = nearest(hook, known, 1)
        hint = f", did you mean {guesses[0]!r}?" if guesses else ""
        return f"there is no hook {hook!r}{hint}"
    taken = arguments_of(function)
    surplus = [name for name in taken if name not in known[hook]]
    if surplus:
        offered = ", ".join(known[hook]) or "none"
        return f"{hook} takes {surplus[0]!r}, which the hook does not pass (it passes: {offered})"
    return None


def _hook_arguments() -> dict[str, tuple[str, ...]]:
    if not _HOOK_ARGUMENTS:
        for name, value in vars(hookspecs).items():
            if name.startswith("segcore_") and callable(value):
                _HOOK_ARGUMENTS[name] = arguments_of(value)
    return _HOOK_ARGUMENTS


_HOOK_ARGUMENTS: dict[str, tuple[str, ...]] = {}


def arguments_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments without a default; pluggy passes only those, by name."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        import inspect

        parameters = inspect.signature(function).parameters.values()
        return tuple(p.name for p in parameters if p.default is p.empty)
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    bound = 1 if hasattr(function, "__self__") else 0
    defaults = len(function.__defaults__ or ())
    return names[bound : len(names) - defaults]


def collect_specs(functions: Mapping[str, Callable[..., Any]]) -> tuple[specs.Spec, ...]:
    """Call the declaring hooks. Raises Fault where one fails or answers something else."""
    collected: list[specs.Spec] = []
    for hook, kind in DECLARING_HOOKS.items():
        if hook in functions:
            collected += _declared(hook, functions[hook], kind, MAX_SPECS - len(collected))
    return tuple(collected)


def _declared(
    hook: str, function: Callable[[], Any], kind: type[specs.Spec], limit: int
) -> list[specs.Spec]:
    expected = f"a list of {kind.__name__}"
    try:
        answer = function()
        if answer is None:
            return []
        if isinstance(answer, (str, bytes, Mapping, specs.Spec)):
            raise Fault(f"{hook} returned {type(answer).__name__} instead of {expected}")
        declared = list(islice(answer, limit + 1))
    except (KeyboardInterrupt, Fault):
        raise
    # the plugin boundary again: hooks are a stranger's code
    except BaseException as error:
        if isinstance(error, TypeError) and "not iterable" in str(error):
            raise Fault(f"{hook} returned {type(answer).__name__} instead of {expected}") from error
        raise Fault(f"{hook} raised {describe(error)}") from error
    if len(declared) > limit:
        raise Fault(f"{hook} declares more than {MAX_SPECS} components; that cannot be meant")
    _check_items(hook, declared, kind)
    return declared


def _check_items(hook: str, declared: list[Any], kind: type[specs.Spec]) -> None:
    owners: dict[str, str] = {}
    for spec in declared:
        if not isinstance(spec, kind):
            raise Fault(
                f"{hook} returned a {type(spec).__name__} among its items instead of "
                f"{kind.__name__} only"
            )
        _check_fields(hook, spec)
        for key in dict.fromkeys(map(name_key, (spec.name, *spec.aliases))):
            if key in owners:
                raise Fault(
                    f"{hook} declares the name {spec.name!r} twice (the other is {owners[key]!r})"
                )
            owners[key] = spec.name


_TEXT, _MAYBE_TEXT = (str,), (str, type(None))

# dataclasses check no types, and a wrong one would break every list that shows the component
_FIELDS: Mapping[str, tuple[type, ...]] = {
    "name": _TEXT,
    "target": _TEXT,
    "summary": _TEXT,
    "task": _TEXT,
    "recipe": _MAYBE_TEXT,
    "paper": _MAYBE_TEXT,
    "licence": _MAYBE_TEXT,
    "parameters": (int, type(None)),
    "reads": (bool,),
    "writes": (bool,),
    "published": (Mapping, specs.Published),
}
_ITEMS: Mapping[str, type] = {"aliases": str, "tags": str, "weights": specs.WeightsSpec}


def _check_fields(hook: str, spec: specs.Spec) -> None:
    for name, value in vars(spec).items():
        right = isinstance(value, _FIELDS.get(name, (object,)))
        if name in _ITEMS:
            right = isinstance(value, tuple) and all(isinstance(v, _ITEMS[name]) for v in value)
        if not right:
            raise Fault(f"{hook}: {name} of {spec.name!r} is {one_line(repr(value), 80)}")
