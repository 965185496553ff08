"""Datasets of images and label files whose values a table turns into classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segcore.annotation import IGNORED, AnnotatedImage, Classes, Note, Region, Split
from segcore.data.convert.source import image_size, read_label, read_source
from segcore.data.paths import printable
from segcore.errors import DataError, LabelError

__all__ = ["Pair", "PairSource", "value_table"]


@dataclass(frozen=True)
class Pair:
    """An image and its label, relative to the dataset; `objects` is a file that numbers them."""

    name: str
    image: str
    label: str
    split: Split
    objects: str | None = None


def value_table(values: Sequence[int | None]) -> np.ndarray:
    """Give (256,) int16: the class at the position of each label value, `IGNORED` for None."""
    table = np.full(256, IGNORED, np.int16)
    for index, value in enumerate(values):
        if value is not None:
            table[value] = index
    return table


class PairSource:
    """Reads pairs; `table` gives the class of each label value.

    `cut_objects` makes regions of what `Pair.objects` holds.
    """

    def __init__(
        self,
        root: Path,
        pairs: Sequence[Pair],
        classes: Classes,
        table: np.ndarray,
        *,
        notes: Sequence[Note] = (),
        cut_objects: Callable[[np.ndarray], tuple[Region, ...]] | None = None,
    ) -> None:
        if not pairs:
            raise DataError(f"{printable(root)}: has no image with a label.")
        self.classes = classes
        self.names = [pair.name for pair in pairs]
        self.notes = notes
        self._root = root
        self._pairs = pairs
        self._table = table
        self._cut_objects = cut_objects

    def load(self, index: int) -> AnnotatedImage:
        """Read an image and its label. Raises DataError."""
        pair = self._pairs[index]
        data = read_source(self._root, pair.image)
        width, height = image_size(data, pair.image)
        label = read_label(self._root, pair.label, (width, height))
        if label.dtype != np.uint8:
            raise LabelError(f"{printable(pair.label)}: {label.dtype} values; 8 bits are expected")
        regions: tuple[Region, ...] = ()
        if pair.objects is not None and self._cut_objects is not None:
            regions = self._cut_objects(read_label(self._root, pair.objects, (width, height)))
        return AnnotatedImage(
            data=data,
            width=width,
            height=height,
            split=pair.split,
            class_map=self._table[label],
            regions=regions,
        )
