"""Random blur."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from segcore.data.transforms.raster import by_planes
from segcore.data.transforms.transform import Probability, SampleTransform

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["RandomBlur"]

Kernel = Literal["gaussian", "median", "blur"]


class RandomBlur(SampleTransform):
    """Blur with a kernel of random odd size from 3 to 9, sometimes.

    `prob` is taken at its word; PaddleSeg rounds it to one over a whole number.
    """

    prob: Probability = Field(0.1, description="Probability of a blur")
    blur_type: Kernel | Literal["random"] = Field(
        "gaussian", description="Kind of blur; random draws one for each sample"
    )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        self._require_bytes(sample)
        if rng.random() >= self.prob:
            return sample
        size = int(rng.integers(3, 10)) // 2 * 2 + 1
        kind: Kernel = self._draw(rng) if self.blur_type == "random" else self.blur_type
        # a median is taken of one, three or four channels, and each by itself
        most = 1 if kind == "median" and sample.image.shape[2] != 3 else 4
        image = by_planes(sample.image, lambda planes: _blur(planes, kind, size), most)
        return replace(sample, image=image)

    @staticmethod
    def _draw(rng: np.random.Generator) -> Kernel:
        chance = rng.random()
        if chance < 0.3:
            return "gaussian"
        return "median" if chance < 0.6 else "blur"


def _blur(image: np.ndarray, kind: Kernel, size: int) -> np.ndarray:
    import cv2
    import numpy as np

    blurred: np.ndarray
    if kind == "gaussian":
        blurred = cv2.GaussianBlur(image, (size, size), 0)
    elif kind == "median":
        blurred = cv2.medianBlur(np.ascontiguousarray(image), size)
    else:
        blurred = cv2.blur(image, (size, size))
    return blurred
