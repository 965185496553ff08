"""Read YAML: the one place that does. Nothing in a file can run code or exhaust the machine.

What comes back is plain data: mappings, lists and the scalars of YAML 1.2. Tags, merge keys and
duplicate keys are refused; size, depth and the growth by aliases are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from segcore.config.scalar import resolve_plain
from segcore.config.seal import is_sealed
from segcore.errors import ConfigError
from segcore.filesystem import NotRegularError, open_regular
from segcore.foreign import foreign_errors
from segcore.integer_key import is_integer_key

__all__ = [
    "Document",
    "KeyPath",
    "parse_document",
    "parse_value",
    "read_bytes",
    "read_document",
    "read_yaml",
]

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_ALIASES = 100
MAX_ALIASED_VALUES = 10_000

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the top to a value."""

# libyaml's parser gives the same events as the pure one, ten times as fast; only events are taken
# from either, so no constructor of PyYAML ever runs.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The stubs of PyYAML know neither the marks nor the tags of events.
_Event = Any
_TAG_PREFIX = "tag:yaml.org,2002:"
_SCALAR_TAGS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Document:
    """What a file says, and in which line it says it.

    `sealed` tells whether it is as the training wrote it, None where nothing says so.
    """

    source: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]
    sealed: bool | None = None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in the YAML file `path`. Raises ConfigError with the line."""
    return read_document(path).data


def read_document(path: Path, read: Callable[[Path], bytes] | None = None) -> Document:
    """Read the YAML file `path` with the line of every key. Raises ConfigError.

    `read` gives its content, where `read_bytes` is not to.
    """
    content = (read or read_bytes)(path)
    document = parse_document(_decode(content, str(path)), str(path))
    return replace(document, sealed=is_sealed(content))


def parse_document(text: str, source: str) -> Document:
    """Read a mapping from `text`; `source` names it in messages. Raises ConfigError."""
    reader = _Reader(text, source)
    data = reader.read()
    if data is None:
        raise ConfigError(f"{source}: is empty, where keys and their values belong (key: value)")
    if not isinstance(data, dict):
        raise ConfigError(
            f"{source}:1: must be a mapping of keys to values, but is {_kind(data)}; "
            "write key: value"
        )
    return Document(source, data, reader.lines)


def parse_value(text: str, source: str) -> Any:
    """Read one YAML value, such as that of an option; nothing is evaluated. Raises ConfigError."""
    return _Reader(text, source).read()


def read_bytes(path: Path) -> bytes:
    """Read a file of settings, which must be a regular one, and not too large to be one.

    Raises ConfigError.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except NotRegularError as error:
        raise ConfigError(f"{path}: is {error.strerror}; give a YAML file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES} bytes; no configuration needs that")
    return content


def _decode(content: bytes, source: str) -> str:
    if content.startswith(_UTF16_MARKS):
        raise ConfigError(f"{source}: is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{source}:{line}: byte 0x{content[error.start]:02x} is not UTF-8 text; "
            "save the file as UTF-8, if it is YAML at all"
        ) from error


