"""Smooth random fields: what makes a drawing look like a photograph."""

from __future__ import annotations

import numpy as np

__all__ = ["cloud", "finish", "grid"]


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Give x and y of the pixel centres, from 0 to 1, each (size, size) float32."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    return x, y


def cloud(
    rng: np.random.Generator, size: int, cells: int, octaves: int = 4, gain: float = 0.55
) -> np.ndarray:
    """Sum `octaves` layers of smoothed noise, the coarsest of `cells` x `cells` values.

    Gives (size, size) float32 with mean 0 and standard deviation 1. `gain` is the amplitude of a
    layer relative to the one before (fractal Brownian motion, as in Perlin's noise).
    """
    import cv2

    total = np.zeros((size, size), np.float32)
    amplitude = 1.0
    for octave in range(octaves):
        side = min(cells * 2**octave, size)
        layer = rng.standard_normal((side, side)).astype(np.float32)
        total += amplitude * cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC)
        amplitude *= gain
    spread = float(total.std()) or 1.0
    field: np.ndarray = (total - total.mean()) / spread
    return field


def finish(image: np.ndarray, rng: np.random.Generator, blur: float, noise: float) -> np.ndarray:
    """Turn float RGB (H, W, 3) in 0..1 into uint8, as a camera with soft lens and grain would.

    `blur` is the standard deviation in pixels, `noise` that of the grain on the scale 0..1.
    """
    import cv2

    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur) if blur > 0 else image
    height, width = image.shape[:2]
    grain = rng.standard_normal((height, width, 3)).astype(np.float32)
    # Demosaicing and compression leave grain of more than one pixel behind.
    grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * (2 * noise)
    bright = np.sqrt(np.clip(soft.mean(axis=2, keepdims=True), 0.02, 1))
    finished: np.ndarray = np.clip((soft + grain * bright) * 255 + 0.5, 0, 255).astype(np.uint8)
    return finished
