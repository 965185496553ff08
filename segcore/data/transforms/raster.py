"""Changes of size of images, labels and objects, through OpenCV.

OpenCV drops a single channel's axis, and takes at most four channels here and there; `by_planes`
makes good for both.

Sizes are (H, W) in pixels. Labels are never interpolated: a mixture of classes is no class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from segcore.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = [
    "INTERPOLATIONS",
    "MAX_PIXELS",
    "Interpolation",
    "by_planes",
    "crop",
    "pad",
    "resize",
    "with_channels",
]

MAX_PIXELS = 2**26
"""Nothing is made larger than this, or than four times what it was: a network has many values for
each pixel, and a size in a stranger's settings costs them nothing."""

Interpolation = Literal["NEAREST", "LINEAR", "CUBIC", "AREA", "LANCZOS4"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("NEAREST", "LINEAR", "CUBIC", "AREA", "LANCZOS4")


def resize(
    sample: Sample, size: tuple[int, int], interpolation: Interpolation = "LINEAR"
) -> Sample:
    """Bring image, label and objects to `size`, at least one pixel a side."""
    import cv2

    height, width = max(size[0], 1), max(size[1], 1)
    if (height, width) == sample.size:
        return sample
    _check_growth(sample, height, width)
    flag = getattr(cv2, f"INTER_{interpolation}")
    image = by_planes(
        sample.image, lambda planes: cv2.resize(planes, (width, height), interpolation=flag)
    )
    label = sample.label
    if label is not None:
        label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    instances = sample.instances and sample.instances.resized(sample.size, (height, width))
    return replace(sample, image=image, label=label, instances=instances)


def pad(sample: Sample, size: tuple[int, int], pixel: float, label_value: int) -> Sample:
    """Extend all to the right and the bottom up to `size`; larger sides stay.

    On uint8 images a `pixel` of 127.5 becomes 128.
    """
    import cv2

    below, right = max(size[0] - sample.size[0], 0), max(size[1] - sample.size[1], 0)
    if below == 0 and right == 0:
        return sample
    _check_growth(sample, sample.size[0] + below, sample.size[1] + right)
    border = (0, below, 0, right, cv2.BORDER_CONSTANT)
    image = by_planes(
        sample.image, lambda planes: cv2.copyMakeBorder(planes, *border, value=(pixel,) * 4)
    )
    label = sample.label
    if label is not None:
        label = cv2.copyMakeBorder(label, *border, value=label_value)
    instances = sample.instances and sample.instances.padded(image.shape[:2])
    return replace(sample, image=image, label=label, instances=instances)


def crop(sample: Sample, top: int, left: int, size: tuple[int, int]) -> Sample:
    """Cut the window of `size` whose first pixel is (`top`, `left`) out of all of `sample`."""
    window = slice(top, top + size[0]), slice(left, left + size[1])
    label = None if sample.label is None else sample.label[window]
    instances = sample.instances and sample.instances.cropped(top, left, size)
    return replace(sample, image=sample.image[window], label=label, instances=instances)


def _check_growth(sample: Sample, height: int, width: int) -> None:
    """Raise RequestError for a size that no memory holds."""
    most = max(MAX_PIXELS, 4 * sample.size[0] * sample.size[1])
    if height * width > most or max(height, width) >= 2**31:
        raise RequestError(
            f"{sample.source}: would become {width} x {height} pixels, more than {most}. Lower the "
            "size that the transforms, target_size or crop_size give images."
        )


def by_planes(
    image: np.ndarray, change: Callable[[np.ndarray], np.ndarray], most: int = 4
) -> np.ndarray:
    """Apply `change` to an image (H, W, C), at most so many channels at a time."""
    import numpy as np

    channels = image.shape[2]
    if channels <= most:
        return with_channels(change(image))
    parts = [
        with_channels(change(np.ascontiguousarray(image[..., first : first + most])))
        for first in range(0, channels, most)
    ]
    return np.concatenate(parts, axis=2)


def with_channels(image: np.ndarray) -> np.ndarray:
    """Give (H, W, 1) for (H, W), and anything else as it is."""
    return image[..., None] if image.ndim == 2 else image
