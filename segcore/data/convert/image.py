"""An image on its way to a writer: its class map and its objects, from whichever the source has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from segcore.annotation import IGNORED, AnnotatedImage, ConvertedObject, Region, Split
from segcore.data.convert.classes import ClassTable
from segcore.errors import DataError

__all__ = ["Overlap", "PlannedImage", "class_lookup"]

Overlap: TypeAlias = Literal["last", "first", "smallest"]


def class_lookup(names: Iterable[str], table: ClassTable) -> np.ndarray:
    """Give the class of each position in `names`, int16, and `IGNORED` at the end, for -1."""
    return np.array([*(table.index[name] for name in names), IGNORED], np.int16)


class PlannedImage:
    """What writers get: see `segcore.annotation.ConvertedImage`."""

    def __init__(
        self,
        name: str,
        suffix: str,
        image: AnnotatedImage,
        table: ClassTable,
        *,
        lookup: np.ndarray,
        overlap: Overlap = "last",
    ) -> None:
        self.name = name
        self.suffix = suffix
        self.data = image.data
        self.width = image.width
        self.height = image.height
        self.split: Split = image.split
        self.has_background = table.classes.has_background
        self._image = image
        self._table = table
        self._lookup = lookup
        self._overlap = overlap

    @property
    def has_ignored(self) -> bool:
        """Whether pixels are marked as to be ignored; those of no class do not count here."""
        if self._image.class_map is not None:
            return bool((self.class_map == IGNORED).any())
        return any(self._class_of(region.label) == IGNORED for region in self._image.regions)

    @cached_property
    def class_map(self) -> np.ndarray:
        """The class of each pixel, (H, W) int16, or `IGNORED`."""
        stored = self._image.class_map
        if stored is not None:
            mapped: np.ndarray = self._lookup[stored]
            return mapped
        nothing = 0 if self.has_background else IGNORED
        class_map = np.full((self.height, self.width), nothing, np.int16)
        for region in _painting_order(self._image.regions, self._overlap):
            height, width = region.mask.shape
            window = class_map[region.top : region.top + height, region.left : region.left + width]
            window[region.mask != 0] = self._class_of(region.label)
        return class_map

    @cached_property
    def objects(self) -> tuple[ConvertedObject, ...]:
        """The objects, without background and what is ignored."""
        if not self._image.regions and self._image.class_map is not None:
            return tuple(_cut(self.class_map, self.has_background))
        return tuple(self._join_regions())

    def _class_of(self, label: str) -> int:
        try:
            return self._table.index[label]
        except KeyError:
            # a reader must name all labels in advance, and a plugin's may not have
            raise DataError(f"label {label!r} is not among the classes of its dataset") from None

    def _join_regions(self) -> Iterator[ConvertedObject]:
        """Join the parts of each object; background drawn over an object is cut out of it."""
        objects: dict[object, ConvertedObject] = {}
        for number, region in enumerate(self._image.regions):
            index = self._class_of(region.label)
            if index == IGNORED:
                continue
            if index == 0 and self.has_background:
                objects = {key: _without(found, region) for key, found in objects.items()}
                continue
            # an instance of its own where the source gives none
            key = number if region.instance is None else (index, region.instance)
            objects[key] = _joined(objects.get(key), region, index)
        return (found for found in objects.values() if found.mask.any())


def _painting_order(regions: Iterable[Region], overlap: Overlap) -> list[Region]:
    """Order regions so that painting one after the other gives the wanted one on top.

    Crowds always lie below: they stand for everything of a class that has no outline of its own.
    """
    ordered = list(regions)
    if overlap == "first":
        ordered.reverse()
    elif overlap == "smallest":
        ordered.sort(key=lambda region: -int(np.count_nonzero(region.mask)))
    ordered.sort(key=lambda region: not region.is_crowd)
    return ordered


def _joined(found: ConvertedObject | None, region: Region, index: int) -> ConvertedObject:
    if found is None:
        return ConvertedObject(
            class_index=index, mask=region.mask, left=region.left, top=region.top,
            polygons=region.polygons, is_crowd=region.is_crowd,
        )  # fmt: skip
    left, top = min(found.left, region.left), min(found.top, region.top)
    right = max(part.left + part.mask.shape[1] for part in (found, region))
    bottom = max(part.top + part.mask.shape[0] for part in (found, region))
    mask = np.zeros((bottom - top, right - left), bool)
    for part in (found, region):
        y, x = part.top - top, part.left - left
        mask[y : y + part.mask.shape[0], x : x + part.mask.shape[1]] |= part.mask != 0
    has_outline = found.polygons is not None and region.polygons is not None
    polygons = (*(found.polygons or ()), *(region.polygons or ())) if has_outline else None
    return ConvertedObject(
        class_index=index, mask=mask, left=left, top=top, polygons=polygons,
        is_crowd=found.is_crowd or region.is_crowd,
    )  # fmt: skip


def _without(found: ConvertedObject, hole: Region) -> ConvertedObject:
    height, width = found.mask.shape
    covered = np.zeros((height, width), bool)
    left, top = max(found.left, hole.left), max(found.top, hole.top)
    right = min(found.left + width, hole.left + hole.mask.shape[1])
    bottom = min(found.top + height, hole.top + hole.mask.shape[0])
    if left >= right or top >= bottom:
        return found
    covered[top - found.top : bottom - found.top, left - found.left : right - found.left] = (
        hole.mask[top - hole.top : bottom - hole.top, left - hole.left : right - hole.left] != 0
    )
    if not (covered & (found.mask != 0)).any():
        return found
    return ConvertedObject(
        class_index=found.class_index, mask=(found.mask != 0) & ~covered, left=found.left,
        top=found.top, is_crowd=found.is_crowd,
    )  # fmt: skip


def _cut(class_map: np.ndarray, has_background: bool) -> Iterator[ConvertedObject]:
    """Cut a class map into its connected pieces (corners connect), class by class."""
    import cv2

    counts: Mapping[int, int] = dict(zip(*np.unique(class_map, return_counts=True), strict=True))
    for index in counts:
        if index < (1 if has_background else 0):
            continue
        pixels = (class_map == index).astype(np.uint8)
        number, pieces, boxes, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
        for piece in range(1, number):
            left, top, width, height = (int(value) for value in boxes[piece][:4])
            mask = pieces[top : top + height, left : left + width] == piece
            yield ConvertedObject(class_index=int(index), mask=mask, left=left, top=top)
