"""Lay the colours of classes over images."""

from __future__ import annotations

import numpy as np

from segcore.data.palette import voc_palette

__all__ = ["draw_overlay", "find_borders", "rgb_of"]


def draw_overlay(
    image: np.ndarray, labels: np.ndarray, palette: np.ndarray | None = None, alpha: float = 0.5
) -> np.ndarray:
    """Give `image`, (H, W, C) uint8, with the classes of `labels` (H, W) over it.

    The picture is (H, W, 3), of the channels that `rgb_of` shows. Black classes, as the background
    is by default, leave the image as it is. Borders between classes are drawn in full colour.
    `palette` is (classes, 3) uint8, VOC's where it is None.
    """
    import cv2

    if palette is None:
        palette = voc_palette(max(256, int(labels.max(initial=0)) + 1))
    colours = np.take(palette, labels, axis=0)
    image = rgb_of(image)
    picture: np.ndarray = cv2.addWeighted(image, 1 - alpha, colours, alpha, 0)
    cv2.copyTo(colours, find_borders(labels).view(np.uint8), picture)
    black = ~palette.any(axis=1)
    cv2.copyTo(image, np.take(black, labels).view(np.uint8), picture)
    return picture


def rgb_of(image: np.ndarray) -> np.ndarray:
    """Give a picture (H, W, 3) of `image` (H, W, C), a copy unless C is 3.

    One channel is shown as grey, as is the first of two; the first three of more are red, green
    and blue.
    """
    shown = image[..., : 3 if image.shape[2] >= 3 else 1]
    return np.ascontiguousarray(np.broadcast_to(shown, (*image.shape[:2], 3)))


def find_borders(labels: np.ndarray) -> np.ndarray:
    """Mark the pixels (H, W) whose right or lower neighbour is of another class, and those."""
    borders = np.zeros(labels.shape, bool)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    borders[:, 1:] |= across
    borders[:, :-1] |= across
    borders[1:] |= down
    borders[:-1] |= down
    return borders
