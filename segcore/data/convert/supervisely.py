"""Supervisely: a project with `meta.json`, and `DATASET/img/` and `DATASET/ann/` of equal names."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import AnnotatedImage, Classes, Note, Region, Split
from segcore.data.convert.canvas import Canvas, Placed, UnusableShape
from segcore.data.convert.classes import DEFAULT_BACKGROUND, is_background
from segcore.data.convert.source import (
    IMAGE_SUFFIXES,
    image_size,
    read_colour,
    read_json,
    read_source,
    shown_value,
    strip_common_folder,
    walk_files,
    without_suffix,
)
from segcore.data.header import read_header
from segcore.data.paths import printable
from segcore.errors import DataError, ImageError
from segcore.filesystem import is_file, is_folder, list_names
from segcore.foreign import foreign_errors

__all__ = ["SuperviselyConverter"]

_SPLITS: Mapping[str, Split] = {
    "train": "train", "val": "val", "validation": "val", "test": "test",
}  # fmt: skip
_MAX_BITMAP_BYTES = 2**26
_BITMAP_HEAD_BYTES = 2**16


class SuperviselyConverter(BaseModel):
    """Read a project as Supervisely exports it; datasets called train, val and test are splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line_width: int = Field(10, ge=1, le=1000, description="width of lines in pixels")
    point_radius: int = Field(5, ge=0, le=1000, description="radius of points in pixels")

    def detects(self, root: Path) -> bool:
        """Say whether `root` has a `meta.json` and annotations."""
        return is_file(root / "meta.json") and any(
            is_folder(root / name / "ann") for name in list_names(root)
        )

    def read(self, root: Path) -> SuperviselySource:
        """Read the classes and find the images. Raises DataError."""
        return SuperviselySource(root, self)


class SuperviselySource:
    """The images of all datasets of a project."""

    def __init__(self, root: Path, options: SuperviselyConverter) -> None:
        self._root = root
        self._options = options
        self.classes = _read_classes(read_json(root, "meta.json"))
        self.notes: list[Note] = []
        self._files: list[tuple[str, str, Split]] = []
        annotations = set(walk_files(root, frozenset((".json",))))
        for image in walk_files(root, IMAGE_SUFFIXES):
            dataset, _, rest = image.rpartition("/img/")
            wanted = (f"{dataset}/ann/{rest}.json", f"{dataset}/ann/{without_suffix(rest)}.json")
            file = next((name for name in wanted if name in annotations), None)
            if not dataset or file is None:
                if dataset:
                    self.notes.append(Note("skipped", "image", "it has no annotation", image))
                continue
            split = _SPLITS.get(dataset.rpartition("/")[2].casefold(), "train")
            self._files.append((image, file, split))
        if not self._files:
            raise DataError(f"{printable(root)}: has no image with an annotation.")
        parts = [image.rpartition("/img/") for image, _, _ in self._files]
        self.names: Sequence[str] = strip_common_folder(
            [f"{dataset}/{without_suffix(rest)}" for dataset, _, rest in parts]
        )

    def load(self, index: int) -> AnnotatedImage:
        """Read an image and draw its objects. Raises DataError."""
        image, file, split = self._files[index]
        data = read_source(self._root, image)
        width, height = image_size(data, image)
        content = read_json(self._root, file)
        objects = content.get("objects") if isinstance(content, dict) else None
        if not isinstance(objects, list):
            raise DataError(f"{printable(file)}: has no list of objects")
        size = content.get("size")
        said = (size.get("width"), size.get("height")) if isinstance(size, dict) else (None, None)
        if None not in said and said != (width, height):
            raise DataError(
                f"{printable(file)}: drawn on {shown_value(said[0])} x {shown_value(said[1])} "
                f"pixels, but the image has {width} x {height}. Was it turned or resized later?"
            )
        canvas = Canvas(width, height)
        regions = [found for item in objects if (found := self._draw(item, canvas)) is not None]
        return AnnotatedImage(
            data=data, width=width, height=height, split=split, regions=tuple(regions),
            notes=tuple(canvas.notes),
        )  # fmt: skip

    def _draw(self, item: Any, canvas: Canvas) -> Region | None:
        try:
            label = item.get("classTitle") if isinstance(item, dict) else None
            if label not in self.classes.names:
                raise UnusableShape("its class is not in meta.json")
            mask, left, top = self._place(item, canvas)
        except UnusableShape as error:
            canvas.skip(error)
            return None
        return Region(label=label, mask=mask, left=left, top=top)

    def _place(self, item: Mapping[str, Any], canvas: Canvas) -> Placed:
        kind = item.get("geometryType")
        if kind == "bitmap":
            return _place_bitmap(item.get("bitmap"), canvas)
        points = item.get("points")
        if not isinstance(points, dict):
            raise UnusableShape("it has no points")
        outer = canvas.read_points(points.get("exterior"))
        if kind == "polygon":
            holes = points.get("interior") or []
            if not isinstance(holes, list):
                raise UnusableShape("its holes are no list")
            return canvas.fill(outer, [canvas.read_points(hole) for hole in holes])
        if kind == "rectangle":
            return canvas.draw("rectangle", outer)
        if kind == "line":
            return canvas.draw("line", outer, self._options.line_width)
        if kind == "point":
            return canvas.draw("point", outer, 0, self._options.point_radius)
        raise UnusableShape(f"a kind that is not drawn: {shown_value(kind)}")


def _read_classes(meta: Any) -> Classes:
    listed = meta.get("classes") if isinstance(meta, dict) else None
    if not isinstance(listed, list):
        raise DataError("meta.json: has no list of classes.")
    colours: dict[str, tuple[int, int, int] | None] = {}
    for item in listed:
        title = item.get("title") if isinstance(item, dict) else None
        if not isinstance(title, str) or not title:
            raise DataError("meta.json: a class has no title.")
        colours[title] = read_colour(item.get("color"))
    background = next(filter(is_background, colours), DEFAULT_BACKGROUND)
    colours = {background: colours.get(background), **colours}
    return Classes(tuple(colours), tuple(colours.values()), has_background=True)


def _place_bitmap(bitmap: Any, canvas: Canvas) -> Placed:
    """Place a bitmap: base64 of zlib of PNG, where the alpha channel or any value is the object."""
    if not isinstance(bitmap, dict):
        raise UnusableShape("a bitmap without data")
    origin = canvas.read_points([bitmap.get("origin")])
    with foreign_errors(lambda _: UnusableShape("a bitmap that cannot be decoded")):
        packed = base64.b64decode(bitmap.get("data") or "", validate=True)
        unpacker = zlib.decompressobj()
        # as much as an uncompressed picture of the image's size takes
        most = min(_MAX_BITMAP_BYTES, 4 * canvas.width * canvas.height + _BITMAP_HEAD_BYTES)
        data = unpacker.decompress(packed, most)
    try:
        header = read_header(data, "a bitmap")
    except ImageError as error:
        raise UnusableShape("a bitmap that cannot be decoded") from error
    if header.format != "PNG":
        raise UnusableShape("a bitmap that is no PNG")
    if not unpacker.eof:
        raise UnusableShape("a bitmap that is cut off, or far too large")
    if header.width > canvas.width or header.height > canvas.height:
        raise UnusableShape("a bitmap larger than its image")
    import cv2

    with foreign_errors(lambda _: UnusableShape("a bitmap that cannot be decoded")):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise UnusableShape("a bitmap that cannot be decoded")
    if picture.ndim == 3:
        picture = picture[..., 3] if picture.shape[2] == 4 else picture.any(axis=2)
    left, top = origin[0].astype(int).tolist()
    return canvas.place(picture, left, top)