class _Reader:
    """Turn the events of one YAML text into data, within the limits."""

    def __init__(self, text: str, source: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._source = source
        self._anchors: dict[str, Any] = {}
        self._unfinished: set[str] = set()
        self._aliases = 0
        self._aliased_values = 0

    def read(self) -> Any:
        """Give the value of the only document, None when there is none."""
        if len(self._text) > MAX_BYTES:
            raise ConfigError(f"{self._source}: is longer than {MAX_BYTES} characters")
        events = self._events()
        documents = 0
        value = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(event, "a second document starts here; keep one in a file")
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, events, (), 1)
        return value

    def _events(self) -> Iterator[_Event]:
        events = self._parse()
        while True:
            with foreign_errors(
                lambda reason: ConfigError(f"{self._source}: is not YAML: {reason}")
            ):
                event = next(events, None)
            if event is None:
                return
            yield event

    def _refusal(self, reason: str) -> ConfigError:
        return ConfigError(f"{self._source}: is not YAML: {reason}")

    def _parse(self) -> Iterator[_Event]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            raise ConfigError(_explain(error, self._text, self._source)) from error
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self._source}: is not YAML text: {reason}") from error
        except UnicodeEncodeError as error:
            # half a surrogate pair: what Python makes of arguments that are not UTF-8
            raise ConfigError(f"{self._source}: is not Unicode text; use UTF-8") from error

    def _value(self, event: _Event, events: Iterator[_Event], path: KeyPath, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._error(event, f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self.lines.setdefault(path, event.start_mark.line + 1)
        if event.anchor is not None:
            self._unfinished.add(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self._scalar(event)
        else:
            kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
            if event.tag not in (None, "!", _TAG_PREFIX + kind):
                raise self._refused_tag(event)
            read = self._mapping if kind == "map" else self._sequence
            value = read(events, path, depth)
        if event.anchor is not None:
            self._unfinished.discard(event.anchor)
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, events: Iterator[_Event], path: KeyPath, depth: int) -> dict[str | int, Any]:
        mapping: dict[str | int, Any] = {}
        written: dict[str, int] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key, line = self._key(event), event.start_mark.line + 1
            at = (*path, key)
            # as text, so that 255 and "255" count as one key, as they do in data.label_map
            if str(key) in written:
                raise self._error(
                    event,
                    f"key {key!r} stands in line {written[str(key)]} already, and again in line "
                    f"{line}; keep one of them",
                )
            written[str(key)] = line
            self.lines[at] = line
            mapping[key] = self._value(next(events), events, at, depth + 1)
        return mapping

    def _sequence(self, events: Iterator[_Event], path: KeyPath, depth: int) -> list[Any]:
        values: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            values.append(self._value(event, events, (*path, len(values)), depth + 1))
        return values

    def _key(self, event: _Event) -> str | int:
        key = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None
        if key == "<<" and not event.style:
            raise self._error(event, "merge keys (<<) are no part of YAML 1.2; use _base_ instead")
        if isinstance(key, str) or is_integer_key(key):
            return key
        if type(key) is int:
            raise self._error(event, f"the number {event.value:.40} is too large for a key")
        shown = repr(event.value) if isinstance(event, yaml.ScalarEvent) else "a list or mapping"
        raise self._error(event, f"{shown} cannot be a key; keys are text or whole numbers")

    def _scalar(self, event: _Event) -> Any:
        # a scalar is plain unless it is quoted, a block, or tagged with "!"
        is_plain = not event.style and event.tag != "!"
        try:
            value = resolve_plain(event.value) if is_plain else event.value
        except ConfigError as error:
            raise self._error(event, str(error)) from error
        if event.tag in (None, "!"):
            return value
        wanted = _SCALAR_TAGS.get(event.tag.removeprefix(_TAG_PREFIX))
        if wanted is None or not event.tag.startswith(_TAG_PREFIX):
            raise self._refused_tag(event)
        if wanted is str:
            return event.value
        if type(value) is not wanted:
            raise self._error(
                event, f"{event.value!r} is not what its tag !!{wanted.__name__} says"
            )
        return value

    def _alias(self, event: _Event, depth: int) -> Any:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise self._error(event, f"more than {MAX_ALIASES} aliases (*name)")
        if event.anchor in self._unfinished:
            raise self._error(event, f"the alias *{event.anchor} contains itself")
        if event.anchor not in self._anchors:
            raise self._error(
                event,
                f"there is no anchor &{event.anchor} for the alias *{event.anchor}; "
                "put text that starts with * into quotes",
            )
        return self._copy(self._anchors[event.anchor], event, depth)

    def _copy(self, value: Any, event: _Event, depth: int) -> Any:
        """Copy what an alias stands for, counting: a few nested aliases make billions of values."""
        self._aliased_values += 1
        if self._aliased_values > MAX_ALIASED_VALUES:
            raise self._error(event, f"aliases grow to more than {MAX_ALIASED_VALUES} values")
        if depth > MAX_DEPTH:
            raise self._error(event, f"aliases nest more than {MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            return {key: self._copy(item, event, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, event, depth + 1) for item in value]
        return value

    def _refused_tag(self, event: _Event) -> ConfigError:
        tag = event.tag.replace(_TAG_PREFIX, "!!")
        return self._error(
            event, f"the tag {tag} is refused; a configuration holds plain data only"
        )

    def _error(self, event: _Event, message: str) -> ConfigError:
        return ConfigError(f"{self._source}:{event.start_mark.line + 1}: {message}")


def _explain(error: yaml.MarkedYAMLError, text: str, source: str) -> str:
    """Say in one line what the scanner or the parser did not understand, and where."""
    mark = error.problem_mark or error.context_mark
    problem = " ".join(str(error.problem or error.context).split())
    if mark is None:
        return f"{source}: cannot be understood: {problem}"
    where = f"{source}:{mark.line + 1}"
    line = text.splitlines()[mark.line : mark.line + 1]
    if " tab " in problem or (line and "\t" in line[0][: mark.column + 1]):
        return f"{where}: a tab stands where YAML wants spaces; indent with spaces"
    if "cannot start any token" in problem:
        return f"{where}: {problem}; put text that starts with a special character into quotes"
    return f"{where}: cannot be understood: {problem}; check indentation, colons and quotes"


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the value {value!r}"
