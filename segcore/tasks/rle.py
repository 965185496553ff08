"""COCO's run-length encoding of masks: NumPy only, so that workers and readers of files can use it.

A mask (H, W) is read column by column; the runs alternate between background and object, beginning
with background (a run of 0 where the first pixel is object). In JSON the runs are a list of
numbers or, shorter, a string: from the fourth on each is written as the difference to the run two
before, in groups of five bits, the lowest first, one printable character a group.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcore.errors import DataError

__all__ = [
    "Rle",
    "decode_mask",
    "encode_mask",
    "encode_window",
    "read_rle",
    "rle_area",
    "rle_box",
    "rle_json",
]

_ZERO, _MORE, _SIGN = 48, 32, 16
_MOST_GROUPS = 7  # 35 bits: more than any number of pixels that is read


@dataclass(frozen=True, eq=False)
class Rle:
    """A mask of `height` x `width` pixels as runs: `counts` (R,) int64, background first."""

    height: int
    width: int
    counts: np.ndarray


def encode_mask(mask: np.ndarray) -> Rle:
    """Encode `mask` (H, W), of booleans or integers; whatever is not 0 is object."""
    height, width = mask.shape
    pixels = mask.T.reshape(-1) != 0  # column by column
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = [0] if pixels.size and pixels[0] else []
    ends = np.concatenate([np.array(starts, np.int64), changes, [pixels.size]])
    return Rle(height, width, np.diff(ends, prepend=0).astype(np.int64))


def encode_window(mask: np.ndarray, top: int, left: int, size: tuple[int, int]) -> Rle:
    """Encode an image of `size` (H, W) whose only object is `mask`, at (`top`, `left`).

    Costs what the window costs, not the image.
    """
    height, width = size
    closed = np.pad(mask != 0, ((1, 1), (0, 0))).T.astype(np.int8)  # columns that end empty
    steps = np.diff(closed, axis=1)
    columns, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    offset = (columns + left) * height + top
    edges = np.stack([offset + starts, offset + ends], axis=1).reshape(-1)
    # a run that goes on in the next column ends where the next one starts
    toggles, times = np.unique(edges, return_counts=True)
    toggles = toggles[(times == 1) & (toggles < height * width)]
    return Rle(height, width, np.diff(np.concatenate([toggles, [height * width]]), prepend=0))


def decode_mask(rle: Rle) -> np.ndarray:
    """Give the mask (H, W) as uint8, 1 for the object."""
    values = (np.arange(len(rle.counts)) & 1).astype(np.uint8)
    mask: np.ndarray = np.repeat(values, rle.counts).reshape(rle.width, rle.height).T
    return mask


def rle_area(rle: Rle) -> int:
    """Count the pixels of the object."""
    return int(rle.counts[1::2].sum())


def rle_box(rle: Rle) -> tuple[int, int, int, int]:
    """Give the smallest box around the object as x, y, width, height; zeros where it is empty."""
    ends = np.cumsum(rle.counts)
    starts, stops = (ends - rle.counts)[1::2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts] - 1
    if not starts.size:
        return 0, 0, 0, 0
    left, right = int(starts[0] // rle.height), int(stops[-1] // rle.height)
    top, bottom = int((starts % rle.height).min()), int((stops % rle.height).max())
    if (starts // rle.height != stops // rle.height).any():  # a run goes on in the next column
        top, bottom = 0, rle.height - 1
    return left, top, right - left + 1, bottom - top + 1


def rle_json(rle: Rle) -> dict[str, Any]:
    """Give `rle` as COCO files hold it: `size` [H, W] and `counts`, a string."""
    return {"size": [rle.height, rle.width], "counts": _write_counts(rle.counts)}


def read_rle(value: Any) -> Rle:
    """Read `{"size": [H, W], "counts": ...}` with the runs as a list of numbers or as a string.

    Raises DataError that says what is wrong; the runs always fill the size exactly.
    """
    try:
        (height, width), counts = value["size"], value["counts"]
        if type(height) is not int or type(width) is not int or min(height, width) < 0:
            raise DataError(
                f"its size {reprlib.repr(value['size'])} is not [height, width] in pixels"
            )
        runs = _read_counts(counts) if isinstance(counts, str | bytes) else _list_counts(counts)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError('an RLE is {"size": [height, width], "counts": runs}') from error
    if runs.size and int(runs.min()) < 0:
        raise DataError("its runs are damaged: one is shorter than 0")
    total = sum(runs.tolist())  # without the overflow of a sum in 64 bits
    if total != height * width:
        raise DataError(f"its runs cover {total} pixels instead of {height} x {width}")
    return Rle(height, width, runs)


def _list_counts(counts: Any) -> np.ndarray:
    if not all(type(count) is int and 0 <= count < 2**40 for count in counts):
        raise DataError("its runs are not whole numbers of pixels")
    return np.array(counts, np.int64)


def _read_counts(text: str | bytes) -> np.ndarray:
    data = text.encode("utf-8") if isinstance(text, str) else text
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - _ZERO
    if not codes.size:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(codes & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1 if ends.size else np.zeros(0, np.int64)
    if codes.min() < 0 or codes.max() >= 2 * _MORE or not ends.size or ends[-1] != codes.size - 1:
        raise DataError("the string of its runs is damaged")
    if lengths.max() > _MOST_GROUPS:
        raise DataError("the string of its runs holds a number beyond any image")
    group = np.arange(codes.size) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & (_MORE - 1)) << (5 * group), starts)
    values -= np.where(codes[ends] & _SIGN, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _write_counts(counts: np.ndarray) -> str:
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    columns = []
    open_ = np.ones(len(values), bool)
    while open_.any():
        low = values & (_MORE - 1)
        values = values >> 5
        ends = np.where(low & _SIGN, values == -1, values == 0)
        columns.append(np.where(open_, low + np.where(ends, 0, _MORE) + _ZERO, 0))
        open_ = open_ & ~ends
    if not columns:
        return ""
    characters = np.stack(columns, axis=1).reshape(-1)
    return characters[characters > 0].astype(np.uint8).tobytes().decode("ascii")
