"""From pixel values to what networks take: scaled to 0..1, mean subtracted, divided by std."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import Field, field_validator
from typing_extensions import override

from segcore.config.schema import Channels
from segcore.data.transforms.transform import DEFAULTS, SampleTransform, or_default
from segcore.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["Normalize"]


class Normalize(SampleTransform):
    """Scale images to 0..1, subtract `mean` and divide by `std`, by channel; gives float32.

    One value stands for all channels.
    """

    mean: Channels | None = Field(
        None, description="Subtracted from images in 0..1, by channel; null takes data.mean"
    )
    std: Channels | None = Field(
        None, description="Divides images after the mean, by channel; null takes data.std"
    )

    @field_validator("std")
    @classmethod
    def _not_zero(cls, std: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if std is not None and min(std) <= 0:
            raise ValueError("every deviation must be above 0")
        return std

    @override
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        import numpy as np

        channels = sample.image.shape[2]
        mean = self._by_channel("mean", or_default(self.mean, DEFAULTS.mean), channels)
        std = self._by_channel("std", or_default(self.std, DEFAULTS.std), channels)
        if sample.image.dtype == np.uint8:
            image = _look_up(sample.image, mean, std)
        else:
            image = _normalized(sample.image, mean, std)
        return replace(sample, image=image)

    def _by_channel(self, key: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
        if len(values) not in (1, channels):
            raise ConfigError(
                f"Normalize.{key} has {len(values)} values but images have {channels} channels: "
                f"give one value a channel, or one for all (see data.{key} and data.channels)"
            )
        return values if len(values) == channels else values * channels


def _normalized(image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    # float32 division first, then float64 constants into float32: bit for bit as PaddleSeg does
    import numpy as np

    values: np.ndarray = image.astype(np.float32) / np.float32(255.0)
    values -= np.asarray(mean)
    values /= np.asarray(std)
    return values


def _look_up(image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Normalise a uint8 image through a table, 10 times faster than arithmetic, with equal bits.

    The result is an (H, W, C) view of (C, H, W) memory, the order in which batches are stacked.
    """
    import cv2
    import numpy as np

    planes = np.empty((image.shape[2], *image.shape[:2]), np.float32)
    for source, table, plane in zip(cv2.split(image), _tables(mean, std), planes, strict=True):
        cv2.LUT(source, table, plane)
    interleaved: np.ndarray = planes.transpose(1, 2, 0)
    return interleaved


@lru_cache(maxsize=8)
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    import numpy as np

    every_value = np.arange(256, dtype=np.uint8)[:, np.newaxis].repeat(len(mean), axis=1)
    return tuple(np.ascontiguousarray(_normalized(every_value, mean, std).T))
