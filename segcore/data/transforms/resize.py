"""Changes of size that scale: to a given size, by one side, or by a random factor.

All but `ResizeStepScaling` and `ResizeRangeScaling`, which are for training, record the size
before, so that predictions can be brought back by `segcore.tasks.restore`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from segcore.config.schema import Side, Size
from segcore.data.transforms.raster import INTERPOLATIONS, Interpolation, resize
from segcore.data.transforms.transform import SampleTransform, record

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    from segcore.tasks.sample import Sample

__all__ = [
    "LimitLong",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
    "ResizeRangeScaling",
    "ResizeStepScaling",
]

_MOST_STEPS = 2**20
_MOST_PX = 2.0**31

Sides = Annotated[tuple[Side, ...], Field(strict=False, min_length=1)]


class Resize(SampleTransform):
    """Resize to `target_size`; with `keep_ratio`, to the largest size that fits into it."""

    target_size: Size = Field((512, 512), description="Size to reach: [width, height] in px")
    keep_ratio: bool = Field(False, description="Keep the ratio of width to height")
    size_divisor: int | None = Field(
        None, gt=0, description="Round both sides up to multiples of this"
    )
    interp: Interpolation | Literal["RANDOM"] = Field(
        "LINEAR", description="Interpolation of images; RANDOM draws one for each sample"
    )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        interpolation: Interpolation
        if self.interp == "RANDOM":
            interpolation = INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]
        else:
            interpolation = self.interp
        return resize(record(sample, "resize"), self._size(*sample.size), interpolation)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        new_width, new_height = self.target_size
        if self.keep_ratio:
            # The target has a long and a short side; which of them is the width does not matter.
            scale = min(
                max(self.target_size) / max(height, width),
                min(self.target_size) / min(height, width),
            )
            new_width, new_height = round(width * scale), round(height * scale)
        if self.size_divisor is not None:
            new_width = math.ceil(new_width / self.size_divisor) * self.size_divisor
            new_height = math.ceil(new_height / self.size_divisor) * self.size_divisor
        return new_height, new_width


class ResizeByLong(SampleTransform):
    """Scale so that the long side gets `long_size` pixels."""

    long_size: Side = Field(description="Long side to reach, in px")

    @override
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        scale = self.long_size / max(sample.size)
        return resize(record(sample, "resize"), _scaled(sample, scale))


class ResizeByShort(SampleTransform):
    """Scale so that the short side gets `short_size` pixels, the long one at most `max_size`."""

    short_size: Side | Sides = Field(
        description="Short side to reach, in px; of several, one is drawn for each sample"
    )
    max_size: float = Field(1e10, gt=0, description="Largest long side, in px")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        choices = self.short_size if isinstance(self.short_size, tuple) else (self.short_size,)
        target = choices[0] if len(choices) == 1 else choices[rng.integers(len(choices))]
        short, long = min(sample.size), max(sample.size)
        if target / short * long > self.max_size:
            target = int(self.max_size / long * short)
        return resize(record(sample, "resize"), _scaled(sample, target / short))


class LimitLong(SampleTransform):
    """Scale where the long side is above `max_long` or below `min_long` pixels."""

    max_long: Side | None = Field(None, description="Largest long side, in px")
    min_long: Side | None = Field(None, description="Smallest long side, in px")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (
            self.max_long is not None
            and self.min_long is not None
            and self.min_long > self.max_long
        ):
            raise ValueError(f"min_long ({self.min_long}) is above max_long ({self.max_long})")
        return self

    @override
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        long = target = max(sample.size)
        if self.max_long is not None:
            target = min(target, self.max_long)
        if self.min_long is not None:
            target = max(target, self.min_long)
        return resize(record(sample, "resize"), _scaled(sample, target / long))


class ResizeRangeScaling(SampleTransform):
    """Scale so that the long side gets a random length between two bounds; for training."""

    min_value: Side = Field(400, description="Smallest long side, in px")
    max_value: Side = Field(600, description="Largest long side, in px")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_value > self.max_value:
            raise ValueError(f"min_value ({self.min_value}) is above max_value ({self.max_value})")
        return self

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        long = int(rng.integers(self.min_value, self.max_value + 1))
        return resize(sample, _scaled(sample, long / max(sample.size)))


class ResizeStepScaling(SampleTransform):
    """Scale by a random factor, one of equal steps between two bounds; for training."""

    min_scale_factor: float = Field(0.75, gt=0, description="Smallest factor")
    max_scale_factor: float = Field(1.25, gt=0, description="Largest factor")
    scale_step_size: float = Field(
        0.25, ge=0, description="Distance between factors; 0 allows any between the bounds"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_scale_factor > self.max_scale_factor:
            raise ValueError(
                f"min_scale_factor ({self.min_scale_factor}) is above max_scale_factor "
                f"({self.max_scale_factor})"
            )
        return self

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        import numpy as np

        low, high = self.min_scale_factor, self.max_scale_factor
        if low == high:
            factor = low
        elif self.scale_step_size == 0:
            factor = float(rng.uniform(low, high))
        else:
            steps = int(min((high - low) / self.scale_step_size, _MOST_STEPS) + 1)
            factor = float(np.linspace(low, high, steps)[rng.integers(steps)])
        return resize(sample, _scaled(sample, factor))


def _scaled(sample: Sample, scale: float) -> tuple[int, int]:
    height, width = sample.size
    return round(min(height * scale, _MOST_PX)), round(min(width * scale, _MOST_PX))
