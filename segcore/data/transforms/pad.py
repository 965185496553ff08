"""Changes of size that fill up: to a given size, or to a given ratio of the sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from segcore.config.schema import Size
from segcore.data.transforms.raster import pad
from segcore.data.transforms.transform import (
    DEFAULTS,
    LabelValue,
    PixelValue,
    SampleTransform,
    or_default,
    record,
)
from segcore.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["Padding", "PaddingByAspectRatio"]


class _Filling(SampleTransform):
    """What fills the space that images do not."""

    im_padding_value: PixelValue = Field(127.5, description="Pixel value of the filling")
    label_padding_value: LabelValue | None = Field(
        None, description="Label value of the filling; null takes data.ignore_index"
    )

    def _fill(self, sample: Sample, height: int, width: int) -> Sample:
        label_value = or_default(self.label_padding_value, DEFAULTS.ignore_index)
        return pad(record(sample, "padding"), (height, width), self.im_padding_value, label_value)


class Padding(_Filling):
    """Fill images up to `target_size`, to the right and at the bottom.

    Raises DataError for an image that is larger.
    """

    target_size: Size = Field(description="Size to reach: [width, height] in px")

    @override
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        width, height = self.target_size
        if sample.size[0] > height or sample.size[1] > width:
            raise DataError(
                f"{sample.source}: image of {sample.size[1]} x {sample.size[0]} px is larger than "
                f"Padding.target_size {width} x {height}: put LimitLong or Resize before Padding"
            )
        return self._fill(sample, height, width)


class PaddingByAspectRatio(_Filling):
    """Fill images up, to the right or at the bottom, until width / height is `aspect_ratio`."""

    aspect_ratio: float = Field(1.0, ge=1e-6, le=1e6, description="Width by height to reach")

    @override
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.size
        if width / height == self.aspect_ratio:
            return sample
        if width / height > self.aspect_ratio:
            return self._fill(sample, int(width / self.aspect_ratio), width)
        return self._fill(sample, height, int(height * self.aspect_ratio))
