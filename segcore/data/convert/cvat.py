"""CVAT's "for images 1.1": one `annotations.xml`, and the images below `images/`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import AnnotatedImage, Classes, Note, Region, Split
from segcore.data.convert.canvas import Canvas, Placed, UnusableShape
from segcore.data.convert.classes import DEFAULT_BACKGROUND, is_background
from segcore.data.convert.source import (
    find_inside,
    image_size,
    read_colour,
    strip_common_folder,
    without_suffix,
)
from segcore.data.paths import printable, read_file
from segcore.errors import DataError
from segcore.filesystem import is_file
from segcore.foreign import foreign_errors

__all__ = ["CvatConverter"]

_FILE = "annotations.xml"
_MAX_BYTES = 2**30
_MAX_DEPTH = 30
_SHAPES = ("polygon", "box", "mask", "ellipse", "polyline", "points")
_SPLITS: Mapping[str, Split] = {
    "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
_ELLIPSE_CORNERS = 72


class CvatConverter(BaseModel):
    """Read a task or project as CVAT exports it with its images; subsets are splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line_width: int = Field(10, ge=1, le=1000, description="width of lines in pixels")
    point_radius: int = Field(5, ge=0, le=1000, description="radius of points in pixels")

    def detects(self, root: Path) -> bool:
        """Say whether `root` has the file of annotations."""
        return is_file(root / _FILE)

    def read(self, root: Path) -> CvatSource:
        """Read the annotations. Raises DataError."""
        return CvatSource(root, self)


@dataclass
class _Image:
    """The attributes of an `image` element, and those of its shapes with their kind."""

    attributes: Mapping[str, str]
    shapes: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)


class CvatSource:
    """The images of the file; what their shapes are is looked at when an image is loaded."""

    def __init__(self, root: Path, options: CvatConverter) -> None:
        self._root = root
        self._options = options
        handler = _read_xml(root)
        self.notes: Sequence[Note] = ()
        self._images = handler.images
        names = [image.attributes.get("name", "") for image in self._images]
        if not names or not all(names):
            raise DataError(f"{printable(root / _FILE)}: lists no images, or one without a name.")
        self.names: Sequence[str] = strip_common_folder([without_suffix(name) for name in names])
        colours = dict(handler.labels)
        for image in self._images:
            for _, shape in image.shapes:
                colours.setdefault(shape.get("label", ""), None)
        colours.pop("", None)
        background = next(filter(is_background, colours), DEFAULT_BACKGROUND)
        colours = {background: colours.get(background), **colours}
        self.classes = Classes(tuple(colours), tuple(colours.values()), has_background=True)

    def load(self, index: int) -> AnnotatedImage:
        """Read an image and draw its shapes. Raises DataError."""
        image = self._images[index]
        name, subset = image.attributes["name"], image.attributes.get("subset", "")
        data = read_file(self._find_image(name, subset), printable(name))
        width, height = image_size(data, name)
        said = (image.attributes.get("width"), image.attributes.get("height"))
        if None not in said and said != (str(width), str(height)):
            raise DataError(
                f"its shapes were drawn on {said[0]!r:.20} x {said[1]!r:.20} pixels, but the image "
                f"has {width} x {height}. Was it turned or resized afterwards?"
            )
        canvas = Canvas(width, height)
        ordered = sorted(image.shapes, key=lambda shape: _order(shape[1]))
        regions = [r for kind, shape in ordered if (r := self._draw(kind, shape, canvas))]
        return AnnotatedImage(
            data=data, width=width, height=height, regions=tuple(regions),
            split=_SPLITS.get(subset.casefold(), "train"), notes=tuple(canvas.notes),
        )  # fmt: skip

    def _find_image(self, name: str, subset: str) -> str:
        for place in (f"images/{name}", f"images/{subset}/{name}", name):
            if os.path.isfile(self._root / place):  # noqa: PTH113 - too long is just no
                return find_inside(self._root, place)
        return find_inside(self._root, f"images/{name}")

    def _draw(self, kind: str, shape: Mapping[str, str], canvas: Canvas) -> Region | None:
        try:
            label = shape.get("label", "")
            if not label:
                raise UnusableShape("it has no label")
            (mask, left, top), outline = self._place(kind, shape, canvas)
        except UnusableShape as error:
            canvas.skip(error)
            return None
        return Region(
            label=label, mask=mask, left=left, top=top,
            polygons=None if outline is None else (outline,), instance=shape.get("group_id"),
        )  # fmt: skip

    def _place(
        self, kind: str, shape: Mapping[str, str], canvas: Canvas
    ) -> tuple[Placed, np.ndarray | None]:
        if kind == "mask":
            return _place_mask(shape, canvas), None
        if kind in ("polyline", "points"):
            points = _points(shape.get("points", ""), canvas)
            if kind == "polyline":
                return canvas.draw("line", points, self._options.line_width), None
            if len(points) != 1:
                raise UnusableShape("several points in one shape")
            return canvas.draw("point", points, 0, self._options.point_radius), None
        outline = _outline(kind, shape, canvas)
        if len(outline) < 3:
            raise UnusableShape("a polygon of fewer than 3 points")
        return canvas.polygons([outline]), outline


