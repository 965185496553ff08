"""COCO's annotation files: images, categories, and objects with boxes and masks.

A file is read whole and once. What cannot be used is left out and told as a problem, so that one
wrong object of a million is neither trained on nor the end of everything.
"""

from __future__ import annotations

import math
import os
import reprlib
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from segcore.data.jsontext import parse_json
from segcore.data.listfile import list_name
from segcore.data.paths import inside, printable, read_file
from segcore.errors import DataError
from segcore.filesystem import file_status
from segcore.integer_key import KEY_LIMIT, is_integer_key
from segcore.tasks.polygon import polygon_area, polygon_box
from segcore.tasks.rle import Rle, read_rle, rle_area, rle_box

__all__ = [
    "PROBLEM_KINDS",
    "CocoAnnotation",
    "CocoCategory",
    "CocoFile",
    "CocoImage",
    "CocoProblem",
    "Segmentation",
    "coco_name",
    "load_coco_json",
    "read_coco",
]

Segmentation: TypeAlias = tuple[np.ndarray, ...] | Rle
"""The outline of an object as polygons, float64 (n, 2) each, or its pixels as runs."""

PROBLEM_KINDS: Mapping[str, str] = {
    "malformed": "a record that lacks a field, or has one of a wrong type; left out",
    "duplicate-id": "an id that is used twice; the first is kept",
    "duplicate-file": "two images with one file name; both are kept",
    "image-size": "an image whose width or height is missing or below 1; kept, with 0 for both",
    "missing-image": "an image whose file is not there; kept",
    "not-a-file": "an image that is a folder, a pipe or a device; left out",
    "leaves-dataset": "an image outside the folder of the images; left out",
    "unknown-image": "an object on an image that is not listed; left out",
    "unknown-category": "an object of a category that is not listed; left out",
    "no-segmentation": "an object with a box alone; left out",
    "few-points": "a polygon of fewer than 3 points; left out, and the object if it has no other",
    "not-finite": "a coordinate or a number that is NaN or infinite; the object is left out",
    "outside-image": "an object with no part inside its image; left out",
    "over-edge": "an object that goes more than a pixel beyond its image; kept, cut at the edge",
    "empty-rle": "an RLE without a pixel; the object is left out",
    "rle-size": "an RLE of another size than its image, or damaged; the object is left out",
    "empty-box": "a box without width or height, or none; kept with the box of its outline",
    "category-gap": "categories whose ids are not consecutive; kept, numbered in their order",
    "no-annotations": "an image without an object; kept",
}
"""Each kind of problem, and what is done about it."""

_MAX_BYTES = 2**31
_MOST_PX = 2.0**31  # sides of images are below it; areas of more overflow
_OVER_EDGE = 1.0  # pixels; annotation tools round to this


@dataclass(frozen=True)
class CocoImage:
    """An image; `file_name` is relative to the folder of the images, sizes are in pixels."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class CocoCategory:
    """A class of objects."""

    id: int
    name: str


@dataclass(frozen=True, eq=False)
class CocoAnnotation:
    """An object: `bbox` is x, y, width, height in pixels, `area` in square pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    segmentation: Segmentation
    iscrowd: bool


@dataclass(frozen=True)
class CocoProblem:
    """Something wrong: its kind (see `PROBLEM_KINDS`), and the image and object that have it."""

    kind: str
    message: str
    file: str
    annotation_id: int | None = None


