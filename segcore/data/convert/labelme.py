"""LabelMe: a JSON file beside each image, with shapes in the image's pixels.

Shapes are drawn as LabelMe's own exporters draw them. PaddleX's layout is the same with
`images/`, `annotations/` and lists `train_anno_list.txt` and `val_anno_list.txt`, which are kept.

A group (`group_id`) of one label is one object. Inside a group, an area that lies wholly within
another one is a hole in it, and an area within the hole is solid again; areas without a group never
make holes. LabelMe itself has no rule for that.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import AnnotatedImage, Classes, Note, Region, Split
from segcore.data.convert.canvas import Canvas, Kind, Placed, UnusableShape
from segcore.data.convert.classes import DEFAULT_BACKGROUND, is_background
from segcore.data.convert.source import (
    IMAGE_SUFFIXES,
    find_inside,
    image_size,
    read_json,
    read_lines,
    shown_value,
    strip_common_folder,
    walk_files,
    without_suffix,
)
from segcore.data.header import read_header
from segcore.data.label import decode_label
from segcore.data.paths import printable, read_file
from segcore.errors import DataError
from segcore.filesystem import is_file
from segcore.foreign import foreign_errors
from segcore.integer_key import is_integer_key

__all__ = ["LabelMe"]

_LISTS: Mapping[Split, str] = {
    "train": "train_anno_list.txt",
    "val": "val_anno_list.txt",
    "test": "test_anno_list.txt",
}
_CLASS_FILES = ("labels.txt", "label.txt", "class_names.txt")
# the kinds of several versions of LabelMe and of tools that write its files
_KINDS: Mapping[str | None, Kind] = {
    None: "polygon",
    "polygon": "polygon",
    "rectangle": "rectangle",
    "oriented_rectangle": "polygon",
    "rotation": "polygon",
    "circle": "circle",
    "line": "line",
    "linestrip": "line",
    "point": "point",
}
_AREAS = ("polygon", "rectangle", "circle")
_MOST_SHAPES = 20_000


class LabelMe(BaseModel):
    """Read LabelMe's files, one by one or in PaddleX's layout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line_width: int = Field(10, ge=1, le=1000, description="width of lines in pixels")
    point_radius: int = Field(5, ge=0, le=1000, description="radius of points in pixels")
    encoding: str | None = Field(None, description="of the JSON files, where they are no Unicode")
    unlabelled: Literal["skip", "background"] = Field(
        "skip", description="what images without a JSON file are: not annotated, or background"
    )

    def detects(self, root: Path) -> bool:
        """Say whether `root` has PaddleX's lists, or JSON files that are called as images are."""
        if any(is_file(root / name) for name in _LISTS.values()):
            return True
        images = {_stem(name) for name in walk_files(root, IMAGE_SUFFIXES)}
        return any(_stem(name) in images for name in walk_files(root, frozenset((".json",))))

    def read(self, root: Path) -> LabelMeDataset:
        """Look through all files for their labels. Raises DataError when there are none."""
        return LabelMeDataset(root, self)


@dataclass(frozen=True)
class _Entry:
    """A JSON file, or an image without one."""

    file: str
    split: Split
    has_shapes: bool = True


