"""Check the options of components (transforms, losses, ...) against what their specs declare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from segcore.config.load import KeyPath
from segcore.config.merge import Layers
from segcore.config.problem import OriginOf, Problem, explain, unknown_key
from segcore.config.schema import Component, LossTerm
from segcore.errors import AmbiguousNameError, UnknownNameError

__all__ = ["COMPONENT_LISTS", "Catalogue", "Registry", "component_problems"]


class Entry(Protocol):
    """What is needed of an entry of the catalogue."""

    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> Any: ...
    def load_options(self) -> type[BaseModel] | None: ...


class Registry(Protocol):
    """What is needed of a registry of the catalogue."""

    def find(self, name: str) -> Entry: ...
    def names(self) -> Sequence[str]: ...


class Catalogue(Protocol):
    """What is needed of `segcore.discovery.catalogue.Catalogue`."""

    @property
    def models(self) -> Registry: ...
    @property
    def tasks(self) -> Registry: ...
    @property
    def transforms(self) -> Registry: ...
    @property
    def losses(self) -> Registry: ...
    @property
    def metrics(self) -> Registry: ...
    @property
    def observers(self) -> Registry: ...


# Where components stand, in which registry they are found, and what a list item is.
COMPONENT_LISTS: Mapping[tuple[str, str], tuple[str, type[Component]]] = {
    ("train", "transforms"): ("transforms", Component),
    ("train", "losses"): ("losses", LossTerm),
    ("train", "observers"): ("observers", Component),
    ("eval", "transforms"): ("transforms", Component),
    ("eval", "metrics"): ("metrics", Component),
}


def component_problems(layers: Layers, catalogue: Catalogue) -> Iterator[Problem]:
    """Give what is wrong with the names and options of components and of the model.

    Works on the merged data as it is, so that it finds problems beside those of the schema. Lists
    that nobody changed are those of the schema and need no check, which keeps the start quick.
    """
    yield from _model_problems(layers, catalogue)
    for path, (registry_name, item_type) in COMPONENT_LISTS.items():
        section = layers.data.get(path[0])
        items = section.get(path[1]) if isinstance(section, Mapping) else None
        if not isinstance(items, list) or layers.is_default(path):
            continue
        registry: Registry = getattr(catalogue, registry_name)
        for index, item in enumerate(items):
            if isinstance(item, Mapping) and isinstance(item.get("type"), str):
                own = list(item_type.model_fields)
                yield from _item_problems(registry, (*path, index), item, own, layers.origin)


def _model_problems(layers: Layers, catalogue: Catalogue) -> Iterator[Problem]:
    model = layers.data.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
        return
    path = ("model", "name")
    try:
        entry = catalogue.models.find(model["name"])
    except (UnknownNameError, AmbiguousNameError) as error:
        yield Problem(path, str(error), layers.origin(path))
        return
    options = model.get("options", {})
    if isinstance(options, Mapping):
        yield from _option_problems(entry, ("model", "options"), options, (), layers.origin)


def _item_problems(
    registry: Registry,
    path: KeyPath,
    item: Mapping[Any, Any],
    own: Sequence[str],
    origin_of: OriginOf,
) -> Iterator[Problem]:
    try:
        entry = registry.find(item["type"])
    except (UnknownNameError, AmbiguousNameError) as error:
        yield Problem((*path, "type"), str(error), origin_of((*path, "type")))
        return
    options = {key: value for key, value in item.items() if key not in own}
    yield from _option_problems(entry, path, options, own, origin_of)


def _option_problems(
    entry: Entry,
    path: KeyPath,
    options: Mapping[Any, Any],
    own: Sequence[str],
    origin_of: OriginOf,
) -> Iterator[Problem]:
    """Check `options`, which stand at `path` beside the keys `own`."""
    model = entry.load_options()
    names = set() if model is None else set(_option_names(model))
    is_open = model is not None and model.model_config.get("extra") == "allow"
    infinite = {(*path, key) for key, value in options.items() if not _is_finite(value)}
    for key, value in options.items():
        at = (*path, key)
        if not is_open and key not in names:
            # asked here and not left to the model: pydantic drops unknown keys unless told not to
            hint = f"{entry.name} takes no options" if not names else None
            yield unknown_key(at, sorted({*names, *own}), origin_of(at), hint)
        elif at in infinite:
            yield Problem(at, "must be finite", origin_of(at), repr(value))
    if model is None:
        return
    known = {key: value for key, value in options.items() if is_open or key in names}
    try:
        model.model_validate(known)
    except ValidationError as error:
        found = explain(error, known, model, origin_of, path)
        yield from (problem for problem in found if problem.path not in infinite)


def _option_names(model: type[BaseModel]) -> Iterable[str]:
    for name, info in model.model_fields.items():
        yield name if info.alias is None else info.alias


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
