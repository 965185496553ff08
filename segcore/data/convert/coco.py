"""COCO's instances: objects with polygons or runs, both ways."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import (
    AnnotatedImage,
    Classes,
    ConvertedImage,
    ConvertedObject,
    Note,
    Region,
    Split,
)
from segcore.data.coco import (
    PROBLEM_KINDS,
    CocoAnnotation,
    CocoFile,
    CocoImage,
    CocoProblem,
    read_coco,
)
from segcore.data.convert.canvas import Canvas, Placed, UnusableShape
from segcore.data.convert.classes import DEFAULT_BACKGROUND
from segcore.data.convert.output import Folder
from segcore.data.convert.source import (
    find_inside,
    image_size,
    strip_common_folder,
    without_suffix,
)
from segcore.data.paths import printable, read_file
from segcore.errors import DataError
from segcore.filesystem import is_file
from segcore.tasks.polygon import clip_polygon, polygon_rle
from segcore.tasks.rle import Rle, encode_mask, rle_area, rle_box, rle_json

__all__ = ["CocoConverter"]

# PaddleX's names first, then COCO's own
_FILES: Mapping[Split, tuple[str, ...]] = {
    "train": ("instance_train.json", "instances_train2017.json", "instances_train.json"),
    "val": ("instance_val.json", "instances_val2017.json", "instances_val.json"),
    "test": ("instance_test.json", "instances_test.json"),
}
_IMAGE_FOLDERS: Mapping[Split, tuple[str, ...]] = {
    "train": ("images", "train2017", "train", "."),
    "val": ("images", "val2017", "val", "."),
    "test": ("images", "test2017", "test", "."),
}
# what is kept, or told again by what reads the image
_SILENT = {
    "category-gap", "duplicate-file", "empty-box", "image-size", "no-annotations", "over-edge",
}  # fmt: skip


class CocoConverter(BaseModel):
    """Read and write annotation files with one object a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rle: bool = Field(False, description="write all masks as runs, exact to the pixel")

    def detects(self, root: Path) -> bool:
        """Say whether `root/annotations` has a file of the usual names."""
        return bool(_annotation_files(root))

    def read(self, root: Path) -> CocoSource:
        """Read the annotation files. Raises DataError."""
        return CocoSource(root)

    def write(self, output: Path, classes: Classes) -> CocoWriter:
        """Begin a dataset."""
        return CocoWriter(output, classes, rle=self.rle)


def _annotation_files(root: Path) -> dict[Split, Path]:
    found: dict[Split, Path] = {}
    for split, names in _FILES.items():
        paths = (root / "annotations" / name for name in names)
        path = next((path for path in paths if is_file(path)), None)
        if path is not None:
            found[split] = path
    return found


class CocoSource:
    """The images of all splits with their objects."""

    def __init__(self, root: Path) -> None:
        files = _annotation_files(root)
        if not files:
            expected = ", ".join(f"annotations/{names[0]}" for names in _FILES.values())
            raise DataError(f"{printable(root)}: has none of {expected}.")
        self._root = root
        self.notes: list[Note] = []
        self._images: list[tuple[CocoImage, Split]] = []
        self._objects: dict[tuple[Split, int], list[CocoAnnotation]] = {}
        self._categories: dict[tuple[Split, int], str] = {}
        names: dict[str, None] = {}
        ids: dict[int, str] = {}
        for split, path in files.items():
            content = read_coco(path)
            self._take(split, content)
            ids |= {category.id: category.name for category in content.categories}
        for number in sorted(ids):
            names[ids[number]] = None
        names |= dict.fromkeys(self._categories.values())
        self.classes = Classes(tuple(dict.fromkeys([DEFAULT_BACKGROUND, *names])), (), True)
        self.names: Sequence[str] = strip_common_folder(
            [_clean(image.file_name) for image, _ in self._images]
        )

    def load(self, index: int) -> AnnotatedImage:
        """Read an image and draw its objects. Raises DataError."""
        image, split = self._images[index]
        data = read_file(self._find_image(image.file_name, split), printable(image.file_name))
        width, height = image_size(data, image.file_name)
        if (image.width, image.height) not in ((width, height), (0, 0)):
            raise DataError(
                f"its objects were drawn on {image.width} x {image.height} pixels, but the image "
                f"has {width} x {height}. Was it turned or resized after it was annotated?"
            )
        canvas = Canvas(width, height)
        regions = []
        for item in self._objects.get((split, image.id), ()):
            try:
                mask, left, top = _draw(item, canvas)
            except UnusableShape as error:
                canvas.skip(error)
                continue
            regions.append(
                Region(
                    label=self._categories[split, item.category_id],
                    mask=mask,
                    left=left,
                    top=top,
                    polygons=None if isinstance(item.segmentation, Rle) else item.segmentation,
                    is_crowd=item.iscrowd,
                )
            )
        return AnnotatedImage(
            data=data, width=width, height=height, split=split, regions=tuple(regions),
            notes=tuple(canvas.notes),
        )  # fmt: skip

    def _take(self, split: Split, content: CocoFile) -> None:
        self._images += [(image, split) for image in content.images]
        self._categories |= {(split, c.id): c.name for c in content.categories}
        for item in content.annotations:
            self._objects.setdefault((split, item.image_id), []).append(item)
        # an object without a usable polygon is told of for each of them and for itself
        told = {(p.kind, p.annotation_id, p.file): p for p in content.problems}
        self.notes += [_note(p) for p in told.values() if p.kind not in _SILENT]

    def _find_image(self, name: str, split: Split) -> str:
        for folder in _IMAGE_FOLDERS[split]:
            if os.path.exists(self._root / folder / name):  # noqa: PTH110 - too long is just no
                return find_inside(self._root, f"{folder}/{name}")
        return find_inside(self._root, f"images/{name}")


