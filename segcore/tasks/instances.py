"""Objects in images: what is known of them, how they move with the image, what is found of them.

NumPy only, so that workers stay small. Boxes are x1, y1, x2, y2 in pixels; sizes are (H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from segcore.tasks.polygon import clip_polygon, polygon_box, polygon_rle
from segcore.tasks.rle import Rle, decode_mask, encode_mask, rle_area, rle_box

__all__ = ["Detections", "Instances", "Mask", "Truth", "box_of", "list_instances", "mask_rle"]

Mask: TypeAlias = tuple[np.ndarray, ...] | Rle
"""An object as polygons, float64 (n, 2) each, or as the runs of its pixels."""

SMALLEST_SIDE = 1.0
"""Pixels that a box must keep of its width and of its height, or else its object is dropped."""


@dataclass(frozen=True, eq=False)
class Instances:
    """K objects of an image.

    `boxes` is (K, 4) float32, `classes` (K,) int64 from 0 and without a background, `masks` one
    for each object, `is_crowd` (K,) bool: a crowd is a region of many objects that nobody told
    apart. `areas` (K,) float64 are square pixels, by which COCO calls objects small or large; they
    stay those of the original image.
    """

    boxes: np.ndarray
    classes: np.ndarray
    masks: tuple[Mask, ...]
    is_crowd: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.masks)

    def chosen(self, which: np.ndarray) -> Instances:
        """Give the objects that `which` (K,) bool marks."""
        return Instances(
            self.boxes[which],
            self.classes[which],
            tuple(mask for mask, is_chosen in zip(self.masks, which, strict=True) if is_chosen),
            self.is_crowd[which],
            self.areas[which],
        )

    def flipped(self, size: tuple[int, int], *, upside_down: bool) -> Instances:
        """Mirror left and right, or top and bottom, of an image of `size`."""
        axis = int(upside_down)
        extent = size[1 - axis]  # width for a mirror in x

        def mirror(points: np.ndarray) -> np.ndarray:
            mirrored: np.ndarray = points.copy()
            mirrored[:, axis] = extent - mirrored[:, axis]
            return mirrored

        boxes = self.boxes.copy()
        boxes[:, axis], boxes[:, axis + 2] = (
            extent - self.boxes[:, axis + 2],
            extent - self.boxes[:, axis],
        )
        return self._moved(boxes, mirror, lambda mask: np.flip(mask, 1 - axis))

    def resized(self, old: tuple[int, int], new: tuple[int, int]) -> Instances:
        """Scale with an image that goes from size `old` to size `new`.

        Drops objects of which no pixel is left.
        """
        import cv2

        factors = np.array([new[1] / old[1], new[0] / old[0]])

        def resize(mask: np.ndarray) -> np.ndarray:
            resized: np.ndarray = cv2.resize(
                mask, (new[1], new[0]), interpolation=cv2.INTER_NEAREST_EXACT
            )
            return resized

        boxes = (self.boxes * np.tile(factors, 2)).astype(np.float32)
        return self._moved(boxes, lambda points: points * factors, resize).present()

    def cropped(self, top: int, left: int, size: tuple[int, int]) -> Instances:
        """Keep what is within the window of `size` whose first pixel is (`top`, `left`).

        A box is cut at the border, and shrinks to what is left of its mask where that is less.
        Objects of which no pixel is left, or less than `SMALLEST_SIDE` of a side, are dropped.
        """
        height, width = size
        boxes = self.boxes - np.array([left, top, left, top], np.float32)
        if len(self) and (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width, height)).all():
            # all is inside, so polygons need no cutting
            moved = self._moved(
                boxes,
                lambda points: points - (left, top),
                lambda mask: _window(mask, top, left, size),
            )
            return moved.present()
        moved = self._moved(
            boxes,
            lambda points: clip_polygon(points - (left, top), width, height),
            lambda mask: _window(mask, top, left, size),
        )
        return moved.within(size)

    def padded(self, size: tuple[int, int]) -> Instances:
        """Let an image grow to `size`, to the right and at the bottom."""

        def pad(mask: np.ndarray) -> np.ndarray:
            below, right = (max(n - o, 0) for n, o in zip(size, mask.shape, strict=True))
            return np.pad(mask, ((0, below), (0, right)))

        return self._moved(self.boxes, lambda points: points, pad)

    def warped(self, matrix: np.ndarray, size: tuple[int, int]) -> Instances:
        """Move by the affine `matrix` (2, 3) onto an image of `size`; boxes fit the masks anew."""
        import cv2

        def warp(mask: np.ndarray) -> np.ndarray:
            moved: np.ndarray = cv2.warpAffine(
                mask, matrix, (size[1], size[0]), flags=cv2.INTER_NEAREST
            )
            return moved

        # cv2 moves the centres of pixels, which are at whole numbers there and half ones here
        turn = matrix[:, :2]
        shift = turn @ np.array((-0.5, -0.5)) + matrix[:, 2] + 0.5
        moved = self._moved(self.boxes, lambda points: points @ turn.T + shift, warp).present()
        boxes = np.array([box_of(mask) for mask in moved.masks], np.float32).reshape(-1, 4)
        cut = replace(moved, boxes=boxes)
        return cut.cropped(0, 0, size)

    def within(self, size: tuple[int, int]) -> Instances:
        """Cut boxes at the borders of an image of `size`, and drop what is left without an inside.

        The rule: an object stays when its mask has a pixel or an outline left and its box at least
        `SMALLEST_SIDE` pixels of width and of height.
        """
        kept = self.present()
        limits = np.array([size[1], size[0]] * 2, np.float32)
        boxes = np.clip(kept.boxes, 0, limits)
        visible = np.array([box_of(mask) for mask in kept.masks], np.float32).reshape(-1, 4)
        # the box of a file is looser than its outline; a cut may leave much less of the outline
        cut = (boxes != kept.boxes).any(axis=1, keepdims=True)
        tight = np.concatenate(
            [np.maximum(boxes[:, :2], visible[:, :2]), np.minimum(boxes[:, 2:], visible[:, 2:])], 1
        )
        boxes = np.where(cut, tight, boxes)
        shortest: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
        return replace(kept, boxes=boxes).chosen(shortest >= SMALLEST_SIDE)

    def _moved(
        self,
        boxes: np.ndarray,
        move_points: Callable[[np.ndarray], np.ndarray],
        move_pixels: Callable[[np.ndarray], np.ndarray],
    ) -> Instances:
        """Move each mask in its own form: outlines as points, runs as pixels."""
        masks: list[Mask] = []
        for mask in self.masks:
            if isinstance(mask, Rle):
                masks.append(encode_mask(move_pixels(decode_mask(mask))))
            else:
                polygons = (move_points(polygon) for polygon in mask)
                masks.append(tuple(polygon for polygon in polygons if len(polygon) >= 3))
        return replace(self, boxes=boxes, masks=tuple(masks))

    def present(self) -> Instances:
        """Drop the objects whose masks are empty."""
        present = [
            bool(rle_area(mask)) if isinstance(mask, Rle) else bool(mask) for mask in self.masks
        ]
        return self if all(present) else self.chosen(np.array(present, bool))


@dataclass(frozen=True, eq=False)
class Detections:
    """R objects that a network found in an image of `size`, best first.

    `boxes` is (R, 4) float32, `scores` (R,) float32 in 0..1, `classes` (R,) int64, `masks` the
    pixels of each in the size of the image.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: tuple[Rle, ...]

    def __len__(self) -> int:
        return len(self.masks)

    def above(self, score: float) -> Detections:
        """Give the objects that score `score` or more."""
        which = np.flatnonzero(self.scores >= score)
        masks = tuple(self.masks[number] for number in which)
        return Detections(
            self.size, self.boxes[which], self.scores[which], self.classes[which], masks
        )


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of an image of `size`, for metrics to compare with `Detections`."""

    size: tuple[int, int]
    instances: Instances


def mask_rle(mask: Mask, size: tuple[int, int]) -> Rle:
    """Give the pixels of `mask` in an image of `size`."""
    return mask if isinstance(mask, Rle) else polygon_rle(mask, *size)


def box_of(mask: Mask) -> tuple[float, float, float, float]:
    """Give the smallest box around `mask` as x1, y1, x2, y2."""
    if isinstance(mask, Rle):
        x, y, width, height = rle_box(mask)
        return x, y, x + width, y + height
    return polygon_box(mask)


def _window(mask: np.ndarray, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    return mask[top : top + size[0], left : left + size[1]]


def list_instances(
    boxes: Sequence[Sequence[float]],
    classes: Sequence[int],
    masks: Sequence[Mask],
    is_crowd: Sequence[bool],
    areas: Sequence[float],
) -> Instances:
    """Make `Instances` of plain lists."""
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes, np.int64),
        tuple(masks),
        np.array(is_crowd, bool),
        np.array(areas, np.float64),
    )
