"""The colours of a picture that was given as a label: few of them are classes, many a photograph.

A label is refused for its colours by whoever meets it, so naming them must cost next to nothing:
the picture is gone through in pieces, and no further than to the first colour too many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["MOST_COLOURS", "Colours", "count_colours", "is_grey", "pack_colours"]

MOST_COLOURS = 64
"""A picture with more colours is a photograph."""

_PIECE_PIXELS = 2**20


@dataclass(frozen=True)
class Colours:
    """Colours of a picture, the most frequent ones first, and the number of pixels of each.

    Where `is_all` is False there are more: what was counted is the picture's beginning.
    """

    counts: dict[tuple[int, int, int], int]
    is_all: bool


def count_colours(picture: np.ndarray, most: int = MOST_COLOURS) -> Colours:
    """Count the colours of `picture` (H, W, 3), of 8 or 16 bits, up to more than `most`."""
    counts: dict[int, int] = {}
    for packed in _pieces(picture):
        # labels consist of runs of one colour, and runs are fewer than pixels
        starts = np.concatenate([[0], np.flatnonzero(packed[1:] != packed[:-1]) + 1])
        lengths = np.diff(starts, append=packed.size)
        found, run_of = np.unique(packed[starts], return_inverse=True)
        pixels = np.bincount(run_of, lengths)
        for colour, count in zip(found[: most + 1].tolist(), pixels.tolist(), strict=False):
            counts[colour] = counts.get(colour, 0) + int(count)
        if len(counts) > most:
            break
    ordered = sorted(counts, key=lambda colour: -counts[colour])
    bits = picture.dtype.itemsize * 8
    unpacked = {
        (c >> 2 * bits, c >> bits & (1 << bits) - 1, c & (1 << bits) - 1): counts[c]
        for c in ordered
    }
    return Colours(unpacked, len(counts) <= most)


def is_grey(picture: np.ndarray) -> bool:
    """Say whether the channels of `picture` (H, W, C) agree everywhere."""
    rows = max(1, _PIECE_PIXELS // max(1, picture.shape[1]))
    return all(
        bool((piece == piece[..., :1]).all())
        for piece in (picture[row : row + rows] for row in range(0, picture.shape[0], rows))
    )


def pack_colours(picture: np.ndarray) -> np.ndarray:
    """Give the colours of `picture` (..., 3) as one number each: red, green, blue."""
    bits = picture.dtype.itemsize * 8
    packed = picture[..., 0].astype(np.uint32 if bits == 8 else np.uint64)
    for channel in (1, 2):
        packed <<= bits
        packed |= picture[..., channel]
    return packed


def _pieces(picture: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(1, _PIECE_PIXELS // max(1, picture.shape[1]))
    for row in range(0, picture.shape[0], rows):
        packed = pack_colours(picture[row : row + rows]).reshape(-1)
        if packed.size:
            yield packed