class LabelMeDataset:
    """The images of one folder; each JSON is read for its labels first, and again when used."""

    def __init__(self, root: Path, options: LabelMe) -> None:
        self._root = root
        self._options = options
        self.notes: list[Note] = []
        labels: dict[str, None] = {}
        shown: set[str] = set()  # the images that JSON files are about
        self._entries: list[_Entry] = []
        for entry in self._find():
            shown.add(_stem(entry.file))
            try:
                content = read_json(root, entry.file, options.encoding)
            except DataError as error:
                self.notes.append(Note("skipped", "image", str(error), entry.file))
                continue
            found = _labels_of(content)
            if found is None:
                if entry.split == "train":
                    reason = "a JSON file that is not LabelMe's: it has no list of shapes"
                    self.notes.append(Note("skipped", "image", reason, entry.file))
                continue
            self._entries.append(entry)
            shown.add(_stem(_image_path(content)))
            labels |= dict.fromkeys(found)
        if not self._entries:
            first = f" {self.notes[0].file}: {self.notes[0].reason}." if self.notes else ""
            raise DataError(
                f"{printable(root)}: has no JSON file of LabelMe that can be read.{first}"
            )
        names = [without_suffix(entry.file) for entry in self._entries]
        self._add_unlabelled(names, shown)
        self.names: Sequence[str] = strip_common_folder(names)
        self.classes = Classes(self._class_names(labels), has_background=True)

    def load(self, index: int) -> AnnotatedImage:
        """Read an image and draw its shapes. Raises DataError."""
        entry = self._entries[index]
        if not entry.has_shapes:
            data = read_file(find_inside(self._root, entry.file), printable(entry.file))
            width, height = image_size(data, entry.file)
            return AnnotatedImage(data=data, width=width, height=height, split=entry.split)
        content = read_json(self._root, entry.file, self._options.encoding)
        notes: list[Note] = []
        data, name = self._image(content, entry.file, notes)
        width, height = image_size(data, name)
        _check_size(content, width, height)
        canvas = Canvas(width, height)
        shapes = content["shapes"]
        if len(shapes) > _MOST_SHAPES:
            raise DataError(f"{len(shapes)} shapes, more than the {_MOST_SHAPES} that are drawn")
        regions = _cut_holes([s for shape in shapes for s in self._draw(shape, canvas)], canvas)
        return AnnotatedImage(
            data=data, width=width, height=height, split=entry.split,
            regions=tuple(regions), notes=(*notes, *canvas.notes),
        )  # fmt: skip

    def _find(self) -> list[_Entry]:
        lists: dict[Split, str] = {
            split: name for split, name in _LISTS.items() if is_file(self._root / name)
        }
        files = walk_files(self._root, frozenset((".json",)))
        if not lists:
            return [_Entry(file, "train") for file in files]
        entries: dict[str, _Entry] = {}
        for split, name in lists.items():
            for line in read_lines(self._root, name):
                file = self._listed_file(line)
                if file in entries and entries[file].split != split:
                    raise DataError(
                        f"{printable(file)} is listed for {entries[file].split} and for {split}. "
                        "Keep it in one of the lists."
                    )
                entries[file] = _Entry(file, split)
        left_out = [file for file in files if file not in entries]
        reason = "it is in none of the lists"
        self.notes += [Note("skipped", "image", reason, file) for file in left_out]
        return list(entries.values())

    def _listed_file(self, line: str) -> str:
        """Give the JSON file that a line of a list names; an image may stand before it."""
        candidates = [line, *line.rsplit(maxsplit=1)[1:]]
        name = next((n for n in candidates if os.path.isfile(self._root / n)), line)  # noqa: PTH113
        return os.path.normpath(name).replace(os.sep, "/")

    def _add_unlabelled(self, names: list[str], shown: set[str]) -> None:
        """Note images that no JSON file is about, or add them to `names` as background."""
        if any(is_file(self._root / name) for name in _LISTS.values()):
            return
        files = walk_files(self._root, IMAGE_SUFFIXES)
        missing = [file for file in files if _stem(file) not in shown]
        if self._options.unlabelled == "skip":
            reason = "it has no JSON file (-o from.unlabelled=background takes it as background)"
            self.notes += [Note("skipped", "image", reason, file) for file in missing]
            return
        self._entries += [_Entry(file, "train", has_shapes=False) for file in missing]
        names += map(without_suffix, missing)

    def _class_names(self, labels: Mapping[str, None]) -> tuple[str, ...]:
        """Give the classes of a class file, then other labels as they appear, background first."""
        listed = next((n for n in _CLASS_FILES if is_file(self._root / n)), None)
        names = list(read_lines(self._root, listed)) if listed is not None else []
        found = dict.fromkeys([*names, *labels])
        background = next(filter(is_background, found), DEFAULT_BACKGROUND)
        return tuple(dict.fromkeys([background, *found]))

    def _image(self, content: Mapping[str, Any], file: str, notes: list[Note]) -> tuple[bytes, str]:
        """Give the picture that was drawn on, and its name: embedded, or a file."""
        embedded, name = content.get("imageData"), _image_path(content)
        if isinstance(embedded, str) and embedded:
            return _decode_base64(embedded, "its imageData"), name or file
        if not name:
            raise DataError("it has neither imageData nor an imagePath")
        folder = file.rpartition("/")[0]
        wanted = os.path.normpath(f"{folder}/{name}" if folder else name)
        try:
            real = find_inside(self._root, wanted)
        except DataError:
            real = self._look_elsewhere(name, file, notes)
        return read_file(real, printable(name)), name

    def _look_elsewhere(self, name: str, file: str, notes: list[Note]) -> str:
        """Find an image that was moved: beside its JSON file, or in a folder for images."""
        last, folder = name.rpartition("/")[2], file.rpartition("/")[0]
        places = (folder, "", "images", "JPEGImages")
        for place in dict.fromkeys(places):
            try:
                real = find_inside(self._root, f"{place}/{last}" if place else last)
            except DataError:
                continue
            reason = f"its imagePath leads nowhere, and {place or 'the folder itself'} has the file"
            notes.append(Note("changed", "image", reason, file))
            return real
        raise DataError(f"its imagePath {printable(name)} leads nowhere, and no imageData is there")

    def _draw(self, shape: Any, canvas: Canvas) -> Iterable[_Drawn]:
        try:
            return _draw_shape(shape, canvas, self._options)
        except UnusableShape as error:
            canvas.skip(error)
            return ()


