"""Add up measurements: the memory depends on the classes, and on a few numbers an image."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from segcore.data.stats.measure import TINY_AREA, Measurement
from segcore.data.stats.record import ClassStats, SizeCount, SplitStats, Spread

__all__ = ["SplitCounter"]

MAX_PAIRED_CLASSES = 1024
"""Above this the matrix of co-occurrence is left out: it grows with the square."""

_SIZES_LISTED = 20
_BRIGHTNESS_BINS = 32
_STEPS = 8  # of the histogram of areas, for each doubling
_AREA_BINS = 48 * _STEPS  # 2**48 pixels are more than a file can have


class SplitCounter:
    """Count the measurements of one split, or of all."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.unreadable = 0
        self._pixels = np.zeros(num_classes, np.int64)
        self._images = np.zeros(num_classes, np.int64)
        self._ignored_pixels = 0
        self._ignored_images = 0
        self._pairs: np.ndarray | None = None
        if num_classes <= MAX_PAIRED_CLASSES:
            self._pairs = np.zeros((num_classes, num_classes), np.int64)
        self._areas = _AreaCounter(num_classes)
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._brightness = array("f")
        self._contrast = array("f")
        self._channels: np.ndarray | None = None  # rows: number, sum, sum of squares

    def add(self, found: Measurement) -> None:
        """Count one sample."""
        present = found.classes
        self._pixels[present] += found.pixels
        self._images[present] += 1
        self._ignored_pixels += found.ignored_pixels
        self._ignored_images += present.size == 0
        if self._pairs is not None:
            self._pairs[np.ix_(present, present)] += 1
        self._areas.add(present, found.object_areas)
        self._sizes[found.width, found.height] += 1
        self._brightness.append(found.brightness)
        self._contrast.append(found.contrast)
        means, stds, area = found.channel_means, found.channel_stds, found.area
        sums = np.stack([np.full(means.size, area), area * means, area * (stds**2 + means**2)])
        self._channels = sums if self._channels is None else self._channels + sums

    def result(self, name: str, class_names: Sequence[str]) -> SplitStats:
        """Give what was counted as the statistics of the split `name`."""
        valid = int(self._pixels.sum())
        pixels = valid + self._ignored_pixels
        mean, std = self._channel_spread()
        histogram, _ = np.histogram(self._brightness, _BRIGHTNESS_BINS, (0, 256))
        return SplitStats(
            name=name,
            images=self._sizes.total(),
            unreadable=self.unreadable,
            pixels=pixels,
            ignored_pixels=self._ignored_pixels,
            ignored_share=self._ignored_pixels / pixels if pixels else 0.0,
            ignored_images=self._ignored_images,
            classes=tuple(
                self._class(number, class_names[number], valid)
                for number in range(self.num_classes)
            ),
            cooccurrence=None if self._pairs is None else tuple(map(tuple, self._pairs.tolist())),
            sizes=tuple(
                SizeCount(width=width, height=height, images=count)
                for (width, height), count in self._sizes.most_common(_SIZES_LISTED)
            ),
            distinct_sizes=len(self._sizes),
            width=self._size_spread(lambda width, _: width),
            height=self._size_spread(lambda _, height: height),
            aspect=self._size_spread(lambda width, height: width / height),
            brightness=_spread(np.asarray(self._brightness)),
            contrast=_spread(np.asarray(self._contrast)),
            brightness_histogram=tuple(histogram.tolist()),
            mean=mean,
            std=std,
        )

    def _class(self, number: int, name: str, valid: int) -> ClassStats:
        pixels = int(self._pixels[number])
        return ClassStats(
            id=number,
            name=name,
            pixels=pixels,
            share=pixels / valid if valid else 0.0,
            images=int(self._images[number]),
            objects=int(self._areas.counts[number]),
            tiny_objects=int(self._areas.tiny[number]),
            object_area=self._areas.spread(number),
        )

    def _size_spread(self, value: Callable[[int, int], float]) -> Spread | None:
        values = [value(width, height) for width, height in self._sizes]
        return _spread(np.repeat(values, list(self._sizes.values())))

    def _channel_spread(self) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """Give the mean and the standard deviation of each channel, in 0..1."""
        if self._channels is None:
            return None, None
        number, total, squares = self._channels
        mean = total / number
        std = np.sqrt(np.maximum(squares / number - mean**2, 0))
        return tuple(_rounded(mean / 255)), tuple(_rounded(std / 255))


class _AreaCounter:
    """The areas of objects by class, in pixels: exact but for the median."""

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros(num_classes, np.int64)
        self.tiny = np.zeros(num_classes, np.int64)
        self._sums = np.zeros(num_classes, np.float64)
        self._minima = np.full(num_classes, np.inf)
        self._maxima = np.zeros(num_classes)
        self._histograms = np.zeros((num_classes, _AREA_BINS), np.int64)

    def add(self, present: np.ndarray, by_class: Sequence[np.ndarray]) -> None:
        """Count the areas of the objects of one image, given for each class in `present`."""
        if not by_class:
            return
        areas = np.concatenate(by_class).astype(np.float64)
        classes = np.repeat(present, [found.size for found in by_class])
        np.add.at(self.counts, classes, 1)
        np.add.at(self.tiny, classes, areas < TINY_AREA)
        np.add.at(self._sums, classes, areas)
        np.minimum.at(self._minima, classes, areas)
        np.maximum.at(self._maxima, classes, areas)
        bins = (np.log2(areas) * _STEPS).astype(np.int64)
        np.add.at(self._histograms, (classes, bins), 1)

    def spread(self, number: int) -> Spread | None:
        """Give how the areas of a class vary; None where it has no objects."""
        count = int(self.counts[number])
        if not count:
            return None
        minimum, maximum = float(self._minima[number]), float(self._maxima[number])
        middle = int(np.searchsorted(self._histograms[number].cumsum(), (count + 1) // 2))
        median = round(2 ** ((middle + 0.5) / _STEPS))
        return Spread(
            minimum=minimum,
            median=min(max(median, minimum), maximum),
            mean=round(float(self._sums[number]) / count, 2),
            maximum=maximum,
        )


def _spread(values: np.ndarray) -> Spread | None:
    if not values.size:
        return None
    numbers = (values.min(), np.median(values), values.mean(dtype=np.float64), values.max())
    minimum, median, mean, maximum = _rounded(numbers)
    return Spread(minimum=minimum, median=median, mean=mean, maximum=maximum)


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
