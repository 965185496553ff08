"""Cityscapes: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and `gtFine/`, for its 19 classes.

Labels are read from `labelIds` (or `labelTrainIds`), objects from `instanceIds` where they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import Classes, Note, Region, Split
from segcore.data.convert.pairs import Pair, PairSource, value_table
from segcore.data.convert.source import cut_values, walk_files
from segcore.filesystem import is_file, is_folder

__all__ = ["CityscapesConverter"]

# name, labelId, colour; the position is the trainId
_CLASSES: tuple[tuple[str, int, tuple[int, int, int]], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
_FIRST_THING = 24
_NAMES = {number: name for name, number, _ in _CLASSES}
_SPLITS: dict[str, Split] = {
    "train": "train",
    "train_extra": "train",
    "val": "val",
    "test": "test",
}
_IMAGE, _IMAGES = "_leftImg8bit", "leftImg8bit"


class CityscapesConverter(BaseModel):
    """Read Cityscapes as its archives unpack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    annotations: Literal["gtFine", "gtCoarse"] = Field("gtFine", description="which labels to read")

    def detects(self, root: Path) -> bool:
        """Say whether `root` has the two folders."""
        return is_folder(root / _IMAGES) and is_folder(root / self.annotations)

    def read(self, root: Path) -> PairSource:
        """Find the images with a label. Raises DataError."""
        pairs: list[Pair] = []
        notes: list[Note] = []
        kinds = set()
        for name in walk_files(root / _IMAGES, frozenset((".png",))):
            split, _, rest = name.partition("/")
            stem = rest.removesuffix(f"{_IMAGE}.png")
            if split not in _SPLITS or stem == rest:
                continue
            place = f"{self.annotations}/{split}/{stem}_{self.annotations}"
            kind = next((k for k in ("labelIds", "labelTrainIds")
                         if os.path.isfile(root / f"{place}_{k}.png")), None)  # fmt: skip  # noqa: PTH113
            if kind is None:
                notes.append(Note("skipped", "image", "it has no label", name))
                continue
            kinds.add(kind)
            objects = f"{place}_instanceIds.png"
            has_objects = is_file(root / objects)
            pairs.append(
                Pair(
                    stem,
                    f"{_IMAGES}/{name}",
                    f"{place}_{kind}.png",
                    _SPLITS[split],
                    objects if has_objects else None,
                )
            )
        by_train_id = kinds == {"labelTrainIds"}
        if len(kinds) == 2:  # one table serves a dataset; labelIds are what the archives hold
            pairs = [pair for pair in pairs if pair.label.endswith("labelIds.png")]
        values = range(len(_CLASSES)) if by_train_id else [number for _, number, _ in _CLASSES]
        classes = Classes(tuple(_NAMES.values()), tuple(colour for *_, colour in _CLASSES))
        return PairSource(
            root, pairs, classes, value_table(list(values)), notes=notes, cut_objects=_cut_objects
        )


def _cut_objects(numbers: np.ndarray) -> tuple[Region, ...]:
    """Cut what instanceIds number: class times 1000 plus a number, or a class for a whole group."""
    return tuple(_things(numbers))


def _things(numbers: np.ndarray) -> Iterator[Region]:
    for cut in cut_values(numbers, "the instances"):
        label_id = cut.value // 1000 if cut.value >= 1000 else cut.value
        if label_id < _FIRST_THING or label_id not in _NAMES:
            continue
        yield Region(
            label=_NAMES[label_id], mask=cut.mask, left=cut.left, top=cut.top,
            is_crowd=cut.value < 1000,
        )  # fmt: skip
