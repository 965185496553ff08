"""Lay the sources of a configuration over each other and remember where each value came from.

Defaults < recipe of the task < that of the model < YAML files (bases first) < `-o key=value` <
explicit flags. The sections of the schema and the options of the model are merged key by key; every
other value, lists included, is replaced as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from segcore.config.load import MAX_DEPTH, Document, KeyPath, parse_value
from segcore.config.schema import Config, Section
from segcore.errors import ConfigError

__all__ = ["DEFAULT", "Layers", "Origin", "dotted", "key_path", "plain"]

# Of such a pair a source that gives one means to replace the other.
_EITHER_OR = ((("train", "iters"), ("train", "epochs")),)


@dataclass(frozen=True)
class Origin:
    """Where a value was given: a file and line, an option, a flag, or nowhere."""

    kind: Literal["default", "recipe", "file", "option", "flag"]
    where: str = ""
    line: int | None = None

    def __str__(self) -> str:
        if self.kind == "default":
            return "default"
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"recipe {place}" if self.kind == "recipe" else place


DEFAULT = Origin("default")


def dotted(path: Iterable[str | int]) -> str:
    """Write a path of keys as users type it."""
    return ".".join(map(str, path))


class Layers:
    """The values merged so far, as plain data, and the origin of each."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = _default_data()
        # With the number of the layer: what an outer value replaced says nothing any more.
        self._origins: dict[KeyPath, tuple[int, Origin]] = {}
        self._layer = 0

    def origin(self, path: Sequence[str | int]) -> Origin:
        """Give where the value at `path` came from."""
        outer = (tuple(path[:length]) for length in range(1, len(path) + 1))
        found = [self._origins[prefix] for prefix in outer if prefix in self._origins]
        # the newest layer; of one layer the innermost, which max() would not prefer
        return max(reversed(found), key=lambda item: item[0], default=(0, DEFAULT))[1]

    def origins(self) -> dict[str, Origin]:
        """Give the origin of every value that was given, by dotted key.

        Of values inside a list or component, only those with an origin of their own.
        """
        given = {path: self.origin(path) for path in self._origins}
        return {
            dotted(path): origin
            for path, origin in given.items()
            if path[:-1] in _OPEN or origin.kind in ("option", "flag")
        }

    def is_default(self, path: KeyPath) -> bool:
        """Say whether nobody gave the value at `path`, nor anything in it."""
        return not any(given[: len(path)] == path for given in self._origins)

    def add_document(self, document: Document, kind: Literal["recipe", "file"]) -> None:
        """Lay what a recipe or a file says over the rest."""

        def origin(path: KeyPath) -> Origin:
            return Origin(kind, document.source, document.lines.get(path))

        self._add({path: (value, origin(path)) for path, value in _leaves(document.data)})
        for path in document.lines:
            if path and path not in _OPEN:
                self._origins[path] = (self._layer, origin(path))

    def add_options(self, overrides: Sequence[str]) -> None:
        """Lay `dotted.key=value` options over the rest; values are YAML, never evaluated.

        Raises ConfigError for an option without key or `=`, and for a value that is no YAML.
        """
        given: dict[KeyPath, tuple[Any, Origin]] = {}
        for text in overrides:
            key, equals, value = text.partition("=")
            parts = [part.strip() for part in key.split(".")]
            if not equals or not all(parts) or len(parts) > MAX_DEPTH:
                raise ConfigError(
                    f"-o {text}: must be dotted.key=value, such as -o train.batch_size=8"
                )
            origin = Origin("option", f"-o {text}")
            for path, leaf in _leaves(parse_value(value, str(origin)), key_path(parts)):
                given[path] = (leaf, origin)
        self._add(given)

    def add_flags(self, flags: Mapping[str, Any]) -> None:
        """Lay the values of explicit flags, by dotted key, over the rest; None is not given."""
        given: dict[KeyPath, tuple[Any, Origin]] = {}
        for key, value in flags.items():
            if value is not None:
                for path, leaf in _leaves(value, key_path(key.split("."))):
                    given[path] = (leaf, Origin("flag", f"command line ({key})"))
        self._add(given)

    def _add(self, given: dict[KeyPath, tuple[Any, Origin]]) -> None:
        """Lay the values of one source over the rest."""
        self._layer += 1
        for pair in _EITHER_OR:
            for this, rival in (pair, pair[::-1]):
                is_given = given.get(this, (None,))[0] is not None
                if is_given and rival not in given and self._value(rival) is not None:
                    given = {**given, rival: (None, given[this][1])}
        for path, (value, origin) in given.items():
            self._set(path, plain(value), origin)
            self._origins[path] = (self._layer, origin)

    def _value(self, path: KeyPath) -> Any:
        value: Any = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _set(self, path: KeyPath, value: Any, origin: Origin) -> None:
        container: Any = self.data
        for depth, key in enumerate(path[:-1], start=1):
            self._check_place(container, path[:depth], origin)
            inner = container.get(key) if isinstance(container, dict) else container[key]
            if not isinstance(inner, (dict, list)):
                # nothing, or a scalar: a wrong level is reported when the whole is checked
                inner = container[key] = {}
            container = inner
        self._check_place(container, path, origin)
        container[path[-1]] = value

    @staticmethod
    def _check_place(container: Any, path: KeyPath, origin: Origin) -> None:
        key = path[-1]
        if isinstance(container, list) and not (isinstance(key, int) and key < len(container)):
            counted = f"0 to {len(container) - 1}" if container else "none, the list is empty"
            raise ConfigError(
                f"{origin}: {dotted(path[:-1])} is a list, and {key!r} is no position in it; "
                f"positions: {counted}"
            )


def _open_paths(section: type[BaseModel], path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    for name, info in section.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from _open_paths(info.annotation, (*path, name))


# What is merged key by key.
_OPEN = frozenset([*_open_paths(Config), ("model", "options")])


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Take `value` apart as far as it is merged key by key."""
    if path in _OPEN and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def key_path(parts: Sequence[str]) -> KeyPath:
    """Give the path of a dotted key that is split at its dots."""
    # whole numbers are positions in lists, and label values in data.label_map
    return tuple(int(part) if re.fullmatch(r"[0-9]{1,9}", part) else part for part in parts)


def plain(value: Any) -> Any:
    """Copy `value` as the types that YAML has; tuples become lists, and paths text."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _default_data() -> dict[str, Any]:
    """Give the schema's defaults; the model has none."""
    data: dict[str, Any] = {}
    for name, info in Config.model_fields.items():
        if not info.is_required():
            value = info.get_default(call_default_factory=True)
            data[name] = plain(value.model_dump() if isinstance(value, Section) else value)
    return data
