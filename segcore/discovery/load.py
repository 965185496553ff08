"""Import plugins one by one, verify them, and keep what goes wrong with one to that one.

A plugin that exits, raises, or answers nonsense is left out as a whole and costs one line. What
cannot be contained inside the process: `os._exit` and an endless loop at import. `segcore plugins
check` runs a plugin in a child process with a time limit and does contain those; `--no-plugin`
switches such a plugin off.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import islice
from typing import Any, Literal

import pluggy

from segcore import hookspecs, specs
from segcore.discovery.find import FoundPlugin, incompatibility
from segcore.discovery.names import name_key, nearest, one_line

__all__ = [
    "DECLARING_HOOKS",
    "MAX_SPECS",
    "Plugin",
    "Status",
    "arguments_of",
    "disable",
    "load_plugin",
]

Status = Literal["ok", "disabled", "incompatible", "broken"]

MAX_SPECS = 10_000

DECLARING_HOOKS: Mapping[str, type[specs.Spec]] = {
    "segcore_models": specs.ModelSpec,
    "segcore_backbones": specs.BackboneSpec,
    "segcore_losses": specs.LossSpec,
    "segcore_metrics": specs.MetricSpec,
    "segcore_transforms": specs.TransformSpec,
    "segcore_tasks": specs.TaskSpec,
    "segcore_dataset_formats": specs.DatasetFormatSpec,
    "segcore_exporters": specs.ExporterSpec,
    "segcore_devices": specs.DeviceSpec,
    "segcore_runtimes": specs.RuntimeSpec,
    "segcore_observers": specs.ObserverSpec,
    "segcore_commands": specs.CommandSpec,
}


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin as the catalogue knows it, usable or not.

    `reason` says why one that is not "ok" was left out, and what to do. `import_s` is the time of
    its import in seconds, `output` what it printed meanwhile. `build_model` is its implementation
    of the hook of that name.
    """

    found: FoundPlugin
    status: Status
    reason: str | None = None
    import_s: float | None = None
    output: str = ""
    hooks: tuple[str, ...] = ()
    specs: tuple[specs.Spec, ...] = ()
    build_model: Callable[..., Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the entry point."""
        return self.found.name

    @property
    def distribution(self) -> str:
        """Name of the distribution that brought it."""
        return self.found.distribution

    @property
    def version(self) -> str:
        """Version of the distribution."""
        return self.found.version

    def problem(self) -> str | None:
        """Say in one line what is wrong and what to do; None for one that works or is off."""
        if self.status in ("ok", "disabled"):
            return None
        return f"{self.found.label} is left out: {self.reason}"


class _Fault(Exception):  # noqa: N818  never leaves this module
    """What is wrong with a plugin."""


def disable(found: FoundPlugin) -> Plugin:
    """Give the record of a plugin that the user switched off."""
    return Plugin(
        found=found, status="disabled", reason="switched off by --no-plugin or the environment"
    )


def load_plugin(found: FoundPlugin, core_version: str) -> Plugin:
    """Import and verify a plugin; whatever it does, a record of it comes back.

    Raises KeyboardInterrupt and nothing else.
    """
    if found.problem is not None:
        return Plugin(found=found, status="broken", reason=one_line(found.problem))
    unfit = incompatibility(found, core_version)
    if unfit is not None:
        return Plugin(found=found, status="incompatible", reason=one_line(unfit))
    plugin = Plugin(found=found, status="ok")
    printed = io.StringIO()
    began = time.perf_counter()
    try:
        # stdout belongs to the command that runs; `--json` must stay JSON
        with contextlib.redirect_stdout(printed):
            implementation = _import(found)
            plugin = replace(plugin, import_s=time.perf_counter() - began)
            functions = _verified_hooks(implementation)
            plugin = replace(
                plugin,
                hooks=tuple(sorted(functions)),
                specs=_collect(functions),
                build_model=functions.get("segcore_build_model"),
            )
    except KeyboardInterrupt:
        hint = f"while {found.label} was loading; --no-plugin {found.name} leaves it out"
        raise KeyboardInterrupt(hint) from None
    except _Fault as fault:
        plugin = replace(plugin, status="broken", reason=one_line(fault))
    # an object with hostile properties gets this far: the plugin boundary
    except BaseException as error:  # noqa: BLE001
        plugin = replace(plugin, status="broken", reason=f"it raised {_describe(error)}")
    return replace(plugin, output=printed.getvalue()[:10_000])


def _import(found: FoundPlugin) -> Any:
    module, _, path = found.value.partition(":")
    try:
        implementation: Any = import_module(module)
        for attribute in path.split(".") if path else ():
            implementation = getattr(implementation, attribute)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or "?"
        if module == missing or module.startswith(f"{missing}."):
            raise _Fault(
                f"its module {missing!r} is not there; run: "
                f"pip install --force-reinstall {found.distribution}"
            ) from error
        raise _Fault(
            f"it needs the module {missing!r}, which is not installed; {_way_out(found)}"
        ) from error
    # the plugin boundary: a stranger's module may raise anything, and sys.exit() is an exception
    except BaseException as error:
        raise _Fault(f"importing it raised {_describe(error)}; {_way_out(found)}") from error
    return implementation


def _describe(error: BaseException) -> str:
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


def _way_out(found: FoundPlugin) -> str:
    return (
        f"run: pip install --upgrade {found.distribution}, "
        f"or switch it off: --no-plugin {found.name}"
    )


def _verified_hooks(implementation: object) -> dict[str, Callable[..., Any]]:
    """Give the plugin's implementations by hook. Raises _Fault where one fits no hook."""
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
        raise _Fault("; ".join(faults) + "; report it to its authors")
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


def _collect(functions: Mapping[str, Callable[..., Any]]) -> tuple[specs.Spec, ...]:
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
            raise _Fault(f"{hook} returned {type(answer).__name__} instead of {expected}")
        declared = list(islice(answer, limit + 1))
    except (KeyboardInterrupt, _Fault):
        raise
    # the plugin boundary again: hooks are a stranger's code
    except BaseException as error:
        if isinstance(error, TypeError) and "not iterable" in str(error):
            raise _Fault(
                f"{hook} returned {type(answer).__name__} instead of {expected}"
            ) from error
        raise _Fault(f"{hook} raised {_describe(error)}") from error
    if len(declared) > limit:
        raise _Fault(f"{hook} declares more than {MAX_SPECS} components; that cannot be meant")
    _check_items(hook, declared, kind)
    return declared


def _check_items(hook: str, declared: list[Any], kind: type[specs.Spec]) -> None:
    owners: dict[str, str] = {}
    for spec in declared:
        if not isinstance(spec, kind):
            raise _Fault(
                f"{hook} returned a {type(spec).__name__} among its items instead of "
                f"{kind.__name__} only"
            )
        _check_fields(hook, spec)
        for key in dict.fromkeys(map(name_key, (spec.name, *spec.aliases))):
            if key in owners:
                raise _Fault(
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
    "published": (Mapping,),
}
_ITEMS: Mapping[str, type] = {"aliases": str, "tags": str, "weights": specs.WeightsSpec}


def _check_fields(hook: str, spec: specs.Spec) -> None:
    for name, value in vars(spec).items():
        right = isinstance(value, _FIELDS.get(name, (object,)))
        if name in _ITEMS:
            right = isinstance(value, tuple) and all(isinstance(v, _ITEMS[name]) for v in value)
        if not right:
            raise _Fault(f"{hook}: {name} of {spec.name!r} is {one_line(repr(value), 80)}")
