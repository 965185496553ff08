"""What the transforms of this package share: their base class and the values of a whole run."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field

from segcore.config.schema import Section
from segcore.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["DEFAULTS", "LabelValue", "PixelValue", "Probability", "RunValues", "SampleTransform"]

T = TypeVar("T")

Probability = Annotated[float, Field(ge=0, le=1)]
PixelValue = Annotated[float, Field(ge=0, le=255)]
LabelValue = Annotated[int, Field(ge=0, le=65535)]


@dataclass(frozen=True)
class RunValues:
    """Values for options that are null, where no run states them.

    `crop_size` is (width, height) in pixels; `mean` and `std` are by channel, for images in 0..1.
    """

    crop_size: tuple[int, int] = (512, 512)
    ignore_index: int = 255
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)


DEFAULTS = RunValues()
"""What null means for a transform that is used outside of a run."""


class SampleTransform(Section):
    """A change of samples; the fields are its options."""

    @abstractmethod
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the changed sample and leave the given one as it is."""

    def _require_bytes(self, sample: Sample) -> None:
        """Raise ConfigError unless the image still is as it was read, in 0..255."""
        import numpy as np

        if sample.image.dtype != np.uint8:
            raise ConfigError(
                f"{type(self).__name__} works on images as they are read (uint8, 0..255) but got "
                f"{sample.image.dtype}: put it before Normalize in the list of transforms"
            )


def or_default(value: T | None, default: T) -> T:
    """Give `value`, or `default` where it is null; 0 and empty values count as given."""
    return default if value is None else value


def record(sample: Sample, change: str) -> Sample:
    """Note the size that the image has now, before the `change` ("resize" or "padding") of it."""
    return replace(sample, geometry=[*sample.geometry, (change, sample.size)])
