"""SegDataset, PaddleX's layout for semantic segmentation, both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import (
    IGNORED,
    AnnotatedImage,
    Classes,
    ConvertedImage,
    Note,
    Split,
)
from segcore.config.schema import DataConfig
from segcore.data.convert.classes import is_background
from segcore.data.convert.output import (
    Folder,
    encode_label,
    encode_palette,
    palette_of,
    stored_labels,
)
from segcore.data.convert.source import (
    image_size,
    read_label,
    read_source,
    strip_common_folder,
    without_suffix,
)
from segcore.data.label import check_label_values
from segcore.data.listfile import ClassList, Row, format_row, read_class_list, read_rows
from segcore.data.paths import printable
from segcore.data.segdataset import count_classes
from segcore.errors import RequestError
from segcore.filesystem import is_file, is_folder

__all__ = ["SegDatasetConverter", "class_lines", "read_classes", "to_class_map"]

_SPLITS: tuple[Split, ...] = ("train", "val", "test")


class SegDatasetConverter(BaseModel):
    """Read and write lists, images and labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    palette: bool = Field(False, description="write labels with colours, which still hold indices")

    def detects(self, root: Path) -> bool:
        """Say whether `root` has a list and labels."""
        return is_folder(root / "annotations") and any(
            is_file(root / f"{split}.txt") for split in _SPLITS
        )

    def read(self, root: Path) -> SegDatasetSource:
        """Read the lists. Raises DataError."""
        return SegDatasetSource(root)

    def write(self, output: Path, classes: Classes) -> SegDatasetWriter:
        """Begin a dataset."""
        return SegDatasetWriter(output, classes, palette=self.palette)


class SegDatasetSource:
    """The rows of all lists."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rows: list[tuple[Row, Split]] = [
            (row, split)
            for split in _SPLITS
            if is_file(root / f"{split}.txt")
            for row in read_rows(root / f"{split}.txt")
        ]
        self.names: Sequence[str] = strip_common_folder(
            [without_suffix(row.image) for row, _ in self._rows]
        )
        self.notes: Sequence[Note] = ()
        self.classes = read_classes(root / "labels.txt", lambda: count_classes(root, DataConfig()))

    def load(self, index: int) -> AnnotatedImage:
        """Read an image and its label. Raises DataError."""
        row, split = self._rows[index]
        data = read_source(self._root, row.image)
        width, height = image_size(data, row.image)
        label = read_label(self._root, row.label, (width, height))
        class_map = to_class_map(label, printable(row.label), len(self.classes.names))
        return AnnotatedImage(
            data=data, width=width, height=height, split=split, class_map=class_map
        )


class SegDatasetWriter:
    """Writes `images/`, `annotations/`, and lists of what it wrote."""

    def __init__(self, output: Path, classes: Classes, *, palette: bool) -> None:
        self._folder = Folder(output)
        self._classes = classes
        self._rows: dict[Split, list[str]] = {}
        self._labels = class_lines(classes)
        self._colours = palette_of(classes) if palette else None
        if palette and len(classes.names) > 255:
            raise RequestError("labels of more than 255 classes cannot have a palette")

    def add(self, image: ConvertedImage) -> Sequence[Note]:
        """Write the image as it is, and its class map."""
        label = stored_labels(image.class_map, len(self._classes.names))
        image_name, label_name = (
            f"images/{image.name}{image.suffix}",
            f"annotations/{image.name}.png",
        )
        encoded = encode_label(label) if self._colours is None else encode_palette(
            label, self._colours
        )  # fmt: skip
        self._folder.write(image_name, image.data)
        self._folder.write(label_name, encoded)
        self._rows.setdefault(image.split, []).append(format_row(image_name, label_name))
        return ()

    def finish(self) -> None:
        """Write labels.txt and the lists."""
        self._folder.write_lines("labels.txt", self._labels)
        for split, rows in self._rows.items():
            self._folder.write_lines(f"{split}.txt", rows)


def read_classes(path: Path, count: Callable[[], int]) -> Classes:
    """Read a file of classes, or number them where there is none: `count()` says how many."""
    if is_file(path):
        listed = read_class_list(path)
    else:
        names = tuple(f"class {number}" for number in range(count()))
        listed = ClassList(names, (None,) * len(names))
    # without a file nobody can say what class 0 is, and background is what it usually is
    has_background = not is_file(path) or is_background(listed.names[0])
    colours = listed.colours if any(listed.colours) else ()
    return Classes(listed.names, colours, has_background)


def to_class_map(
    label: np.ndarray, source: str, num_classes: int, ignore_index: int = 255
) -> np.ndarray:
    """Give a label as int16 with `IGNORED` for `ignore_index`. Raises LabelError."""
    deep = num_classes > 255 and ignore_index == 255
    ignored = 65535 if deep else ignore_index
    check_label_values(label, source, num_classes, ignored)
    class_map: np.ndarray = label.astype(np.int16)
    class_map[label == ignored] = IGNORED
    return class_map


def class_lines(classes: Classes) -> list[str]:
    """Give the lines of labels.txt, with colours where there are some or a name needs one.

    Raises RequestError for names that no line of a file can hold.
    """
    colours = classes.colours or (None,) * len(classes.names)
    shown = palette_of(classes)
    lines = []
    for number, (name, colour) in enumerate(zip(classes.names, colours, strict=True)):
        if name != name.strip() or name.startswith("#") or len(name.splitlines()) != 1:
            raise RequestError(
                f"class {printable(name)!r}: a line of labels.txt cannot hold it, since it begins "
                "with # or a blank, ends with one, or has several lines. Rename the class."
            )
        ends_like_colour = any(c.isdigit() for c in name.split()[-1]) or "#" in name
        if colour is not None or (ends_like_colour and " " in name):
            name = f"{name} #{bytes(shown[number].tolist()).hex()}"  # noqa: PLW2901
        lines.append(name)
    return lines
