"""Shapes become masks: for each tool's shapes the rule by which that tool draws them.

LabelMe draws with Pillow, the outline included, on pixels whose centres are at whole numbers; so
does this module for its shapes, with the same functions. COCO's polygons follow COCO's rule
(`segcore.tasks.polygon`), Supervisely's are drawn by OpenCV. Where tools differ, it is by the
pixels on the outline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from segcore.annotation import Note
from segcore.errors import DataError
from segcore.tasks.polygon import polygon_rle
from segcore.tasks.rle import Rle, rle_box

__all__ = ["Canvas", "Kind", "Placed", "UnusableShape"]

Kind: TypeAlias = Literal["polygon", "rectangle", "circle", "line", "point"]
Placed: TypeAlias = tuple[np.ndarray, int, int]
"""A mask (h, w) of bool that lies in the image, with the column and row where it begins."""

_MAX_POINTS = 50_000  # Pillow's time grows with points times rows
_FARTHEST = 2.0**20
_MAX_MASK_PIXELS = 2**30
_OVER_EDGE = 1.0  # pixels; annotation tools round to this


class UnusableShape(Exception):  # noqa: N818 - it becomes a note
    """A shape cannot be drawn; the message says why, in the same words for the same reason."""


class Canvas:
    """Draws the shapes of one image, bounds what they cost, and notes what it could not take."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.notes: list[Note] = []
        self._pixels = 0

    def read_points(self, value: Any) -> np.ndarray:
        """Check a list of [x, y] and give it as float64 (n, 2). Raises UnusableShape."""
        try:
            if len(value) > _MAX_POINTS:
                raise UnusableShape(f"more than {_MAX_POINTS} points")
            rows = [[_number(x), _number(y)] for x, y in value]
        except (TypeError, ValueError, OverflowError):
            raise UnusableShape("its points are no list of [x, y]") from None
        points = np.array(rows, np.float64).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise UnusableShape("a coordinate is NaN or infinite")
        if points.size and np.abs(points).max() > _FARTHEST:
            raise UnusableShape("a coordinate is more than a million pixels away")
        return points

    def draw(
        self, kind: Kind, points: np.ndarray, width_px: int = 10, radius_px: int = 5
    ) -> Placed:
        """Draw a shape as LabelMe does. Raises UnusableShape.

        A circle is its centre and a point on it, a rectangle two opposite corners, a line any
        number of points, drawn `width_px` wide; points are drawn with the radius `radius_px`.
        """
        spread, paint = _painter(kind, points, width_px, radius_px)
        low, high = points.min(axis=0) - spread, points.max(axis=0) + spread
        return self.paint(low, high, paint, margin=width_px if kind == "line" else 1)

    def paint(
        self,
        low: np.ndarray,
        high: np.ndarray,
        paint: Callable[[Any, float], None],
        margin: int = 1,
    ) -> Placed:
        """Call `paint(draw, y)` on a Pillow canvas that covers `low` to `high` of the image.

        The canvas begins `y` whole rows down, which changes no pixel as long as no coordinate goes
        below zero, where Pillow rounds the other way. It always begins at the first column: Pillow
        adds up columns in single precision, and moved ones round differently.
        """
        from PIL import Image, ImageDraw

        self.note_edge(low, high)
        top = max(0, math.floor(low[1]) - margin)
        right = min(self.width, math.ceil(high[0]) + margin + 1)
        bottom = min(self.height, math.ceil(high[1]) + margin + 1)
        if high[0] + margin < 0 or low[0] - margin > self.width or right <= 0 or top >= bottom:
            raise UnusableShape("it lies outside the image")
        image = Image.new("L", (right, bottom - top))
        paint(ImageDraw.Draw(image), top)
        return self._keep(np.asarray(image, bool), 0, top)

    def polygons(self, polygons: Sequence[np.ndarray]) -> Placed:
        """Draw polygons by COCO's rule. Raises UnusableShape."""
        points = np.concatenate(polygons)
        self.note_edge(points.min(axis=0), points.max(axis=0))
        return self.runs(polygon_rle(polygons, self.height, self.width))

    def runs(self, rle: Rle) -> Placed:
        """Draw a mask of the size of the image. Raises UnusableShape.

        Only the columns that it touches are decoded: an image may have hundreds of small objects.
        """
        left, _, width, _ = rle_box(rle)
        if width == 0:
            raise UnusableShape("it covers no pixel")
        first = left * rle.height
        stops = np.cumsum(rle.counts) - first
        changes = np.zeros(width * rle.height + 1, np.int8)
        # runs of no pixel begin and end in one place
        np.add.at(changes, stops[0:-1:2], 1)
        np.add.at(changes, stops[1::2], -1)
        columns = np.cumsum(changes[:-1], dtype=np.int8).reshape(width, rle.height)
        return self._keep(columns.T != 0, left, 0)

    def fill(self, outline: np.ndarray, holes: Sequence[np.ndarray] = ()) -> Placed:
        """Fill a polygon but for its holes with OpenCV, at whole pixels. Raises UnusableShape."""
        import cv2

        if len(outline) < 3:
            raise UnusableShape("a polygon of fewer than 3 points")
        low, high = outline.min(axis=0), outline.max(axis=0)
        self.note_edge(low, high)
        left, top = (max(0, math.floor(value)) for value in low)
        right = min(self.width, math.ceil(high[0]) + 1)
        bottom = min(self.height, math.ceil(high[1]) + 1)
        if left >= right or top >= bottom:
            raise UnusableShape("it lies outside the image")
        mask = np.zeros((bottom - top, right - left), np.uint8)
        for number, points in enumerate((outline, *holes)):
            if len(points):
                whole = np.rint(points).astype(np.int32) - (left, top)
                cv2.fillPoly(mask, [whole.astype(np.int32)], 0 if number else 1)
        return self._keep(mask != 0, left, top)

    def place(self, mask: np.ndarray, left: int, top: int) -> Placed:
        """Put a mask (h, w) into the image, cut at its borders. Raises UnusableShape."""
        height, width = mask.shape
        self.note_edge(np.array([left, top]), np.array([left + width, top + height]))
        right, bottom = min(self.width, left + width), min(self.height, top + height)
        x, y = max(0, left), max(0, top)
        if x >= right or y >= bottom:
            raise UnusableShape("it lies outside the image")
        part = mask[y - top : bottom - top, x - left : right - left] != 0
        return self._keep(part, x, y)

    def note_edge(self, low: np.ndarray, high: np.ndarray) -> None:
        """Count a shape from `low` to `high` that goes beyond the image by more than a pixel."""
        beyond = max(-low[0], -low[1], high[0] - self.width, high[1] - self.height)
        if beyond > _OVER_EDGE:
            self.notes.append(Note("clipped", "shape", "it goes beyond the image"))

    def skip(self, error: UnusableShape) -> None:
        """Count a shape that cannot be used."""
        self.notes.append(Note("skipped", "shape", str(error)))

    def _keep(self, mask: np.ndarray, left: int, top: int) -> Placed:
        """Cut the empty borders of a mask off, and bound what is kept of one image."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            raise UnusableShape("it covers no pixel")
        y, x = int(rows[0]), int(columns[0])
        part = mask[y : rows[-1] + 1, x : columns[-1] + 1].copy()  # keeps no larger array alive
        self._pixels += part.size
        if self._pixels > _MAX_MASK_PIXELS:
            raise DataError(f"its shapes cover more than {_MAX_MASK_PIXELS} pixels together")
        return part, left + x, top + y


def _number(value: Any) -> float:
    if type(value) not in (int, float):  # a bool is an int to Python, and no coordinate
        raise TypeError
    return float(value)


def _painter(
    kind: Kind, points: np.ndarray, width_px: int, radius_px: int
) -> tuple[float, Callable[[Any, float], None]]:
    """Give how far a shape spreads around its points, and what draws it."""
    least, most = {"polygon": (3, None), "rectangle": (2, 2), "circle": (2, 2),
                   "line": (2, None), "point": (1, 1)}[kind]  # fmt: skip
    if len(points) < least:
        raise UnusableShape(f"a {kind} of fewer than {least} point{'s' if least > 1 else ''}")
    if most is not None and len(points) > most:
        raise UnusableShape(f"a {kind} of more than {most} point{'s' if most > 1 else ''}")
    if kind in ("circle", "point"):
        radius = float(radius_px) if kind == "point" else math.dist(points[0], points[-1])

        def paint_disc(draw: Any, y: float) -> None:
            cx, cy = points[0] - (0, y)
            draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), outline=1, fill=1)

        return radius, paint_disc

    def paint_outline(draw: Any, y: float) -> None:
        moved = points - (0, y)
        if kind == "rectangle":
            draw.rectangle((*moved.min(axis=0), *moved.max(axis=0)), outline=1, fill=1)
        elif kind == "line":
            draw.line(moved.reshape(-1).tolist(), fill=1, width=width_px)
        else:
            draw.polygon(moved.reshape(-1).tolist(), outline=1, fill=1)

    return (width_px / 2 if kind == "line" else 0.0), paint_outline
