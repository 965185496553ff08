"""Polygons as outlines of objects: area, box, and the pixels inside exactly as COCO counts them.

A polygon is an array (n, 2) of x, y in pixels; the centre of the first pixel is at (0.5, 0.5).
Several polygons make one object, which covers what any of them covers. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segcore.tasks.rle import Rle, decode_mask, encode_mask

__all__ = ["clip_polygon", "polygon_area", "polygon_box", "polygon_rle", "rasterise"]

_FINE = 5  # COCO walks along outlines on a grid five times as fine as the pixels
_CENTRE = 2  # the fine column in the middle of a pixel
_FARTHEST = 2.0**40


def polygon_area(polygon: np.ndarray) -> float:
    """Give the area of `polygon` (n, 2) in square pixels, whichever way round it goes."""
    x, y = np.asarray(polygon, np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def polygon_box(polygons: Sequence[np.ndarray]) -> tuple[float, float, float, float]:
    """Give the smallest box around `polygons` as x1, y1, x2, y2."""
    points = np.concatenate(polygons)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def clip_polygon(polygon: np.ndarray, width: float, height: float) -> np.ndarray:
    """Cut `polygon` (n, 2) at the borders of an image; (0, 2) where nothing is left.

    Parts that a border separates stay joined along it (Sutherland and Hodgman), which covers no
    pixel.
    """
    points = np.asarray(polygon, np.float64)
    for axis, limit, sign in ((0, 0.0, 1.0), (0, width, -1.0), (1, 0.0, 1.0), (1, height, -1.0)):
        inside = (points[:, axis] - limit) * sign  # how far inside, negative outside
        if (inside >= 0).all():
            continue
        kept = []
        for here, there, depth, next_depth in zip(
            points, np.roll(points, -1, axis=0), inside, np.roll(inside, -1), strict=True
        ):
            if depth >= 0:
                kept.append(here)
            if (depth >= 0) != (next_depth >= 0):
                crossing = here + (there - here) * (depth / (depth - next_depth))
                crossing[axis] = limit
                kept.append(crossing)
        points = np.array(kept).reshape(-1, 2)
    return points


def rasterise(polygons: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Give the pixels that `polygons` cover as (H, W) uint8, equal to those of COCO's own API."""
    return decode_mask(polygon_rle(polygons, height, width))


def polygon_rle(polygons: Sequence[np.ndarray], height: int, width: int) -> Rle:
    """Encode the pixels that `polygons` cover; costs what the outlines cost, not the image."""
    parts = [_one_rle(polygon, height, width) for polygon in polygons]
    if len(parts) == 1:
        return parts[0]
    union = np.zeros((height, width), np.uint8)
    for part in parts:
        union |= decode_mask(part)
    return encode_mask(union)


def _one_rle(polygon: np.ndarray, height: int, width: int) -> Rle:
    """Toggle between outside and inside wherever the outline crosses the middle of a column.

    The image is one long column of H x W pixels here, so that a crossing below the image toggles
    the top of the next column, as in the reference.
    """
    columns, rows = _crossings(np.asarray(polygon, np.float64), width)
    y = (rows + 0.5) / _FINE - 0.5
    positions = columns * height + np.ceil(np.clip(y, 0, height)).astype(np.int64)
    toggles, times = np.unique(positions, return_counts=True)
    toggles = toggles[(times % 2 == 1) & (toggles < height * width)]
    ends = np.concatenate([toggles, [height * width]])
    return Rle(height, width, np.diff(ends, prepend=0))


def _crossings(polygon: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the columns that the outline crosses, and the fine rows where it does.

    Each edge is a line of points on the fine grid with one point a step of its longer side. A
    crossing lies between two neighbours of which one is in the middle of a column and the other to
    the right of it; the upper of the two counts.
    """
    fine = np.trunc(np.clip(_FINE * polygon, -_FARTHEST, _FARTHEST) + 0.5).astype(np.int64)
    x0, y0 = fine.T
    x1, y1 = np.roll(fine, -1, axis=0).T
    is_flat = abs(x1 - x0) >= abs(y1 - y0)
    turn = np.where(is_flat, x0 > x1, y0 > y1)  # edges run right, or down where they are steep
    x0, x1 = np.where(turn, x1, x0), np.where(turn, x0, x1)
    y0, y1 = np.where(turn, y1, y0), np.where(turn, y0, y1)
    low, high = np.minimum(x0, x1), np.maximum(x0, x1)
    first = np.maximum(-((_CENTRE - low) // _FINE), 0)  # the first centre at `low` or beyond
    last = np.minimum((high - 1 - _CENTRE) // _FINE, width - 1)
    counts = np.maximum(last - first + 1, 0)
    edge = np.repeat(np.arange(len(fine)), counts)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x0, x1, y0, y1, is_flat = x0[edge], x1[edge], y0[edge], y1[edge], is_flat[edge]
    centre = column * _FINE + _CENTRE
    slope = np.where(is_flat, y1 - y0, x1 - x0) / np.where(is_flat, x1 - x0, y1 - y0)
    step = centre - x0
    here, right = (np.trunc(y0 + slope * t + 0.5).astype(np.int64) for t in (step, step + 1))
    flat_row = np.minimum(here, right)
    return column, np.where(is_flat, flat_row, y0 + _steep_step(centre, x0, slope, is_flat) - 1)


def _steep_step(
    centre: np.ndarray, start: np.ndarray, slope: np.ndarray, is_flat: np.ndarray
) -> np.ndarray:
    """Give the first step down a steep edge that is beyond the crossing at the right of `centre`.

    The reference finds it by walking; the division gets within one step of it, and the three
    candidates are judged with the arithmetic of the walk.
    """
    slope = np.where(is_flat, 1.0, slope)
    near = np.ceil((centre + 0.5 - start) / slope)
    step = near + 2
    for candidate in (near + 1, near, near - 1):
        x = np.trunc(start + slope * candidate + 0.5)
        beyond = np.where(slope > 0, x > centre, x <= centre) & (candidate > 0)
        step = np.where(beyond, candidate, step)
    steps: np.ndarray = step.astype(np.int64)
    return steps
