"""What is measured of one image and its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcore.data.classmap import class_map_of
from segcore.data.overlay import find_borders
from segcore.tasks.instances import Instances
from segcore.tasks.sample import Sample

__all__ = ["TINY_AREA", "Measurement", "measure"]

TINY_AREA = 64
"""Objects of fewer pixels are tiny: less than a cell of the features, at stride 8, that see it."""

_MAX_EDGE_PIXELS = 2**20  # edges are compared on a smaller copy of larger images


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The numbers of one sample.

    `classes` are those present, in order, `pixels` and `object_areas` what each has. Grey values
    and channels are in 0..255. `edge_contrast` is how much stronger the image changes at the
    borders of the label than elsewhere: 1 is no stronger, None where the label has no border.
    `ignored_pixels` are those without an object where the sample `has_instances`.
    """

    width: int
    height: int
    classes: np.ndarray
    pixels: np.ndarray
    object_areas: tuple[np.ndarray, ...]
    ignored_pixels: int
    brightness: float
    contrast: float
    channel_means: np.ndarray
    channel_stds: np.ndarray
    edge_contrast: float | None
    has_instances: bool = False

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def tiny_objects(self) -> int:
        """Number of objects of fewer than `TINY_AREA` pixels."""
        return sum(int((areas < TINY_AREA).sum()) for areas in self.object_areas)


def measure(sample: Sample, void: int) -> Measurement:
    """Measure `sample`; `void` is the value of pixels that have no class.

    Raises DataError when nothing but the image is known.
    """
    import cv2

    label = class_map_of(sample, void)
    height, width = sample.size
    grey = _grey(sample.image)
    means, stds = _channel_spreads(sample.image)
    brightness, contrast = cv2.meanStdDev(grey)
    counts = np.bincount(label.ravel(), minlength=void + 1)
    instances = sample.instances if sample.label is None else None
    classes = np.flatnonzero(counts) if instances is None else np.unique(instances.classes)
    classes = classes[classes != void]
    return Measurement(
        width=width,
        height=height,
        classes=classes,
        pixels=counts[classes],
        object_areas=tuple(
            _region_areas(label, number) if instances is None else _areas(instances, number)
            for number in classes.tolist()
        ),
        ignored_pixels=int(counts[void]),
        brightness=float(brightness[0, 0]),
        contrast=float(contrast[0, 0]),
        channel_means=means,
        channel_stds=stds,
        edge_contrast=_edge_contrast(grey, label),
        has_instances=instances is not None,
    )


def _areas(instances: Instances, number: int) -> np.ndarray:
    """Give the areas of the objects of a class, in pixels; a crowd is no object."""
    which = (instances.classes == number) & ~instances.is_crowd
    areas: np.ndarray = np.rint(instances.areas[which]).clip(min=1)
    return areas


def _grey(image: np.ndarray) -> np.ndarray:
    """Give (H, W) of an image (H, W, C): luma of RGB, else the mean of the channels."""
    import cv2

    channels = image.shape[2]
    if channels == 1:
        return image[..., 0]
    if channels == 3:
        grey: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return grey
    mean: np.ndarray = np.rint(image.mean(axis=2)).astype(np.uint8)
    return mean


def _channel_spreads(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean and the standard deviation of each channel, (C,) each."""
    import cv2

    # OpenCV takes four channels at once, and more in turn
    parts = [
        cv2.meanStdDev(np.ascontiguousarray(image[..., first : first + 4]))
        for first in range(0, image.shape[2], 4)
    ]
    means, stds = zip(*parts, strict=True)
    return np.concatenate(means)[:, 0], np.concatenate(stds)[:, 0]


def _region_areas(label: np.ndarray, number: int) -> np.ndarray:
    """Give the areas of the connected regions of a class, in pixels."""
    import cv2

    mask = (label == number).view(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    part = np.ascontiguousarray(mask[y : y + height, x : x + width])
    _, _, regions, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
    areas: np.ndarray = regions[1:, cv2.CC_STAT_AREA]
    return areas


def _edge_contrast(grey: np.ndarray, label: np.ndarray) -> float | None:
    import cv2

    height, width = label.shape
    if height * width > _MAX_EDGE_PIXELS:
        factor = (_MAX_EDGE_PIXELS / (height * width)) ** 0.5
        size = max(1, int(width * factor)), max(1, int(height * factor))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    borders = find_borders(label)
    if not borders.any() or borders.all():
        return None
    across = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    change = cv2.add(cv2.convertScaleAbs(across), cv2.convertScaleAbs(down))
    change = cv2.dilate(change, np.ones((3, 3), np.uint8))  # a border one pixel off is no mistake
    mask = borders.view(np.uint8)
    at_borders = cv2.mean(change, mask)[0]
    elsewhere = cv2.mean(change, 1 - mask)[0]
    return float((at_borders + 1) / (elsewhere + 1))
