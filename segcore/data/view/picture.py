"""Samples made small, to be shown."""

from __future__ import annotations

import numpy as np

from segcore.data.report.record import Picture

__all__ = ["make_picture"]


def make_picture(
    image: np.ndarray,
    label: np.ndarray | None,
    side: int,
    *,
    source: str,
    split: str,
    notes: tuple[str, ...] = (),
    prediction: np.ndarray | None = None,
) -> Picture:
    """Make a picture of at most `side` x `side` pixels of `image` (H, W, C) uint8.

    `source` describes the sample as datasets do: its name, and its place in brackets.

    One channel is shown as grey, as is the first of two; the first three of more are red, green
    and blue. Class maps keep their values; small images stay as they are.
    """
    import cv2

    height, width = image.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    shown = np.ascontiguousarray(image[..., : 3 if image.shape[2] >= 3 else 1])
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    small = np.ascontiguousarray(np.broadcast_to(small.reshape(*size[::-1], -1), (*size[::-1], 3)))

    def shrink(labels: np.ndarray | None) -> np.ndarray | None:
        if labels is None:
            return None
        return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST))

    name, bracket, place = source.rpartition(" (")
    if not bracket or not place.endswith(")"):
        name, place = source, f"{split})"
    return Picture(
        source=name,
        place=place[:-1],
        image=small,
        label=shrink(label),
        prediction=shrink(prediction),
        notes=notes,
    )
