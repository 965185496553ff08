"""Colours of classes in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

__all__ = ["class_palette", "voc_palette"]


@lru_cache(maxsize=8)
def voc_palette(num_classes: int) -> np.ndarray:
    """Give the colours of PASCAL VOC, (num_classes, 3) RGB uint8; class 0 is black.

    The bits of a class number, three at a time, become the bits of red, green and blue from the
    highest down, so that near numbers get far colours (VOC development kit, `VOClabelcolormap`).
    They repeat after 2**24 classes.
    """
    numbers = np.arange(num_classes, dtype=np.int64)
    colours = np.zeros((num_classes, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    palette: np.ndarray = colours.astype(np.uint8)
    palette.setflags(write=False)  # it is shared by all callers
    return palette


def class_palette(colours: Sequence[tuple[int, int, int] | None]) -> np.ndarray:
    """Give (classes, 3) uint8 with `colours` for the first classes, and VOC's where one is None."""
    palette: np.ndarray = voc_palette(max(256, len(colours))).copy()
    for number, colour in enumerate(colours):
        if colour is not None:
            palette[number] = colour
    return palette
