"""The JSON Schema of configuration files, for editors: completion and checks while typing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from segcore.config.components import COMPONENT_LISTS, Entry
from segcore.config.include import BASE_KEY
from segcore.config.schema import Config
from segcore.errors import PluginBrokenError

__all__ = ["ListedCatalogue", "config_json_schema"]

log = logging.getLogger(__name__)


class ListedCatalogue(Protocol):
    """What is needed of the catalogue: registries that can be gone through."""

    @property
    def models(self) -> Iterable[Entry]: ...
    @property
    def transforms(self) -> Iterable[Entry]: ...
    @property
    def losses(self) -> Iterable[Entry]: ...
    @property
    def metrics(self) -> Iterable[Entry]: ...
    @property
    def observers(self) -> Iterable[Entry]: ...


def config_json_schema(catalogue: ListedCatalogue) -> dict[str, Any]:
    """Give the schema (draft 2020-12) with the names and options of all components.

    Names are offered, not enforced, since a file may spell them in other ways or name a component
    of a plugin that is not installed. A component whose options cannot be imported is left out,
    with a warning in the log.
    """
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # a file need not name the model: the command line may
    schema.pop("required", None)
    paths = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    schema["properties"][BASE_KEY] = {"description": "Files that this one builds on", **paths}
    definitions = schema["$defs"]
    _add_models(definitions, _usable(catalogue.models))
    sections = {"train": "TrainConfig", "eval": "EvalConfig"}
    for (section, key), (registry, item_type) in COMPONENT_LISTS.items():
        name = f"{registry}.item"
        if name not in definitions:
            entries = _usable(getattr(catalogue, registry))
            definitions[name] = _item(definitions, registry, entries, item_type.__name__)
        holder = definitions[sections[section]]["properties"][key]
        holder["items"] = {"$ref": f"#/$defs/{name}"}
    return schema


def _usable(entries: Iterable[Entry]) -> list[Entry]:
    usable = []
    for entry in entries:
        try:
            entry.load_options()
        except PluginBrokenError as error:  # noqa: PERF203  one plugin must not cost the others
            log.warning("%s: left out of the schema: %s", entry.name, error)
        else:
            usable.append(entry)
    return usable


def _item(
    definitions: dict[str, Any], registry: str, entries: list[Entry], item_type: str
) -> dict[str, Any]:
    """Describe one item of a list of components, with the options that go with each name."""
    own = dict(definitions[item_type]["properties"])
    own["type"] = {**own["type"], **_offer(entries)}
    cases = []
    for entry in entries:
        home = f"{registry}.{entry.name}"
        options = _define_options(definitions, home, entry)
        # an option may bear the name of a key that every item has; the item's own meaning wins
        beside = {key: {"$ref": f"#/$defs/{home}/properties/{key}"} for key in options - set(own)}
        allowed = {"propertyNames": {"enum": sorted({*options, *own})}}
        cases.append(_case("type", entry, {"properties": beside, **allowed}))
    return {"type": "object", "properties": own, "required": ["type"], "allOf": cases}


def _add_models(definitions: dict[str, Any], models: list[Entry]) -> None:
    model = definitions["ModelConfig"]
    model.pop("required", None)
    model["properties"]["name"].update(_offer(models))
    model["allOf"] = []
    for entry in models:
        home = f"models.{entry.name}"
        _define_options(definitions, home, entry)
        then = {"properties": {"options": {"$ref": f"#/$defs/{home}"}}}
        model["allOf"].append(_case("name", entry, then))


def _offer(entries: Iterable[Entry]) -> dict[str, Any]:
    return {"anyOf": [{"enum": sorted(entry.name for entry in entries)}, {"type": "string"}]}


def _case(key: str, entry: Entry, then: dict[str, Any]) -> dict[str, Any]:
    """Give the rule that holds where `key` is the canonical name of `entry`."""
    return {"if": {"properties": {key: {"const": entry.name}}, "required": [key]}, "then": then}


def _define_options(definitions: dict[str, Any], home: str, entry: Entry) -> set[str]:
    """Put the schema of the options of `entry` under the name `home`; give their names."""
    model = entry.load_options()
    if model is None:
        definitions[home] = {"type": "object", "additionalProperties": False}
        return set()
    definitions[home] = model.model_json_schema(ref_template=f"#/$defs/{home}/$defs/{{model}}")
    return set(definitions[home].get("properties", {}))