@dataclass(frozen=True)
class CocoFile:
    """What a COCO file holds that can be used, in its order, and what is wrong with the rest."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]
    problems: tuple[CocoProblem, ...] = ()


def coco_name(split: str, fold: int | None = None) -> str:
    """Name the annotation file of a split: `instance_val.json`, or `instance_val_fold3.json`."""
    return f"instance_{list_name(split, fold).removesuffix('.txt')}.json"


def read_coco(
    path: str | os.PathLike[str],
    images: str | Path | None = None,
    *,
    allow_outside: bool = False,
    max_bytes: int = _MAX_BYTES,
) -> CocoFile:
    """Read the annotation file `path`.

    With `images`, the folder of the images, each file is looked for there as well, and refused
    outside of it unless `allow_outside`. Raises DataError where the file is none, is larger than
    `max_bytes`, or nests deeper than any annotation does.
    """
    shown = printable(path)
    content = load_coco_json(path, shown, max_bytes)
    reader = _Reader(shown, images, allow_outside)
    return reader.read(content)


def load_coco_json(
    path: str | os.PathLike[str], shown: str, max_bytes: int = _MAX_BYTES
) -> dict[str, Any]:
    """Read a COCO file as plain JSON, sure only to have its three lists. Raises DataError."""
    data = read_file(path, shown, max_bytes)
    content = parse_json(data, shown)
    sections = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(section), list) for section in sections
    ):
        raise DataError(f"{shown}: is no COCO file, which has lists {', '.join(sections)}.")
    return content


class _Problem(Exception):  # noqa: N818 - it is told, not raised to anyone
    """A record cannot be used."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class _Reader:
    """Reads the sections in order, and remembers what is wrong."""

    shown: str
    folder: str | Path | None
    allow_outside: bool
    problems: list[CocoProblem] = field(default_factory=list)

    def read(self, content: Mapping[str, Any]) -> CocoFile:
        """Give the usable records of `content`."""
        categories = self._section(content["categories"], "category", _read_category)
        images = self._section(content["images"], "image", self._read_image)
        self._tell_gaps(categories)
        by_id = {image.id: image for image in images}
        known = {category.id for category in categories}
        seen: set[int] = set()
        annotations: list[CocoAnnotation] = []
        for position, value in enumerate(content["annotations"]):
            image, number = _owner(value, by_id)
            file = image.file_name if image is not None else self.shown
            where = f"annotation {number if number is not None else f'at position {position}'}"
            try:
                annotation = self._read_annotation(value, by_id, known)
                if annotation.id in seen:
                    raise _Problem("duplicate-id", "its id is used before")
            except _Problem as problem:
                self._tell(problem.kind, f"{where}: {problem}", file, number)
                continue
            seen.add(annotation.id)
            annotations.append(annotation)
        self._tell_unlabelled(images, annotations)
        return CocoFile(images, tuple(annotations), categories, tuple(self.problems))

    def _tell(self, kind: str, message: str, file: str, number: int | None = None) -> None:
        self.problems.append(CocoProblem(kind, message, file, number))

    def _section(
        self, values: list[Any], what: str, read: Callable[[Mapping[str, Any]], Any]
    ) -> tuple[Any, ...]:
        records: dict[int, Any] = {}
        for position, value in enumerate(values):
            try:
                if not isinstance(value, dict):
                    raise _Problem("malformed", "is no object of JSON")
                record = read(value)
                if record.id in records:
                    raise _Problem("duplicate-id", f"id {record.id} is used before")
            except _Problem as problem:
                self._tell(problem.kind, f"{what} at position {position}: {problem}", self.shown)
                continue
            records[record.id] = record
        return tuple(records.values())

    def _read_image(self, value: Mapping[str, Any]) -> CocoImage:
        number, name = _integer(value, "id"), _text(value, "file_name")
        self._look_for(name)
        width, height = value.get("width"), value.get("height")
        if not (_is_size(width) and _is_size(height)):
            self._tell(
                "image-size", f"width {reprlib.repr(width)} and height {reprlib.repr(height)}", name
            )
            width = height = 0
        return CocoImage(number, name, int(width or 0), int(height or 0))

    def _look_for(self, name: str) -> None:
        if self.folder is None:
            return
        try:
            path = inside(self.folder, name, allow_outside=self.allow_outside)
        except DataError as error:
            # a folder on the way that is not there is no escape from the dataset
            missing = isinstance(error.__cause__, FileNotFoundError)
            if missing:
                self._tell("missing-image", str(error), name)
                return
            raise _Problem("leaves-dataset", str(error)) from error
        try:
            mode = file_status(path).st_mode
        except OSError as error:
            self._tell("missing-image", f"{printable(name)}: {error.strerror}.", name)
            return
        if not stat.S_ISREG(mode):
            raise _Problem("not-a-file", f"{printable(name)}: not a regular file.")

    def _read_annotation(
        self, value: Any, images: Mapping[int, CocoImage], categories: set[int]
    ) -> CocoAnnotation:
        if not isinstance(value, dict):
            raise _Problem("malformed", "is no object of JSON")
        number = _integer(value, "id")
        image_id, category_id = _integer(value, "image_id"), _integer(value, "category_id")
        if image_id not in images:
            raise _Problem("unknown-image", f"image {image_id} is not listed")
        if category_id not in categories:
            raise _Problem("unknown-category", f"category {category_id} is not listed")
        image = images[image_id]
        segmentation = self._read_segmentation(value.get("segmentation"), image, number)
        self._check_place(segmentation, image, number)
        own_area, own_box = _measure(segmentation)
        box = self._read_box(value.get("bbox"), own_box, image, number)
        area: Any = value.get("area")
        usable = _is_number(area) and math.isfinite(area) and area >= 0
        return CocoAnnotation(
            number, image_id, category_id, box, float(area) if usable else own_area,
            segmentation, value.get("iscrowd") in (1, True),
        )  # fmt: skip

    def _read_segmentation(self, value: Any, image: CocoImage, number: int) -> Segmentation:
        if isinstance(value, dict):
            return _read_runs(value, image)
        if not value or not isinstance(value, list):
            raise _Problem("no-segmentation", "has no segmentation")
        polygons = []
        for outline in value:
            points = _read_points(outline)
            if len(points) < 3:
                text = f"annotation {number}: a polygon has {len(points)} points"
                self._tell("few-points", text, image.file_name, number)
            else:
                polygons.append(points)
        if not polygons:
            raise _Problem("few-points", "no polygon is left")
        return tuple(polygons)

    def _check_place(self, segmentation: Segmentation, image: CocoImage, number: int) -> None:
        if isinstance(segmentation, Rle) or image.width == 0:
            return
        left, top, right, bottom = polygon_box(segmentation)
        if left >= image.width or top >= image.height or right <= 0 or bottom <= 0:
            raise _Problem("outside-image", "lies outside its image")
        beyond = max(-left, -top, right - image.width, bottom - image.height)
        if beyond > _OVER_EDGE:
            text = f"annotation {number}: goes {beyond:.6g} pixels beyond its image"
            self._tell("over-edge", text, image.file_name, number)

    def _read_box(
        self, value: Any, own: tuple[float, ...], image: CocoImage, number: int
    ) -> tuple[float, float, float, float]:
        numbers = value if isinstance(value, list) and len(value) == 4 else own
        if not all(_is_number(entry) for entry in numbers):
            raise _Problem("malformed", f"bbox {reprlib.repr(value)} is not [x, y, width, height]")
        x, y, width, height = (float(entry) for entry in numbers)
        if not all(math.isfinite(entry) for entry in (x, y, width, height)):
            raise _Problem("not-finite", f"bbox {reprlib.repr(value)}")
        if numbers is own or min(width, height) <= 0:
            text = f"annotation {number}: bbox {reprlib.repr(value)} has no width or height"
            self._tell("empty-box", text, image.file_name, number)
            x, y, width, height = own
        return x, y, width, height

    def _tell_gaps(self, categories: tuple[CocoCategory, ...]) -> None:
        ids = sorted(category.id for category in categories)
        if ids and ids[-1] - ids[0] + 1 != len(ids):
            text = f"{len(ids)} categories have the ids {ids[0]} to {ids[-1]}"
            self._tell("category-gap", text, self.shown)

    def _tell_unlabelled(
        self, images: tuple[CocoImage, ...], annotations: list[CocoAnnotation]
    ) -> None:
        labelled = {annotation.image_id for annotation in annotations}
        names: set[str] = set()
        for image in images:
            if image.id not in labelled:
                self._tell("no-annotations", f"image {image.id} has no objects", image.file_name)
            if image.file_name in names:
                text = f"image {image.id}: another has this file name"
                self._tell("duplicate-file", text, image.file_name)
            names.add(image.file_name)


