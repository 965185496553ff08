"""Random crops of a fixed size: what makes samples of different images fit into one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from segcore.config.schema import Size
from segcore.data.transforms.raster import crop, pad
from segcore.data.transforms.transform import (
    DEFAULTS,
    LabelValue,
    PixelValue,
    SampleTransform,
    or_default,
)

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["RandomPaddingCrop"]


class RandomPaddingCrop(SampleTransform):
    """Crop a window of `crop_size` at random; smaller images are filled up first.

    With `category_max_ratio` below 1, windows in which one class covers as large a share of the
    counted pixels, or all of them, are drawn anew, up to `loop_times` times.
    """

    crop_size: Size | None = Field(
        None, description="Size of the window: [width, height] in px; null takes train.crop_size"
    )
    im_padding_value: PixelValue = Field(127.5, description="Pixel value of the filling")
    label_padding_value: LabelValue | None = Field(
        None, description="Label value of the filling; null takes data.ignore_index"
    )
    category_max_ratio: float = Field(
        1.0, gt=0, description="Share of the window that one class may cover"
    )
    ignore_index: LabelValue | None = Field(
        None, description="Label value that does not count; null takes data.ignore_index"
    )
    loop_times: int = Field(10, gt=0, description="Windows tried for category_max_ratio")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        width, height = or_default(self.crop_size, DEFAULTS.crop_size)
        size = (height, width)
        if sample.size == size:
            return sample
        label_value = or_default(self.label_padding_value, DEFAULTS.ignore_index)
        padded = pad(sample, size, self.im_padding_value, label_value)
        window = crop(padded, *_corner(padded, size, rng), size)
        if self.category_max_ratio < 1:
            for _ in range(self.loop_times):
                if window.label is None or self._is_mixed(window.label):
                    break
                window = crop(padded, *_corner(padded, size, rng), size)
        return window

    def _is_mixed(self, label: np.ndarray) -> bool:
        import numpy as np

        values, counts = np.unique(label, return_counts=True)
        counts = counts[values != or_default(self.ignore_index, DEFAULTS.ignore_index)]
        return len(counts) > 1 and bool(counts.max() < self.category_max_ratio * counts.sum())


def _corner(sample: Sample, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    top = int(rng.integers(sample.size[0] - size[0] + 1))
    return top, int(rng.integers(sample.size[1] - size[1] + 1))
