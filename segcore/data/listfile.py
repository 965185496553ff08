"""List files: `train.txt`, `val.txt` and `test.txt` (an image and its label a row), `labels.txt`.

Fields stand apart by a tab, or by spaces where the names hold none. A field in double quotes is a
JSON string, so any name can be written. Lines that start with `#` are comments. Byte order marks
and every kind of line end are accepted; bytes that are no UTF-8 stay what they are (file names).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple, TextIO

from segcore.data.paths import printable
from segcore.errors import ListFileError
from segcore.filesystem import open_regular

__all__ = [
    "BadRow",
    "ClassList",
    "Row",
    "format_row",
    "list_name",
    "parse_class_list",
    "parse_rows",
    "read_class_list",
    "read_rows",
    "scan_rows",
]

_MAX_LINE = 2**16
_MAX_CLASSES = 65535  # as many as a configuration can name
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_COLOUR = re.compile(r"(.*\S)\s+(?:#([0-9A-Fa-f]{6})|(\d{1,3})[ ,]+(\d{1,3})[ ,]+(\d{1,3}))\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
# the last two are bytes that are no UTF-8: at the start of a list they would make it UTF-16
_NEEDS_QUOTES = re.compile('[ \t\r\n"\ufeff]|\\A#|\\A\\Z|\\A\udcfe\udcff|\\A\udcff\udcfe')
_TAB, _SPACE = re.compile(r"[^\t]+"), re.compile(r"[^ ]+")


class Row(NamedTuple):
    """A row of a list: two names relative to the dataset, and their line (from 1)."""

    image: str
    label: str
    line: int


class BadRow(NamedTuple):
    """What is wrong with a line, or with the whole list where `line` is None."""

    error: ListFileError
    line: int | None


@dataclass(frozen=True)
class ClassList:
    """The classes of `labels.txt`: names, and RGB colours where the file gives them."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int] | None, ...]


def list_name(split: str, fold: int | None = None) -> str:
    """Name the list file of a split: `val.txt`, or `val_fold3.txt`; folds share the test list."""
    return f"{split}.txt" if fold is None or split == "test" else f"{split}_fold{fold}.txt"


def read_rows(path: Path) -> Iterator[Row]:
    """Read a list file row by row, in constant memory.

    Raises ListFileError that names the file and the line.
    """
    for number, line in _lines(path):
        yield _parse(line, path, number)


def scan_rows(path: Path) -> Iterator[Row | BadRow]:
    """Read a list file as `read_rows` does, but go on after a bad row, and raise nothing."""
    try:
        for number, line in _lines(path):
            yield _parse_or_tell(line, path, number)
    except ListFileError as error:
        yield BadRow(error, None)


def _parse_or_tell(line: str, path: Path, number: int) -> Row | BadRow:
    try:
        return _parse(line, path, number)
    except ListFileError as error:
        return BadRow(error, number)


def _parse(line: str, path: Path, number: int) -> Row:
    fields = _split(line, path, number)
    if len(fields) != 2:
        hint = (
            "Separate the two with a tab, or put names with spaces in double quotes"
            if len(fields) > 2
            else "Write the image, a space or tab, and its label"
        )
        raise ListFileError(
            f"{printable(path)}, line {number}: {len(fields)} "
            f"field{'' if len(fields) == 1 else 's'} instead of 2 (image and label). {hint}.",
            kind="list-row",
        )
    return Row(fields[0], fields[1], number)


def parse_rows(text: str, name: str) -> Iterator[Row]:
    """Read the rows of a list that is in memory already, as `read_rows` does."""
    path = Path(name)
    for number, line in _numbered(StringIO(text), path):
        yield _parse(line, path, number)


def read_class_list(path: Path) -> ClassList:
    """Read `labels.txt`: a class a line, class 0 first, each with an optional colour.

    A colour is `#rrggbb` or `r g b` at the end of the line. Raises ListFileError.
    """
    return _gather_classes(_lines(path), path)