@dataclass
class _Drawn:
    """A shape with its pixels; `holes` are other shapes of its group that lie in it."""

    label: str
    placed: Placed
    is_area: bool
    group: int | str | None
    outline: np.ndarray | None = None
    is_hole: bool = False
    holes: list[_Drawn] = field(default_factory=list)


def _stem(name: str) -> str:
    return without_suffix(name).rpartition("/")[2]


def _image_path(content: Mapping[str, Any]) -> str:
    """Give the imagePath with `/` between folders, also where Windows wrote it; else empty."""
    path = content.get("imagePath")
    return PureWindowsPath(path).as_posix() if isinstance(path, str) and path else ""


def _labels_of(content: Any) -> list[str] | None:
    """Give the labels of a file, in order; None when it is not LabelMe's."""
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        return None
    return [
        shape["label"]
        for shape in shapes
        if isinstance(shape, dict) and isinstance(shape.get("label"), str) and shape["label"]
    ]


def _check_size(content: Mapping[str, Any], width: int, height: int) -> None:
    said = content.get("imageWidth"), content.get("imageHeight")
    if None in said or said == (width, height):
        return
    hint = "Was it turned after it was annotated?" if said == (height, width) else \
        "Was it resized after it was annotated?"  # fmt: skip
    raise DataError(
        f"its shapes were drawn on {shown_value(said[0])} x {shown_value(said[1])} pixels, but the "
        f"image has {width} x {height}. {hint}"
    )


def _decode_base64(text: str, what: str) -> bytes:
    with foreign_errors(lambda reason: DataError(f"{what} is damaged or cut off ({reason})")):
        return base64.b64decode("".join(text.split()), validate=True)


