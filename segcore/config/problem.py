"""Problems of a configuration, in words: what pydantic found, as a user wants to read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from segcore.config.load import KeyPath
from segcore.config.merge import DEFAULT, Origin, dotted
from segcore.config.schema import Config, Section
from segcore.discovery.names import nearest, one_line
from segcore.errors import ConfigError

__all__ = ["OriginOf", "Problem", "explain", "raise_problems", "unknown_key"]

OriginOf = Callable[[Sequence[str | int]], Origin]

MAX_SHOWN = 50

_MEANINGS = {
    "missing": "is required",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be finite",
    "string_type": "must be text; put it into quotes if it is meant as text",
    "bool_type": "must be true or false",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, with which value, what is allowed, and who said so."""

    path: KeyPath
    message: str
    origin: Origin = DEFAULT
    shown_value: str | None = None

    @property
    def key(self) -> str:
        """Dotted key, as users type it."""
        return dotted(self.path)

    def __str__(self) -> str:
        value = "" if self.shown_value is None else f" = {self.shown_value}"
        source = "" if self.origin == DEFAULT else f" ({self.origin})"
        return f"{self.key}{value}: {self.message}{source}"

    def as_json(self) -> dict[str, Any]:
        """Give the problem as data, for `--json`."""
        return {
            "key": self.key,
            "value": self.shown_value,
            "message": self.message,
            "origin": str(self.origin),
            "line": self.origin.line,
        }


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise ConfigError that lists `problems`, if there are any."""
    if not problems:
        return
    if len(problems) == 1:
        raise ConfigError(str(problems[0]), problems)
    lines = [f"  {problem}" for problem in problems[:MAX_SHOWN]]
    if len(problems) > MAX_SHOWN:
        lines.append(f"  and {len(problems) - MAX_SHOWN} more")
    count = f"the configuration has {len(problems)} problems:"
    raise ConfigError("\n".join([count, *lines]), problems)


def explain(
    error: ValidationError,
    data: Any,
    model: type[BaseModel],
    origin_of: OriginOf,
    prefix: KeyPath = (),
) -> list[Problem]:
    """Put what pydantic says of `data`, which stands at `prefix`, into problems.

    The branches of a union complain one by one; they become one problem.
    """
    messages: dict[KeyPath, list[str]] = {}
    found: dict[KeyPath, Problem] = {}
    for fault in error.errors(include_url=False):
        path, inner, value = _locate(fault["loc"], data)
        at = (*prefix, *path)
        least = fault.get("ctx", {}).get("min_length")
        if isinstance(value, list) and least is not None and len(value) >= least:
            continue  # pydantic did not count items that have problems of their own
        if fault["type"] in ("extra_forbidden", "invalid_key"):
            # the nearest names of thousands of keys would take minutes, and nobody reads them
            hint = "" if len(found) >= MAX_SHOWN else None
            problem = unknown_key(at, _names_at(model, path[:-1]), origin_of(at), hint)
        else:
            message = _meaning(dict(fault), fault["loc"][-1:])
            if inner and fault["type"] != "missing":
                message = f"item {dotted(inner)} {message}"
            messages.setdefault(at, []).append(message)
            text = " or ".join(dict.fromkeys(messages[at]))
            problem = Problem(at, text, _origin(at, value, text, origin_of), _shown(value))
        found[at] = problem
    return list(found.values())


def unknown_key(
    path: KeyPath, siblings: Iterable[str], origin: Origin, hint: str | None = None
) -> Problem:
    """Say that the last key of `path` does not exist, and what may be meant.

    `siblings` are the keys that do exist there; a given `hint` saves looking for one.
    """
    if hint is None:
        hint = _hint(str(path[-1]), list(siblings))
    return Problem(path, "unknown key" + (f"; {hint}" if hint else ""), origin)


def _hint(key: str, siblings: list[str]) -> str:
    guesses = nearest(key, siblings, 1)
    if guesses:
        return f"did you mean {guesses[0]!r}?"
    homes = dict(_leaves_of(Config))
    elsewhere = [path for path, name in homes.items() if name == key]
    if not elsewhere:
        close = nearest(key, set(homes.values()), 1)
        elsewhere = [path for path, name in homes.items() if name in close]
    if elsewhere:
        return "did you mean " + " or ".join(elsewhere[:3]) + "?"
    return "known here: " + (", ".join(siblings) or "none")


def _leaves_of(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """List the dotted keys of the schema with their last part."""
    for name, info in section.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from _leaves_of(info.annotation, (*path, name))
        else:
            yield dotted((*path, name)), name


def _names_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """List the keys of the (nested) model at `path`, none where that is no model."""
    current: Any = model
    for key in path:
        info = current.model_fields.get(key)
        current = None if info is None else info.annotation
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            return []
    return list(current.model_fields)


def _locate(loc: tuple[str | int, ...], data: Any) -> tuple[KeyPath, KeyPath, Any]:
    """Split pydantic's location into the path in `data` and the rest within a union's branch.

    Locations also hold the names of union branches and `[key]`, which no user knows. Gives the
    value at the path, too.
    """
    path: list[str | int] = []
    for position, step in enumerate(loc):
        if isinstance(data, Mapping):
            key = next((key for key in (step, _as_number(step)) if key in data), None)
            if key is not None:
                path.append(key)
                data = data[key]
                continue
            if position == len(loc) - 1 and step != "[key]":
                return (*path, step), (), None  # a key that is missing
        elif isinstance(data, (list, tuple)) and isinstance(step, int) and step < len(data):
            path.append(step)
            data = data[step]
            continue
        rest = tuple(loc[position + 1 :])
        return tuple(path), rest, data
    return tuple(path), (), data


def _as_number(step: str | int) -> str | int:
    is_number = isinstance(step, str) and re.fullmatch(r"[0-9]{1,9}", step)
    return int(step) if is_number else step


def _meaning(fault: dict[str, Any], last: tuple[str | int, ...]) -> str:
    kind, message = fault["type"], fault["msg"]
    if kind == "missing" and isinstance(last[0], int):
        return "has too few values"
    if kind in _MEANINGS:
        return "its key " * (last == ("[key]",)) + _MEANINGS[kind]
    context = fault.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return one_line(context.get("error", message))
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", ""))
        guesses = nearest(str(fault["input"]), re.findall(r"'([^']*)'", expected), 1)
        return f"must be {expected}" + (f"; did you mean {guesses[0]!r}?" if guesses else "")
    words = re.sub(r"^\w+ should", "must", message).replace(" after validation", "")
    return one_line(words[:1].lower() + words[1:])


def _origin(at: KeyPath, value: Any, message: str, origin_of: OriginOf) -> Origin:
    """Give the origin of a value, and of a whole section that of a key which the message names."""
    keys = (
        [key for key in value if str(key) in message.split()] if isinstance(value, Mapping) else []
    )
    origins = [origin_of(at), *(origin_of((*at, key)) for key in keys)]
    return next((origin for origin in origins if origin != DEFAULT), DEFAULT)


def _shown(value: Any) -> str | None:
    """Show scalars and short lists; whole sections say nothing."""
    if value is None or isinstance(value, Mapping):
        return None
    return one_line(repr(value), 80)
