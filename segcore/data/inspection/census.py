"""What a look at a dataset counts, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["PICTURES", "Census", "SplitCensus", "View"]

PICTURES = 10
"""Samples of each split of which pictures are drawn, as PaddleX does."""


@dataclass(frozen=True)
class View:
    """A sample to be shown: the name of its image, and what draws it, (H, W, 3) uint8 RGB."""

    name: str
    draw: Callable[[], np.ndarray]


@dataclass
class SplitCensus:
    """One split. `occurrences` counts by class the images, or the instances, that have it."""

    name: str
    samples: int = 0
    occurrences: dict[int, int] = field(default_factory=dict)
    pixels: dict[int, int] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)

    def count(self, number: int, pixels: int, occurrences: int = 1) -> None:
        """Count what a sample has of a class."""
        self.occurrences[number] = self.occurrences.get(number, 0) + occurrences
        self.pixels[number] = self.pixels.get(number, 0) + pixels


@dataclass
class Census:
    """A dataset: `counted` says what the occurrences of classes are, for the histogram."""

    dataset_type: str
    splits: tuple[SplitCensus, ...]
    class_names: tuple[str, ...] = ()
    counted: str = "images"
