"""Directories of tags: what TIFF files consist of, and EXIF blocks too.

Only tags that are asked for are read, each once, and of none more values than it can need: a
hostile directory costs no more than an honest one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Directory", "read_directory", "read_orientation", "valid_orientation"]

_MAX_TAGS = 4096  # more than any camera writes; bounds the walk through a hostile directory
_LETTERS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
_ORIENTATION = 274


@dataclass(frozen=True)
class Directory:
    """Tags of whole numbers or bytes, and the place of the next directory, 0 after the last."""

    tags: dict[int, tuple[int, ...]]
    following: int

    def first(self, tag: int, default: int) -> int:
        """Give the first value of `tag`, or `default` where it is missing."""
        values = self.tags.get(tag)
        return values[0] if values else default


def read_directory(data: bytes, wanted: Mapping[int, int], start: int | None = None) -> Directory:
    """Read a directory of a TIFF or BigTIFF structure: the first, or the one at byte `start`.

    `wanted` says how many values to read of each tag at most. Raises struct.error where there is no
    such directory.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    offset_form, count_form, entry_size = ("Q", "Q", 20) if big else ("I", "H", 12)
    if start is None:
        (start,) = struct.unpack_from(order + offset_form, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + count_form, data, _inside(data, start))
    if count > _MAX_TAGS:
        raise struct.error("absurd number of tags")
    first = start + struct.calcsize(order + count_form)
    end = first + count * entry_size
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(first, end, entry_size):
        tag, kind, number = struct.unpack_from(order + "HH" + offset_form, data, entry)
        if tag not in wanted or tag in tags or kind not in _LETTERS or number == 0:
            continue
        letter = _LETTERS[kind]
        place = entry + (12 if big else 8)
        if number * struct.calcsize(letter) > (8 if big else 4):
            (place,) = struct.unpack_from(order + offset_form, data, place)
        form = f"{order}{min(number, wanted[tag])}{letter}"
        tags[tag] = struct.unpack_from(form, data, _inside(data, place))
    following = data[end : end + struct.calcsize(offset_form)]
    return Directory(tags, int.from_bytes(following, "little" if order == "<" else "big"))


def _inside(data: bytes, place: int) -> int:
    """Give `place` where it lies in `data`: struct takes no offset of 64 bits."""
    if place >= len(data):
        raise struct.error("an offset behind the end")
    return place


def read_orientation(exif: bytes) -> int:
    """Give the orientation of an EXIF block, or 1: damaged metadata must not cost the picture."""
    try:
        directory = read_directory(exif.removeprefix(b"Exif\0\0"), {_ORIENTATION: 1})
    except (struct.error, IndexError):
        return 1
    return valid_orientation(directory.first(_ORIENTATION, 1))


def valid_orientation(value: int) -> int:
    """Give `value` where it is an orientation, 1 to 8, and else 1."""
    return value if 1 <= value <= 8 else 1