def _clean(file_name: str) -> str:
    """Give the name of an image without its suffix and without leading `./`."""
    return without_suffix("/".join(part for part in file_name.split("/") if part != "."))


def _note(problem: CocoProblem) -> Note:
    # the message names the record; the kind is what records have in common
    reason = PROBLEM_KINDS[problem.kind].partition(";")[0]
    is_image = problem.annotation_id is None and problem.message.startswith("image")
    return Note("skipped", "image" if is_image else "shape", reason, problem.file)


def _draw(item: CocoAnnotation, canvas: Canvas) -> Placed:
    if isinstance(item.segmentation, Rle):
        if (item.segmentation.height, item.segmentation.width) != (canvas.height, canvas.width):
            raise UnusableShape("an RLE of another size than its image")
        return canvas.runs(item.segmentation)
    return canvas.polygons(item.segmentation)


class CocoWriter:
    """Writes `images/` and, in the end, `annotations/instance_SPLIT.json`.

    Category ids are the classes' positions, from 1 where there is no background; ids of images and
    objects count from 1 through all splits.
    """

    def __init__(self, output: Path, classes: Classes, *, rle: bool) -> None:
        self._folder = Folder(output)
        self._classes = classes
        self._rle = rle
        self._first = 0 if classes.has_background else 1
        self._images: dict[Split, _Records] = {}
        self._objects: dict[Split, _Records] = {}
        self._counts = {"images": 0, "objects": 0}

    def add(self, image: ConvertedImage) -> Sequence[Note]:
        """Write the image as it is, and keep its objects as JSON."""
        name = f"{image.name}{image.suffix}"
        records = list(self._records(image))
        self._folder.write(f"images/{name}", image.data)
        self._counts["images"] += 1
        number = self._counts["images"]
        self._images.setdefault(image.split, _Records()).append(
            {"id": number, "file_name": name, "width": image.width, "height": image.height}
        )
        objects = self._objects.setdefault(image.split, _Records())
        for record in records:
            self._counts["objects"] += 1
            objects.append({"id": self._counts["objects"], "image_id": number, **record})
        if image.has_ignored:
            return [Note("changed", "image", "its ignored pixels become background")]
        return ()

    def finish(self) -> None:
        """Write the annotation files."""
        for split, images in self._images.items():
            pieces = _file(images, self._objects[split], self._categories())
            self._folder.write_last(f"annotations/instance_{split}.json", pieces)

    def _categories(self) -> _Records:
        records = _Records()
        for number, name in enumerate(self._classes.names):
            if number > 0 or not self._classes.has_background:
                records.append({"id": number + self._first, "name": name})
        return records

    def _records(self, image: ConvertedImage) -> Iterator[dict[str, Any]]:
        for found in image.objects:
            as_polygons = None if self._rle or found.is_crowd else _outline(found, image)
            runs, segmentation = as_polygons or _runs(found, image)
            yield {
                "category_id": found.class_index + self._first,
                "segmentation": segmentation,
                "area": rle_area(runs),
                "bbox": list(rle_box(runs)),
                "iscrowd": int(found.is_crowd),
            }


def _outline(found: ConvertedObject, image: ConvertedImage) -> tuple[Rle, Any] | None:
    """Give the object as polygons, cut at the borders; None where none of them covers a pixel."""
    width, height = image.width, image.height
    clipped = [clip_polygon(polygon, width, height) for polygon in found.polygons or ()]
    polygons = [polygon for polygon in clipped if len(polygon) >= 3]
    runs = polygon_rle(polygons, height, width) if polygons else None
    if runs is None or not rle_area(runs):
        return None
    return runs, [polygon.reshape(-1).tolist() for polygon in polygons]


def _runs(found: ConvertedObject, image: ConvertedImage) -> tuple[Rle, Any]:
    height, width = found.mask.shape
    columns = np.zeros((image.height, width), bool)
    columns[found.top : found.top + height] = found.mask
    counts = encode_mask(columns).counts.tolist()
    counts[0] += found.left * image.height
    rest = (image.width - found.left - width) * image.height
    if len(counts) % 2:  # the last run is background
        counts[-1] += rest
    elif rest:
        counts.append(rest)
    runs = Rle(image.height, image.width, np.array(counts, np.int64))
    return runs, rle_json(runs)


class _Records:
    """Records as lines of JSON, packed: those of a large set take a tenth of their size."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(1)
        self._packed: list[bytes] = []
        self._separator = b"\n"

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record."""
        text = json.dumps(record, separators=(",", ":")).encode()
        packed = self._packer.compress(self._separator + text)
        if packed:
            self._packed.append(packed)
        self._separator = b",\n"

    def pieces(self) -> Iterator[bytes]:
        """Give the records as JSON, commas between them."""
        unpacker = zlib.decompressobj()
        for piece in (*self._packed, self._packer.flush()):
            yield unpacker.decompress(piece)
        yield unpacker.flush()


def _file(images: _Records, objects: _Records, categories: _Records) -> Iterator[bytes]:
    yield b'{"images":['
    yield from images.pieces()
    yield b'],"annotations":['
    yield from objects.pieces()
    yield b'],"categories":['
    yield from categories.pieces()
    yield b"]}\n"
