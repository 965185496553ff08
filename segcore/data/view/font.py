"""Text on pictures: what the font cannot draw is escaped, and what is too long is shortened."""

from __future__ import annotations

import io
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Any

from segcore.data.paths import printable
from segcore.errors import RequestError
from segcore.filesystem import read_regular

__all__ = ["Font"]

_ELLIPSIS = "..."
_MOST_BYTES = 2**28  # fonts of all the world's writing have 30 MB
_MISSING = "\uffff"  # a character that no font has


class Font:
    """A font of `size` px: the file at `path`, or the one that comes with Pillow, Latin only.

    Raises RequestError when the file is no font.
    """

    def __init__(self, size: int, path: Path | None = None) -> None:
        from PIL import ImageFont

        self.size = size
        self._known: dict[str, bool] = {}
        self.face: Any
        if path is None:
            try:
                self.face = ImageFont.load_default(size)
            except TypeError:  # Pillow before 10.1 has but one size
                self.face = ImageFont.load_default()
            return
        try:
            self.face = ImageFont.truetype(io.BytesIO(read_regular(path, _MOST_BYTES)), size)
        except OSError as error:
            raise RequestError(
                f"{path}: cannot be used as a font ({error.strerror or error}). Name a .ttf, .otf "
                "or .ttc file."
            ) from error

    @property
    def line_height(self) -> int:
        """Distance of lines, in px."""
        return round(self.size * 1.35)

    def drawable(self, text: str) -> str:
        """Escape what must not or cannot be drawn: control characters, and those not in the font.

        Writing from right to left is escaped, too, unless Pillow can lay it out.
        """
        return "".join(
            character if self._has(character) else character.encode("unicode_escape").decode()
            for character in printable(text)
        )

    def width(self, text: str) -> int:
        """Give the width of a drawable text, in px."""
        return int(self.face.getlength(text)) + 1

    def fit(self, text: str, width: int) -> str:
        """Shorten `text` in the middle until it is drawable within `width` px."""
        text = self.drawable(text)
        if self.width(text) <= width:
            return text
        low, high = 0, len(text)  # how many characters stay
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(_shorten(text, middle)) <= width:
                low = middle
            else:
                high = middle - 1
        return _shorten(text, low)

    def _has(self, character: str) -> bool:
        if " " <= character <= "~":
            return True
        if character not in self._known:
            self._known[character] = self._look_up(character)
        return self._known[character]

    def _look_up(self, character: str) -> bool:
        from PIL import features

        if unicodedata.bidirectional(character) in ("R", "AL") and not features.check("raqm"):
            return False
        try:
            drawn = self.face.getmask(character)
        except (UnicodeEncodeError, ValueError):  # the font of old Pillow knows Latin-1 only
            return False
        return (drawn.size, bytes(drawn)) != self._missing

    @cached_property
    def _missing(self) -> tuple[Any, bytes]:
        try:
            drawn = self.face.getmask(_MISSING)
        except (UnicodeEncodeError, ValueError):
            return None, b""
        return drawn.size, bytes(drawn)


def _shorten(text: str, kept: int) -> str:
    """Keep the ends of `text`; the end of a file's name tells more than its beginning."""
    head = kept // 3
    return text[:head] + _ELLIPSIS + text[len(text) - (kept - head) :]