def parse_class_list(text: str, name: str) -> ClassList:
    """Read a `labels.txt` that is in memory already, as `read_class_list` does."""
    path = Path(name)
    return _gather_classes(_numbered(StringIO(text), path), path)


def _gather_classes(lines: Iterable[tuple[int, str]], path: Path) -> ClassList:
    names: dict[str, int] = {}
    colours: list[tuple[int, int, int] | None] = []
    for number, text in lines:
        line = text.strip()
        colour = None
        if match := _COLOUR.match(line):
            line, digits = match[1], match[2]
            values = bytes.fromhex(digits) if digits else [int(match[i]) for i in (3, 4, 5)]
            if max(values) > 255:
                raise ListFileError(
                    f"{printable(path)}, line {number}: colour {list(values)} must stay within "
                    "255.",
                    kind="classes-invalid",
                )
            colour = (values[0], values[1], values[2])
        if len(names) == _MAX_CLASSES:
            raise ListFileError(
                f"{printable(path)}: names more than {_MAX_CLASSES} classes, as many as a label "
                "can hold. Is this the list of the classes?",
                kind="classes-invalid",
            )
        if line in names:
            raise ListFileError(
                f"{printable(path)}, line {number}: class {printable(line)!r} is already class "
                f"{names[line]}. Give every class a name of its own.",
                kind="classes-invalid",
            )
        names[line] = len(names)
        colours.append(colour)
    if not names:
        raise ListFileError(
            f"{printable(path)}: names no classes. Write one a line, class 0 first.",
            kind="classes-invalid",
        )
    return ClassList(tuple(names), tuple(colours))


def format_row(image: str, label: str) -> str:
    """Write a row that `read_rows` reads back as the same two names, without a line end."""
    return f"{_quote(image)} {_quote(label)}"


def _quote(name: str) -> str:
    if not _NEEDS_QUOTES.search(name):
        return name
    return json.dumps(name, ensure_ascii=False)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give the lines that hold something, with their numbers."""
    try:
        with open_regular(path) as probe:
            start = probe.read(1024)
        if start.startswith(_UTF16_MARKS) or b"\0" in start:
            raise ListFileError(
                f"{printable(path)}: looks like UTF-16 or a binary file. Save it as UTF-8 text.",
                kind="list-unreadable",
            )
        with (
            open_regular(path) as content,
            TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape") as file,
        ):
            yield from _numbered(file, path)
    except OSError as error:
        raise ListFileError(
            f"{printable(path)}: cannot be read ({error.strerror}).", kind="list-unreadable"
        ) from error


def _numbered(file: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            raise ListFileError(
                f"{printable(path)}, line {number}: longer than {_MAX_LINE} characters. "
                "Is this a list of images and labels?",
                kind="list-row",
            )
        line = line.rstrip("\n")
        if line.strip(" \t") and not line.startswith("#"):
            yield number, line


def _split(line: str, path: Path, number: int) -> list[str]:
    """Split at tabs if there are any, else at spaces; other blanks can be part of a name."""
    fields = []
    rest = line.strip(" \t")
    ends = _TAB if "\t" in rest else _SPACE
    while rest:
        if rest[0] == '"':
            match = _QUOTED.match(rest)
            if match is None or rest[match.end() : match.end() + 1] not in ("", " ", "\t"):
                raise ListFileError(
                    f"{printable(path)}, line {number}: a double quote is not closed. Put the "
                    'whole name in double quotes, and write a quote inside it as \\".',
                    kind="list-row",
                )
            fields.append(_unquote(match[0], path, number))
        else:
            match = ends.match(rest)
            fields.append(rest[: match.end()].rstrip(" ") if match else rest)
        rest = rest[match.end() if match else len(rest) :].lstrip(" \t")
    return fields


def _unquote(text: str, path: Path, number: int) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError as error:
        raise ListFileError(
            f"{printable(path)}, line {number}: {printable(text)} is no JSON string ({error}).",
            kind="list-row",
        ) from error
