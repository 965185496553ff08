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
        self._areas: dict[int, _AreaCounter] = {}
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
        for number, areas in zip(present.tolist(), found.object_areas, strict=True):
            self._areas.setdefault(number, _AreaCounter()).add(areas)
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
        areas = self._areas.get(number, _AreaCounter())
        return ClassStats(
            id=number,
            name=name,
            pixels=pixels,
            share=pixels / valid if valid else 0.0,
            images=int(self._images[number]),
            objects=areas.count,
            tiny_objects=areas.tiny,
            object_area=areas.spread(),
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
    """The areas of the objects of one class, in pixels: exact but for the median."""

    def __init__(self) -> None:
        self.count = 0
        self.tiny = 0
        self._sum = 0
        self._minimum = 0
        self._maximum = 0
        self._histogram = np.zeros(_AREA_BINS, np.int64)

    def add(self, areas: np.ndarray) -> None:
        if not areas.size:
            return
        low, high = int(areas.min()), int(areas.max())
        self._minimum = min(low, self._minimum) if self.count else low
        self._maximum = max(high, self._maximum)
        self.count += areas.size
        self.tiny += int((areas < TINY_AREA).sum())
        self._sum += int(areas.sum(dtype=np.int64))
        bins = (np.log2(areas) * _STEPS).astype(np.int64)
        self._histogram += np.bincount(bins, minlength=_AREA_BINS)

    def spread(self) -> Spread | None:
        if not self.count:
            return None
        middle = int(np.searchsorted(self._histogram.cumsum(), (self.count + 1) // 2))
        median = round(2 ** ((middle + 0.5) / _STEPS))
        return Spread(
            minimum=self._minimum,
            median=min(max(median, self._minimum), self._maximum),
            mean=round(self._sum / self.count, 2),
            maximum=self._maximum,
        )


def _spread(values: np.ndarray) -> Spread | None:
    if not values.size:
        return None
    numbers = (values.min(), np.median(values), values.mean(dtype=np.float64), values.max())
    minimum, median, mean, maximum = _rounded(numbers)
    return Spread(minimum=minimum, median=median, mean=mean, maximum=maximum)


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
