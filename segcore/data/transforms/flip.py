"""Random mirroring."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from segcore.data.transforms.raster import with_channels
from segcore.data.transforms.transform import Probability, SampleTransform

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["RandomHorizontalFlip", "RandomVerticalFlip"]


class RandomHorizontalFlip(SampleTransform):
    """Exchange left and right, sometimes."""

    prob: Probability = Field(0.5, description="Probability of a flip")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _flip(sample, 1) if rng.random() < self.prob else sample


class RandomVerticalFlip(SampleTransform):
    """Exchange top and bottom, sometimes."""

    prob: Probability = Field(0.1, description="Probability of a flip")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _flip(sample, 0) if rng.random() < self.prob else sample


def _flip(sample: Sample, axis: int) -> Sample:
    import cv2

    # A reversed view costs nothing here but makes whatever reads it several times slower.
    label = None if sample.label is None else cv2.flip(sample.label, axis)
    image = with_channels(cv2.flip(sample.image, axis))
    instances = sample.instances and sample.instances.flipped(sample.size, upside_down=axis == 0)
    return replace(sample, image=image, label=label, instances=instances)
