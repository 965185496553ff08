"""Build the network that a spec declares: validate its options, call the hook, check the answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from segcore.discovery.load import Plugin
from segcore.discovery.names import nearest, one_line
from segcore.errors import ConfigError, PluginBrokenError, SegcoreError

if TYPE_CHECKING:
    import paddle
    from pydantic import BaseModel

    from segcore.discovery.catalogue import Entry
    from segcore.specs import ModelSpec

__all__ = ["build_component", "build_network", "validate_options"]


def build_network(
    entry: Entry[ModelSpec], builtin: Plugin, num_classes: int, options: Mapping[str, Any]
) -> paddle.nn.Layer:
    """Build the network of `entry` with random weights; see `Catalogue.build_model`."""
    validated = validate_options(entry, options)
    for implementation in (entry.plugin.build_model, builtin.build_model):
        if implementation is None:
            continue
        network = _call(entry, implementation, num_classes, validated)
        if network is None:
            continue
        if not _is_layer(network):
            raise PluginBrokenError(
                f"{entry.plugin.found.label}: building {entry.name} gave a "
                f"{type(network).__name__}, not a paddle.nn.Layer; report it to its authors"
            )
        return network
    raise PluginBrokenError(f"{entry.plugin.found.label}: nothing builds the model {entry.name}")


def _is_layer(network: Any) -> bool:
    # whoever has made a layer has imported paddle, which is too heavy to be imported here
    paddle = sys.modules.get("paddle")
    return paddle is not None and isinstance(network, paddle.nn.Layer)


def build_component(
    entry: Entry[Any],
    options: Mapping[str, Any],
    shared: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Any:
    """Build a component from its target, its `options` and `facts` that every one of its kind gets.

    Options that are null take the value of that name from `shared`, where it has one. Where the
    target is its own option model, as of transforms, the validated options are the component.
    Raises ConfigError for options that it does not have, PluginBrokenError when its code cannot
    be imported.
    """
    model = entry.load_options()
    own = () if model is None else model.model_fields
    filled = {k: v for k, v in (shared or {}).items() if k in own and options.get(k) is None}
    validated = validate_options(entry, {**options, **filled})
    target = entry.load_target()
    if validated is not None and target is model:
        return validated
    return target(**({} if validated is None else dict(validated)), **facts)


def validate_options(entry: Entry[Any], options: Mapping[str, Any]) -> BaseModel | None:
    """Check `options` against the component's option model.

    Raises ConfigError that lists every problem with the option, its value and the nearest name.
    """
    model = entry.load_options()
    what = f"{entry.spec.kind} {entry.name}"
    if model is None:
        if options:
            raise ConfigError(f"{what} takes no options, but got {', '.join(map(repr, options))}")
        return None
    # pydantic was imported with the option model, so this costs nothing more
    from pydantic import ValidationError

    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        problems = [_problem(dict(fault), model) for fault in error.errors()]
        raise ConfigError(f"options of {what}: " + "; ".join(problems)) from error


def _problem(fault: dict[str, Any], model: type[BaseModel]) -> str:
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        guesses = nearest(key, model.model_fields, 1)
        hint = f"did you mean {guesses[0]!r}?" if guesses else ""
        return f"{key}: no such option; {hint or 'known: ' + ', '.join(model.model_fields)}"
    return f"{key}: {fault['msg']} (got {one_line(repr(fault['input']), 80)})"


def _call(
    entry: Entry[ModelSpec],
    implementation: Callable[..., Any],
    num_classes: int,
    options: BaseModel | None,
) -> Any:
    arguments = {"spec": entry.spec, "num_classes": num_classes, "options": options}
    try:
        return implementation(**_accepted(implementation, arguments))
    except SegcoreError:
        raise
    except MemoryError:
        raise
    # the plugin boundary: constructors of networks are a stranger's code
    except Exception as error:
        raise PluginBrokenError(
            f"{entry.plugin.found.label}: building {entry.name} with num_classes={num_classes} "
            f"and {options!r} raised {type(error).__name__}: {one_line(error)}"
        ) from error


def _accepted(implementation: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Keep the arguments that the implementation declares; hooks may leave out what they ignore."""
    from segcore.discovery.load import arguments_of

    wanted = arguments_of(implementation)
    return {name: value for name, value in arguments.items() if name in wanted}