class _Handler:
    """Collects labels and images from the events of the parser."""

    def __init__(self) -> None:
        self.images: list[_Image] = []
        self.labels: dict[str, tuple[int, int, int] | None] = {}
        self._path: list[str] = []
        self._text = ""
        self._label = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text = ""
        if len(self._path) > _MAX_DEPTH:
            raise DataError(f"{_FILE}: nests too deeply.")
        if name == "image" and len(self._path) == 2:
            self.images.append(_Image(attributes))
        elif self.images and name in _SHAPES and self._path[-2] == "image":
            self.images[-1].shapes.append((name, attributes))

    def text(self, data: str) -> None:
        if self._path[-2:-1] == ["label"]:
            self._text += data

    def end(self, name: str) -> None:
        if self._path[-2:-1] == ["label"] and name == "name":
            self._label = self._text.strip()
            if self._label:
                self.labels.setdefault(self._label, None)
        elif self._path[-2:-1] == ["label"] and name == "color" and self._label in self.labels:
            self.labels[self._label] = read_colour(self._text.strip())
        self._path.pop()

    def refuse(self, *_: object) -> None:
        raise DataError(f"{_FILE}: has a document type or entities, which CVAT never writes.")


def _read_xml(root: Path) -> _Handler:
    path = find_inside(root, _FILE)
    handler = _Handler()
    parser = expat.ParserCreate()
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = handler.refuse
    parser.EntityDeclHandler = handler.refuse
    data = read_file(path, _FILE, _MAX_BYTES)
    with foreign_errors(lambda reason: DataError(f"{_FILE}: is no XML ({reason}).")):
        parser.Parse(data, True)
    return handler


def _order(shape: Mapping[str, str]) -> int:
    try:
        return int(shape.get("z_order", "0"))
    except ValueError:
        return 0


def _numbers(shape: Mapping[str, str], names: Sequence[str], canvas: Canvas) -> list[float]:
    """Give attributes as numbers, with the checks that points get. Raises UnusableShape."""
    try:
        values = [float(shape[name]) for name in names]
    except (KeyError, ValueError) as error:
        raise UnusableShape(f"it lacks one of the numbers {', '.join(names)}") from error
    canvas.read_points([[value, 0] for value in values])
    return values


def _points(text: str, canvas: Canvas) -> np.ndarray:
    try:
        pairs: list[list[float]] = [
            [float(value) for value in pair.split(",")] for pair in text.split(";") if pair
        ]
    except ValueError as error:
        raise UnusableShape("its points are no list of x,y") from error
    return canvas.read_points(pairs)


def _outline(kind: str, shape: Mapping[str, str], canvas: Canvas) -> np.ndarray:
    """Give a polygon, box or ellipse as corners, turned by its rotation in degrees."""
    if kind == "polygon":
        return _points(shape.get("points", ""), canvas)
    angle = math.radians(_numbers(shape, ["rotation"], canvas)[0]) if "rotation" in shape else 0.0
    if kind == "box":
        left, top, right, bottom = _numbers(shape, ["xtl", "ytl", "xbr", "ybr"], canvas)
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    else:
        x, y, across, down = _numbers(shape, ["cx", "cy", "rx", "ry"], canvas)
        turns = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
        corners = np.stack([x + across * np.cos(turns), y + down * np.sin(turns)], axis=1)
    if not angle:
        return corners
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned: np.ndarray = (corners - centre) @ turn + centre
    return turned


def _place_mask(shape: Mapping[str, str], canvas: Canvas) -> Placed:
    """Place a mask: runs of background and object in turn, row by row within its box."""
    box = _numbers(shape, ["left", "top", "width", "height"], canvas)
    left, top, width, height = (int(value) for value in box)
    try:
        runs = np.array([int(run) for run in shape.get("rle", "").split(",")], np.int64)
    except (ValueError, OverflowError) as error:
        raise UnusableShape("its runs are no whole numbers") from error
    if min(width, height) < 1 or width > canvas.width or height > canvas.height:
        raise UnusableShape("a mask larger than its image, or of no size")
    if runs.min() < 0 or runs.max() > width * height or int(runs.sum()) != width * height:
        raise UnusableShape("its runs do not fill its box")
    values = np.arange(len(runs)) % 2 == 1
    return canvas.place(np.repeat(values, runs).reshape(height, width), left, top)
