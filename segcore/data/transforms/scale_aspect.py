"""Random crops of random area and shape, stretched back to the size of the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from segcore.data.transforms.raster import crop, resize
from segcore.data.transforms.transform import SampleTransform

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["RandomScaleAspect"]

ATTEMPTS = 10


class RandomScaleAspect(SampleTransform):
    """Crop a part of random area and aspect ratio, and stretch it to the size before.

    When none of ten drawn parts fits into the image, the sample stays as it is; 0 for either
    option switches the transform off.
    """

    min_scale: float = Field(0.5, ge=0, le=1, description="Smallest area of the part, as a share")
    aspect_ratio: float = Field(
        0.33, ge=0, le=1, description="Smallest ratio of the sides of the part"
    )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.min_scale == 0 or self.aspect_ratio == 0:
            return sample
        height, width = sample.size
        for _ in range(ATTEMPTS):
            area = height * width * rng.uniform(self.min_scale, 1.0)
            ratio = rng.uniform(self.aspect_ratio, 1.0 / self.aspect_ratio)
            part = int(math.sqrt(area / ratio)), int(math.sqrt(area * ratio))
            if rng.random() < 0.5:
                part = part[::-1]
            if 0 < part[0] < height and 0 < part[1] < width:
                top = int(rng.integers(height - part[0]))
                left = int(rng.integers(width - part[1]))
                return resize(crop(sample, top, left, part), (height, width))
        return sample
