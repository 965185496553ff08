"""From a model's name, a file, options and flags to the one effective configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segcore.config.components import Catalogue, Entry, component_problems
from segcore.config.include import BASE_KEY, read_with_bases
from segcore.config.load import Document, parse_document
from segcore.config.merge import Layers, Origin, key_path, plain
from segcore.config.problem import Problem, explain, raise_problems
from segcore.config.schema import SCHEMA_VERSION, Config, DataConfig
from segcore.errors import (
    AmbiguousNameError,
    ConfigError,
    PluginBrokenError,
    UnknownNameError,
)

__all__ = [
    "ResolvedConfig",
    "find_problems",
    "merge_sources",
    "override_config",
    "resolve_config",
    "resolve_data",
]

_MODEL_MISSING = "is required; name a model, as `segcore models` lists it"


@dataclass(frozen=True)
class ResolvedConfig:
    """A valid configuration, and where its values come from."""

    config: Config
    layers: Layers

    @property
    def origins(self) -> dict[str, Origin]:
        """The origin of every value that is no default, by dotted key."""
        return self.layers.origins()

    def origin(self, key: str) -> Origin:
        """Give where the value of the dotted `key` came from."""
        return self.layers.origin(key_path(key.split(".")))


def resolve_config(
    model: str | None,
    file: Path | None,
    overrides: Sequence[str],
    flags: Mapping[str, Any],
    catalogue: Catalogue,
) -> ResolvedConfig:
    """Merge all sources of a configuration and check the whole.

    `model` names the network and wins over what the file says; `overrides` are
    `dotted.key=value` texts; `flags` are values by dotted key, None where one was not given.
    Raises ConfigError that lists every problem, UnknownNameError for `model`, PluginMissingError
    and PluginBrokenError where a component is known but its plugin cannot be used.
    """
    layers = merge_sources(model, file, overrides, flags, catalogue)
    config, problems = find_problems(layers, catalogue)
    raise_problems(problems)
    assert config is not None  # noqa: S101  no problems, so it was validated
    return ResolvedConfig(config, layers)


def override_config(
    config: Config,
    overrides: Sequence[str] | Mapping[str, Any],
    catalogue: Catalogue,
    *,
    followed: Sequence[str],
    by: str,
) -> Config:
    """Lay `dotted.key=value` texts, or values by dotted key, over a configuration.

    `followed` are the keys that `by` looks at, sections included. Raises ConfigError for others,
    which would be ignored, and for values that are wrong.
    """
    if not isinstance(overrides, Sequence | Mapping):
        raise ConfigError(
            f"settings={overrides!r}: give a mapping of values by dotted key, or a list of texts "
            "such as 'predict.batch_size=4'"
        )
    if not overrides:
        return config
    if isinstance(overrides, str):
        overrides = [overrides]
    layers = Layers()
    layers.add_flags(config.model_dump())
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={json.dumps(plain(value))}" for key, value in overrides.items()]
    layers.add_options(overrides)
    changed, problems = find_problems(layers, catalogue)
    problems = [problem for problem in problems if problem.origin.kind == "option"]
    seen = {problem.key for problem in problems}
    for key, origin in layers.origins().items():
        if origin.kind == "option" and key not in seen and not _is_below(key, followed):
            message = f"means nothing to {by}, which follows {', '.join(followed)}"
            problems.append(Problem(key_path(key.split(".")), message, origin))
    raise_problems(problems)
    assert changed is not None  # noqa: S101  no problems, so it was validated
    return changed


def _is_below(key: str, followed: Sequence[str]) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in followed)


def resolve_data(file: Path | None, overrides: Sequence[str], catalogue: Catalogue) -> DataConfig:
    """Merge the section `data` alone, for what reads datasets without a model.

    `file` may be the configuration of a training, also of a model that is not installed. Raises
    ConfigError that lists every problem.
    """
    layers = merge_sources(None, file, overrides, {}, catalogue)
    _, problems = find_problems(layers, catalogue, needs_model=False)
    raise_problems([problem for problem in problems if problem.path[:1] != ("model",)])
    return DataConfig.model_validate(layers.data.get("data", {}))


def merge_sources(
    model: str | None,
    file: Path | None,
    overrides: Sequence[str],
    flags: Mapping[str, Any],
    catalogue: Catalogue,
) -> Layers:
    """Lay all sources over the defaults, unchecked but for the versions of files."""
    documents = [] if file is None else read_with_bases(file)
    for document in documents:
        _check_version(document)
    flags = dict(flags)
    if model is not None:
        flags["model.name"] = model
    layers = _layers((), documents, overrides, flags)
    # The recipe lies below the file that may name its model, so the name is looked up first.
    entry = _find_model(layers, model, catalogue)
    if entry is None:
        return layers
    if model is not None and "/" not in model:
        flags["model.name"] = entry.name  # the canonical spelling; a qualified name stays
    recipes = [_read_recipe(e) for e in (_find_task(entry, catalogue), entry) if e.spec.recipe]
    return _layers(recipes, documents, overrides, flags)


def find_problems(
    layers: Layers, catalogue: Catalogue, *, needs_model: bool = True
) -> tuple[Config | None, list[Problem]]:
    """Check merged values against the schema, and components against their own options.

    Gives the configuration, None where the schema refuses it, and every problem. A missing name
    of the model is none unless `needs_model`: the command line may yet give it.
    """
    config = None
    problems: list[Problem] = []
    try:
        config = Config.model_validate(layers.data)
    except ValidationError as error:
        problems = [_said_better(p) for p in explain(error, layers.data, Config, layers.origin)]
    if not needs_model:
        problems = [problem for problem in problems if problem.message != _MODEL_MISSING]
    seen = {problem.path for problem in problems}
    problems += [p for p in component_problems(layers, catalogue) if p.path not in seen]
    if config is not None:
        problems += _contradictions(config, layers)
    return config, problems


def _said_better(problem: Problem) -> Problem:
    if problem.path in (("model",), ("model", "name")) and problem.message == "is required":
        return Problem(("model", "name"), _MODEL_MISSING)
    return problem


def _contradictions(config: Config, layers: Layers) -> list[Problem]:
    """Find values that are right alone, but not together."""
    data = config.data
    if data.num_classes is not None and data.ignore_index < data.num_classes:
        path = ("data", "ignore_index")
        message = (
            f"lies within the classes 0 to {data.num_classes - 1}, which would leave that class "
            "out silently; choose a value that no class has"
        )
        origin = layers.origin(path)
        return [Problem(path, message, origin, str(data.ignore_index))]
    return []


def _layers(
    recipes: Sequence[Document],
    documents: Sequence[Document],
    overrides: Sequence[str],
    flags: Mapping[str, Any],
) -> Layers:
    layers = Layers()
    for recipe in recipes:
        layers.add_document(recipe, "recipe")
    for document in documents:
        layers.add_document(document, "file")
    layers.add_options(overrides)
    layers.add_flags(flags)
    return layers


def _find_model(layers: Layers, model: str | None, catalogue: Catalogue) -> Entry | None:
    """Find the model that `layers` name; None where they name none, or an unknown one in a file."""
    section = layers.data.get("model")
    name = section.get("name") if isinstance(section, Mapping) else None
    if not isinstance(name, str):
        return None
    try:
        return catalogue.models.find(name)
    except (UnknownNameError, AmbiguousNameError):
        if model is not None:
            raise
        return None  # reported with the other problems, with its place in the file


def _find_task(model: Entry, catalogue: Catalogue) -> Entry:
    """Find the task of `model`. Raises PluginBrokenError where nothing declares it."""
    try:
        return catalogue.tasks.find(model.spec.task)
    except UnknownNameError as error:
        raise PluginBrokenError(
            f"model {model.name!r}: {error}; install the plugin of its task, or report it to the "
            "authors of the model's"
        ) from error


def _check_version(document: Document) -> None:
    version = document.data.get("version", SCHEMA_VERSION)
    if version == SCHEMA_VERSION or not isinstance(version, int) or isinstance(version, bool):
        return  # a wrong type is one of the problems found later
    where = f"{document.source}:{document.lines[('version',)]}: version = {version}"
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"{where}: was written for a newer segcore, this one reads version {SCHEMA_VERSION}; "
            "run: pip install --upgrade segcore"
        )
    raise ConfigError(
        f"{where}: no segcore wrote that version; to migrate, print the current form with "
        f"`segcore config show MODEL`, move your values there and set version: {SCHEMA_VERSION}"
    )


def _read_recipe(entry: Entry) -> Document:
    """Read the recipe inside the plugin's package. Raises PluginBrokenError."""
    recipe: str = entry.spec.recipe
    package, _, path = recipe.partition(":")
    try:
        text = files(package).joinpath(path).read_text("utf-8")
        document = parse_document(text, recipe)
    except (ImportError, OSError, UnicodeDecodeError, ConfigError) as error:
        raise PluginBrokenError(
            f"{entry.spec.kind} {entry.name!r}: its recipe {recipe!r} cannot be read: {error}; "
            "reinstall the plugin, or report it to its authors"
        ) from error
    if BASE_KEY in document.data:
        raise PluginBrokenError(
            f"{entry.spec.kind} {entry.name!r}: its recipe {recipe!r} uses {BASE_KEY}, which only "
            "files can; report it to the authors of the plugin"
        )
    return document
