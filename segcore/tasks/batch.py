"""Samples of semantic segmentation joined to one batch: NumPy only, so that workers stay small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segcore.errors import DataError
from segcore.tasks.sample import Sample

__all__ = ["SemanticBatch", "collate_semantic"]


@dataclass
class SemanticBatch:
    """N samples of one size.

    `images` is float32 (N, C, H, W); `labels` is (N, H, W) in the integers that the labels were
    read as. `indices` and `sources` say which samples these are, `warnings` what was noticed while
    reading each (see `segcore.data.tally`).
    """

    images: np.ndarray
    labels: np.ndarray
    indices: tuple[int, ...]
    sources: tuple[str, ...]
    warnings: tuple[tuple[str, ...], ...] = ()


def collate_semantic(samples: Sequence[Sample]) -> SemanticBatch:
    """Stack samples for training. Raises DataError where sizes differ or a label is missing."""
    first = samples[0]
    height, width, channels = first.image.shape
    images = np.empty((len(samples), channels, height, width), np.float32)
    labels = []
    for image, sample in zip(images, samples, strict=True):
        if sample.image.shape != first.image.shape:
            raise DataError(
                f"{sample.source} is {_shape(sample)} after the transforms but {first.source} is "
                f"{_shape(first)}: a batch needs one size, so end the changes of size with "
                "RandomPaddingCrop or Resize"
            )
        if sample.label is None:
            raise DataError(f"{sample.source}: has no label, which training needs")
        image[...] = sample.image.transpose(2, 0, 1)
        labels.append(sample.label)
    return SemanticBatch(
        images=images,
        labels=np.stack(labels),
        indices=tuple(sample.index for sample in samples),
        sources=tuple(sample.source for sample in samples),
        warnings=tuple(tuple(sample.warnings) for sample in samples),
    )


def _shape(sample: Sample) -> str:
    return f"{sample.size[1]} x {sample.size[0]} px with {sample.image.shape[2]} channels"
