"""What the mask head shall draw: an object within a box, at the resolution of the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
from paddle.vision import ops

from segcore.tasks.polygon import rasterise

__all__ = ["draw_targets"]

_SMALLEST_PX = 0.1  # a box's side, so that degenerate ones do not divide by zero


def draw_targets(
    segmentations: Sequence[Any], objects: np.ndarray, boxes: np.ndarray, resolution: int
) -> np.ndarray:
    """Draw within each of `boxes` (P, 4) the object with the index in `objects` (P,).

    A segmentation is a list of polygons (n, 2) or a bitmap (H, W). Gives (P, R, R) uint8.
    """
    targets = np.zeros((len(objects), resolution, resolution), np.uint8)
    for number in np.unique(objects):
        rows = np.flatnonzero(objects == number)
        shape = segmentations[number]
        if isinstance(shape, np.ndarray):
            targets[rows] = _crop_bitmap(shape, boxes[rows], resolution)
            continue
        polygons = [np.asarray(polygon, np.float64) for polygon in shape]
        for row in rows:
            targets[row] = _draw_polygons(polygons, boxes[row].astype(np.float64), resolution)
    return targets


def _draw_polygons(polygons: Sequence[np.ndarray], box: np.ndarray, resolution: int) -> np.ndarray:
    scale = resolution / np.maximum(box[2:] - box[:2], _SMALLEST_PX)
    moved = [(polygon - box[:2]) * scale for polygon in polygons]
    return rasterise(moved, resolution, resolution)


def _crop_bitmap(bitmap: np.ndarray, boxes: np.ndarray, resolution: int) -> np.ndarray:
    """Average `bitmap` (H, W) over the cells of each box, and decide: (P, R, R)."""
    image = paddle.to_tensor(bitmap.astype(np.float32)[None, None])
    count = paddle.to_tensor([len(boxes)], "int32")
    rois = paddle.to_tensor(boxes.astype(np.float32))
    found = ops.roi_align(image, rois, count, resolution, sampling_ratio=0, aligned=True)
    crops: np.ndarray = found.numpy()[:, 0] >= 0.5
    return crops.astype(np.uint8)