def _draw_shape(shape: Any, canvas: Canvas, options: LabelMe) -> list[_Drawn]:
    """Draw one shape; `points` are several. Raises UnusableShape."""
    label = shape.get("label") if isinstance(shape, dict) else None
    if not isinstance(label, str) or not label:
        raise UnusableShape("it has no label")
    kind = shape.get("shape_type")
    group = shape.get("group_id")
    group = group if isinstance(group, str) or is_integer_key(group) else None
    if kind == "mask":
        return [_Drawn(label, _read_mask(shape, canvas), True, group)]
    points = canvas.read_points(shape.get("points"))
    if kind == "points":
        placed = [canvas.draw("point", point[None], 0, options.point_radius) for point in points]
        return [_Drawn(label, part, False, group) for part in placed]
    if not isinstance(kind, str | None) or kind not in _KINDS:
        raise UnusableShape(f"a kind that LabelMe does not have: {shown_value(kind)}")
    drawn = _KINDS[kind]
    if drawn == "rectangle" and len(points) == 4:  # as newer tools write its corners
        drawn = "polygon"
    part = canvas.draw(drawn, points, options.line_width, options.point_radius)
    outline = points if drawn == "polygon" else None
    return [_Drawn(label, part, drawn in _AREAS, group, outline)]


def _read_mask(shape: Mapping[str, Any], canvas: Canvas) -> Placed:
    corners = canvas.read_points(shape.get("points"))
    text = shape.get("mask")
    if len(corners) != 2 or not isinstance(text, str):
        raise UnusableShape("a mask without its picture or the two corners of its box")
    (left, top), (right, bottom) = np.trunc(corners).astype(int).tolist()
    width, height = right - left + 1, bottom - top + 1
    try:
        data = _decode_base64(text, "a mask")
        header = read_header(data, "its picture")
        # nothing is decoded that would not be used: few bytes can hold many pixels
        if (header.width, header.height) != (width, height):
            raise UnusableShape("a mask of another size than its box")
        if width > 2 * canvas.width or height > 2 * canvas.height:
            raise UnusableShape("a mask far larger than its image")
        mask = decode_label(data, "its picture")
    except DataError as error:
        raise UnusableShape(f"a mask that cannot be decoded: {error}") from error
    return canvas.place(mask, left, top)


def _cut_holes(drawn: Sequence[_Drawn], canvas: Canvas) -> list[Region]:
    """Make regions of shapes, in their order; areas within areas of their group are holes."""
    groups: dict[tuple[str, int | str], list[_Drawn]] = {}
    for shape in drawn:
        if shape.group is not None and shape.is_area:
            groups.setdefault((shape.label, shape.group), []).append(shape)
    for members in groups.values():
        _find_holes(members)
    regions = []
    for shape in drawn:
        if shape.is_hole:
            continue
        mask, left, top = shape.placed
        for hole in shape.holes:
            part, x, y = hole.placed
            window = mask[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]]
            window &= ~part
        polygons = None
        if shape.outline is not None and not shape.holes:
            polygons = (shape.outline,)
        if not mask.any():
            canvas.skip(UnusableShape("it covers no pixel"))
            continue
        regions.append(
            Region(
                label=shape.label,
                mask=mask,
                left=left,
                top=top,
                polygons=polygons,
                instance=shape.group,
            )
        )
    return regions


def _find_holes(members: Sequence[_Drawn]) -> None:
    """Tell the shapes of a group which of them are holes: those inside an odd number of others."""
    around = [[o for o in members if o is not m and _contains(o, m)] for m in members]
    depth = {id(member): len(outer) for member, outer in zip(members, around, strict=True)}
    for member, outer in zip(members, around, strict=True):
        member.is_hole = len(outer) % 2 == 1
        if member.is_hole:
            for shape in outer:
                if depth[id(shape)] == len(outer) - 1:
                    shape.holes.append(member)


def _contains(outer: _Drawn, inner: _Drawn) -> bool:
    """Say whether `inner` lies wholly within `outer`, and is smaller."""
    (mask, left, top), (part, x, y) = outer.placed, inner.placed
    height, width = part.shape
    if x < left or y < top or x + width > left + mask.shape[1] or y + height > top + mask.shape[0]:
        return False
    window = mask[y - top : y - top + height, x - left : x - left + width]
    is_covered = not bool((part & ~window).any())
    return is_covered and bool(np.count_nonzero(part) < np.count_nonzero(mask))
