"""Bring what a network said about a prepared image back to the size of the original image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["restore_class_map", "restore_logits"]

Geometry = Sequence[tuple[str, tuple[int, int]]]


def restore_logits(logits: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Undo the changes of size in `geometry` (see `Sample`) on `logits` (C, H, W), bilinearly."""
    for kind, (height, width) in reversed(geometry):
        if kind == "padding":
            logits = logits[:, :height, :width]
        else:
            logits = _resize_linear(logits, height, width)
    return logits


def restore_class_map(classes: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Undo the changes of size in `geometry` on `classes` (H, W) by the nearest pixel."""
    for kind, (height, width) in reversed(geometry):
        if kind == "padding":
            classes = classes[:height, :width]
        else:
            rows = _nearest(classes.shape[0], height)
            classes = classes[rows[:, None], _nearest(classes.shape[1], width)]
    return classes


def _resize_linear(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    import cv2

    # a channel at a time: OpenCV's limit of four channels would apply to an H x W x C array
    return np.stack(
        [
            cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR)
            for channel in np.ascontiguousarray(logits)
        ]
    )


def _nearest(old: int, new: int) -> np.ndarray:
    """Give the source index of each of `new` positions: the pixel under its centre."""
    return np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
