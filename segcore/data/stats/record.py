"""The statistics of a dataset, as programs read them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ClassStats", "DatasetStats", "SizeCount", "SplitStats", "Spread"]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a number varies over images or objects."""

    minimum: float
    median: float
    mean: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class SizeCount:
    """How many images are `width` x `height` pixels."""

    width: int
    height: int
    images: int


@dataclass(frozen=True, kw_only=True)
class ClassStats:
    """One class in one split.

    `share` is its part of the pixels that are not ignored. `objects` are its connected regions
    (neighbours by side or corner), or its instances where the dataset has instances;
    `object_area` is in pixels, None without objects, and its median is right to 5 %.
    `tiny_objects` have fewer than `DatasetStats.tiny_area` pixels.
    """

    id: int
    name: str
    pixels: int
    share: float
    images: int
    objects: int
    tiny_objects: int
    object_area: Spread | None


@dataclass(frozen=True, kw_only=True)
class SplitStats:
    """One split, or all of them together.

    `pixels` are those of the images that could be read; `ignored_share` is the part that labels
    ignore. `ignored_images` have a label that ignores every pixel. `cooccurrence[i][j]` counts the
    images that have class i and class j; it is None above 1024 classes. `sizes` lists the most
    frequent of `distinct_sizes`. Brightness and contrast are the mean and the standard deviation
    of an image's grey values, 0 to 255; `brightness_histogram` counts images in equal steps from
    black to white. `aspect` is width by height. `mean` and `std` are those of the channels in
    0..1, as `data.mean` and `data.std` want them. The spreads, `mean` and `std` are None without
    images.
    """

    name: str
    images: int
    unreadable: int
    pixels: int
    ignored_pixels: int
    ignored_share: float
    ignored_images: int
    classes: tuple[ClassStats, ...]
    cooccurrence: tuple[tuple[int, ...], ...] | None
    sizes: tuple[SizeCount, ...]
    distinct_sizes: int
    width: Spread | None
    height: Spread | None
    aspect: Spread | None
    brightness: Spread | None
    contrast: Spread | None
    brightness_histogram: tuple[int, ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class DatasetStats:
    """A dataset: its splits, and `total` for all of them together.

    With `has_instances`, what is said of ignored pixels and images is meant of those without an
    object; objects are then the annotated ones, without crowds. `problems` says why samples could
    not be read, the first 20 of them.
    """

    path: str
    class_names: tuple[str, ...]
    ignore_index: int
    tiny_area: int
    splits: tuple[SplitStats, ...]
    total: SplitStats
    has_instances: bool = False
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the fields as JSON holds them."""
        return asdict(self)
