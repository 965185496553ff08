"""What a look at a dataset counts, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from segcore.data.inspection.collector import Collector
from segcore.data.paths import printable

__all__ = ["PICTURES", "Census", "SplitCensus", "View", "judge_classes"]

PICTURES = 10
"""Samples of each split of which pictures are drawn, as PaddleX does."""

_TOLD = 20  # absent classes that are told one by one
_RARE = 0.001
"""A class with a smaller share is called rare."""


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


def judge_classes(
    splits: Sequence[SplitCensus],
    names: Sequence[str],
    collector: Collector,
    *,
    file: str,
    by_pixels: bool,
) -> None:
    """Tell of classes that are absent or rare, by their pixels or by how often they occur.

    `file` is where the classes are named.
    """

    def tell(kind: str, number: int, text: str, split: str | None = None) -> None:
        message = f"class {number} ({printable(names[number])}): {text}"
        collector.add(kind, file, message, split=split, subject=f"class {number}")

    filled = [census for census in splits if census.occurrences]
    if not filled:
        return
    seen = set().union(*(census.occurrences for census in filled))
    gaps = [number for number in range(len(names)) if number not in seen]
    if len(gaps) > _TOLD:
        shown = ", ".join(map(str, gaps[:_TOLD]))
        text = f"{len(gaps)} of {len(names)} classes occur in no label: {shown}, ..."
        collector.add("class-gap", file, text)
    for number in gaps if len(gaps) <= _TOLD else ():
        tell("class-gap", number, "occurs in no label.")
    totals = [0] * len(names)
    for number in sorted(number for number in seen if number < len(names)):
        for census in filled:
            amounts = census.pixels if by_pixels else census.occurrences
            totals[number] += amounts.get(number, 0)
            if number not in amounts:
                text = f"does not occur in {census.name}, but elsewhere."
                tell("class-absent", number, text, census.name)
    everything, what = sum(totals), "pixels" if by_pixels else "objects"
    for number, total in enumerate(totals):
        if 0 < total < _RARE * everything:
            share = f"{total / everything:.4%} of the {what}"
            tell("class-imbalance", number, f"only {share}. Crops or losses that favour it help.")