def _owner(value: Any, images: Mapping[int, CocoImage]) -> tuple[CocoImage | None, int | None]:
    """Give the image and the id of an annotation, as far as it says them."""
    if not isinstance(value, dict):
        return None, None
    image_id, number = value.get("image_id"), value.get("id")
    image = images.get(image_id) if is_integer_key(image_id) else None
    return image, number if is_integer_key(number) else None


def _read_category(value: Mapping[str, Any]) -> CocoCategory:
    return CocoCategory(_integer(value, "id"), _text(value, "name"))


def _read_runs(value: Mapping[str, Any], image: CocoImage) -> Rle:
    try:
        rle = read_rle(value)
    except DataError as error:
        raise _Problem("rle-size", str(error)) from error
    if image.width and (rle.height, rle.width) != (image.height, image.width):
        raise _Problem(
            "rle-size",
            f"its RLE is {rle.width} x {rle.height}, its image {image.width} x {image.height}",
        )
    if not rle_area(rle):
        raise _Problem("empty-rle", "its RLE holds no pixel")
    return rle


def _read_points(outline: Any) -> np.ndarray:
    """Give a flat list x, y, x, y, ... as (n, 2)."""
    try:
        # a nested list, text or null among the numbers is refused here, by its type
        numbers = np.fromiter(_numbers(outline), np.float64, len(outline))
    except (TypeError, ValueError, OverflowError) as error:
        raise _Problem("malformed", "a polygon is no list of numbers") from error
    if not np.isfinite(numbers).all():
        raise _Problem("not-finite", "a polygon has a coordinate that is not finite")
    if numbers.size and np.abs(numbers).max() > _MOST_PX:
        raise _Problem("outside-image", "a polygon has a coordinate beyond any image")
    if len(numbers) % 2:
        raise _Problem("malformed", f"a polygon has {len(numbers)} numbers, not pairs of x and y")
    return numbers.reshape(-1, 2)


def _numbers(outline: Any) -> Iterator[float]:
    for entry in outline:
        if not _is_number(entry):
            raise TypeError
        yield entry


def _measure(segmentation: Segmentation) -> tuple[float, tuple[float, ...]]:
    """Give the area, and the box as x, y, width, height."""
    if isinstance(segmentation, Rle):
        return float(rle_area(segmentation)), rle_box(segmentation)
    left, top, right, bottom = polygon_box(segmentation)
    area = sum(polygon_area(polygon) for polygon in segmentation)
    return area, (left, top, right - left, bottom - top)


def _integer(value: Mapping[str, Any], key: str) -> int:
    number = value.get(key)
    if not is_integer_key(number):
        beyond = f" below {KEY_LIMIT}" if type(number) is int else ""
        raise _Problem("malformed", f"{key} {reprlib.repr(number)} is not a whole number{beyond}")
    return number


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise _Problem("malformed", f"{key} {reprlib.repr(text)} is no text")
    return text


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31
