"""Lists as text: read in whatever encoding, changed row by row, written as plain UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from segcore.data.listfile import Row, format_row, parse_rows
from segcore.data.paths import printable
from segcore.errors import ListFileError

__all__ = ["ListText", "read_text"]

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(data: bytes, source: str) -> tuple[str, bool]:
    """Decode the bytes of a list, and say whether they were anything but plain UTF-8 lines.

    Lines end in a line feed in the answer. Raises ListFileError.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise ListFileError(
            f"{source}: begins as UTF-16 and is none ({error.reason}). Save it as UTF-8 text.",
            kind="list-unreadable",
        ) from error
    # some editors write a second mark; no name begins with one, but for those in quotes
    plain = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in plain:
        raise ListFileError(
            f"{source}: holds NUL characters, so it is no text. Save it as UTF-8 text.",
            kind="list-unreadable",
        )
    return plain, encoding != "utf-8" or plain != text


@dataclass
class ListText:
    """A list with its rows; lines that are no rows stay as they are."""

    name: str
    lines: list[str]
    rows: list[Row]
    was_plain: bool

    @classmethod
    def read(cls, data: bytes, name: str) -> ListText:
        """Read the list `name`. Raises ListFileError that names the line."""
        text, changed = read_text(data, printable(name))
        lines = text.split("\n")
        return cls(name, lines, list(parse_rows(text, name)), not changed)

    def repeated(self) -> set[int]:
        """Give the lines whose row stands above already. Raises ListFileError."""
        labels: dict[str, tuple[str, int]] = {}
        found = set()
        for row in self.rows:
            label, line = labels.setdefault(row.image, (row.label, row.line))
            if label != row.label:
                raise ListFileError(
                    f"{printable(self.name)}: {printable(row.image)} has two labels, "
                    f"{printable(label)} in line {line} and {printable(row.label)} in line "
                    f"{row.line}. Keep the right one.",
                    kind="row-repeated",
                )
            if line != row.line:
                found.add(row.line)
        return found

    def written(self, dropped: Iterable[int], renamed: Mapping[str, str]) -> bytes:
        """Give the list without the lines `dropped`, and with files that have other names now."""
        gone = set(dropped)
        new = {
            row.line: format_row(
                renamed.get(row.image, row.image), renamed.get(row.label, row.label)
            )
            for row in self.rows
            if row.image in renamed or row.label in renamed
        }
        kept = [
            new.get(number, line)
            for number, line in enumerate(self.lines, start=1)
            if number not in gone
        ]
        return "\n".join(kept).encode("utf-8", "surrogateescape")
