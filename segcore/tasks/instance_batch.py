"""Samples of instance segmentation joined to one batch: NumPy only, so that workers stay small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segcore.errors import DataError
from segcore.tasks.instances import Instances
from segcore.tasks.sample import Sample

__all__ = ["SIZE_DIVISOR", "InstanceBatch", "collate_instances", "join_images", "scale_of"]

SIZE_DIVISOR = 32
"""Sides of batches are multiples of this, which the strides of networks divide."""


@dataclass
class InstanceBatch:
    """N images, filled up at the right and the bottom to one size, and the objects of each.

    `images` is float32 (N, C, H, W); `im_shape` (N, 2) float32 are height and width before the
    filling. `indices` and `sources` say which samples these are, `warnings` what was noticed while
    reading each (see `segcore.data.tally`).
    """

    images: np.ndarray
    im_shape: np.ndarray
    scale_factor: np.ndarray
    instances: tuple[Instances, ...]
    indices: tuple[int, ...]
    sources: tuple[str, ...]
    warnings: tuple[tuple[str, ...], ...] = ()


def collate_instances(samples: Sequence[Sample]) -> InstanceBatch:
    """Join samples for training; boxes are cut at the borders of their images.

    Raises DataError where the objects are missing.
    """
    instances = []
    for sample in samples:
        if sample.instances is None:
            raise DataError(f"{sample.source}: has no objects, which training needs")
        instances.append(sample.instances.within(sample.size))
    return InstanceBatch(
        images=join_images(samples),
        im_shape=np.array([sample.size for sample in samples], np.float32),
        scale_factor=np.array([scale_of(sample) for sample in samples], np.float32),
        instances=tuple(instances),
        indices=tuple(sample.index for sample in samples),
        sources=tuple(sample.source for sample in samples),
        warnings=tuple(tuple(sample.warnings) for sample in samples),
    )


def join_images(samples: Sequence[Sample]) -> np.ndarray:
    """Stack images as (N, C, H, W), filled up with zeros, the mean of normalised images."""
    heights, widths = zip(*(sample.size for sample in samples), strict=True)
    height, width = (-(-max(sides) // SIZE_DIVISOR) * SIZE_DIVISOR for sides in (heights, widths))
    channels = samples[0].image.shape[2]
    images = np.zeros((len(samples), channels, height, width), np.float32)
    for image, sample in zip(images, samples, strict=True):
        image[:, : sample.size[0], : sample.size[1]] = sample.image.transpose(2, 0, 1)
    return images


def scale_of(sample: Sample) -> tuple[float, float]:
    """Give by what y and x of the original image were multiplied, as far as `geometry` tells."""
    scale = [1.0, 1.0]
    sizes = [size for _, size in sample.geometry] + [sample.size]
    for (kind, before), after in zip(sample.geometry, sizes[1:], strict=True):
        if kind == "resize":
            scale = [
                factor * new / old for factor, new, old in zip(scale, after, before, strict=True)
            ]
    return scale[0], scale[1]
