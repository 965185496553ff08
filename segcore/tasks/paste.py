"""Stretch the small mask that a network draws over the box that it belongs to."""

from __future__ import annotations

import numpy as np

from segcore.tasks.rle import Rle, encode_window

__all__ = ["paste_mask"]

_SMALLEST_PX = 1e-6  # keeps empty boxes from dividing by zero; they cover no pixel


def paste_mask(
    scores: np.ndarray, box: np.ndarray, size: tuple[int, int], threshold: float = 0.5
) -> Rle:
    """Give the pixels, in an image of `size`, at whose centres `scores` reach `threshold`.

    `scores` (R, R) stand at the centres of R x R equal cells of `box` (x1, y1, x2, y2), are
    interpolated linearly between them, and fall to 0 within a cell around them. Only the
    surroundings of the box are looked at.
    """
    top, rows = _weights(float(box[1]), float(box[3]), size[0], scores.shape[0])
    left, columns = _weights(float(box[0]), float(box[2]), size[1], scores.shape[1])
    stretched = rows @ scores.astype(np.float32) @ columns.T
    return encode_window(stretched >= threshold, top, left, size)


def _weights(low: float, high: float, length: int, resolution: int) -> tuple[int, np.ndarray]:
    """Give the first pixel of a line that the box reaches, and what each cell counts for each.

    The weights are (P, resolution) float32, for P pixels from that one on.
    """
    side = max(high - low, _SMALLEST_PX)
    cell = side / resolution
    first = int(np.clip(np.floor(low - cell), 0, length))
    last = int(np.clip(np.ceil(high + cell), first, length))
    pixels = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    place = (pixels - np.float32(low)) / np.float32(side) * resolution - np.float32(0.5)
    near = 1 - np.abs(place[:, None] - np.arange(resolution, dtype=np.float32))
    return first, np.maximum(near, 0)
