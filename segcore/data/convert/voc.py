"""Pascal VOC's layout for segmentation, both ways.

`JPEGImages/`, `SegmentationClass/` (palette PNG, 255 for what does not count),
`SegmentationObject/` (the number of the object at each pixel) and `ImageSets/Segmentation/`. The
classes are those of `class_names.txt` or `labels.txt` beside them, or VOC's own twenty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segcore.annotation import (
    IGNORED,
    AnnotatedImage,
    Classes,
    ConvertedImage,
    Note,
    Region,
    Split,
)
from segcore.data.convert.output import (
    Folder,
    encode_label,
    encode_palette,
    palette_of,
    stored_labels,
)
from segcore.data.convert.segdataset import class_lines, read_classes, to_class_map
from segcore.data.convert.source import (
    IMAGE_SUFFIXES,
    cut_values,
    image_size,
    read_label,
    read_lines,
    read_source,
    walk_files,
    without_suffix,
)
from segcore.data.palette import voc_palette
from segcore.data.paths import printable
from segcore.errors import DataError, RequestError
from segcore.filesystem import is_file, is_folder

__all__ = ["VOC_CLASSES", "VocConverter"]

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_LISTS = "ImageSets/Segmentation"
_VOID = 255


class VocConverter(BaseModel):
    """Read and write Pascal VOC's folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: bool = Field(True, description="read or write SegmentationObject as well")

    def detects(self, root: Path) -> bool:
        """Say whether `root` has the folders of images and labels."""
        return is_folder(root / "JPEGImages") and is_folder(root / "SegmentationClass")

    def read(self, root: Path) -> VocSource:
        """Read the lists. Raises DataError."""
        return VocSource(root, with_objects=self.objects)

    def write(self, output: Path, classes: Classes) -> VocWriter:
        """Begin a dataset."""
        return VocWriter(output, classes, with_objects=self.objects)


class VocSource:
    """The images of the lists, or all that have a label where there are no lists."""

    def __init__(self, root: Path, *, with_objects: bool) -> None:
        self._root = root
        self._with_objects = with_objects and is_folder(root / "SegmentationObject")
        found = walk_files(root / "JPEGImages", IMAGE_SUFFIXES)
        self._files = {without_suffix(name): f"JPEGImages/{name}" for name in found}
        self._splits: dict[str, Split] = {}
        for split in _SPLITS:
            if is_file(root / _LISTS / f"{split}.txt"):
                for name in read_lines(root, f"{_LISTS}/{split}.txt"):
                    self._splits.setdefault(name, split)
        self.notes: Sequence[Note] = ()
        if not self._splits:
            labels = walk_files(root / "SegmentationClass", frozenset((".png",)))
            self._splits = {without_suffix(name): "train" for name in labels}
        self.names: Sequence[str] = list(self._splits)
        listed = next((n for n in ("class_names.txt", "labels.txt") if is_file(root / n)), None)
        self.classes = (
            Classes(VOC_CLASSES, (), True)
            if listed is None
            else read_classes(root / listed, lambda: len(VOC_CLASSES))
        )
        if self.classes.names[0] == "__ignore__":
            # the list of LabelMe's exporter begins with what has the index -1
            self.classes = Classes(self.classes.names[1:], (), True)

    def load(self, index: int) -> AnnotatedImage:
        """Read an image with its class map and objects. Raises DataError."""
        name = self.names[index]
        file = self._files.get(name)
        if file is None:
            raise DataError(f"JPEGImages has no image {printable(name)}")
        data = read_source(self._root, file)
        size = image_size(data, file)
        label_name = f"SegmentationClass/{name}.png"
        label = read_label(self._root, label_name, size)
        class_map = to_class_map(label, printable(label_name), len(self.classes.names))
        regions: tuple[Region, ...] = ()
        if self._with_objects:
            numbers = read_label(self._root, f"SegmentationObject/{name}.png", size)
            regions = tuple(self._objects(numbers, class_map, name))
        return AnnotatedImage(
            data=data, width=size[0], height=size[1], split=self._splits[name],
            class_map=class_map, regions=regions,
        )  # fmt: skip

    def _objects(self, numbers: np.ndarray, class_map: np.ndarray, name: str) -> Iterator[Region]:
        """Give the pixels of each object and the class that most of them have."""
        void = 65535 if numbers.max(initial=0) > 255 else _VOID
        for cut in cut_values(numbers, f"SegmentationObject/{name}.png"):
            if cut.value in (0, void):
                continue
            height, width = cut.mask.shape
            window = class_map[cut.top : cut.top + height, cut.left : cut.left + width]
            classes = window[cut.mask]
            known = classes[classes != IGNORED]
            if not known.size:
                continue
            label = self.classes.names[int(np.bincount(known).argmax())]
            yield Region(label=label, mask=cut.mask, left=cut.left, top=cut.top)


class VocWriter:
    """Writes the four folders; lists come last."""

    def __init__(self, output: Path, classes: Classes, *, with_objects: bool) -> None:
        if len(classes.names) > 255:
            raise RequestError(
                f"{len(classes.names)} classes: VOC's labels hold 255. Convert to SegDataset."
            )
        self._folder = Folder(output)
        self._classes = classes
        self._with_objects = with_objects
        self._colours = palette_of(classes)
        self._labels = class_lines(classes)
        self._names: dict[Split, list[str]] = {}

    def add(self, image: ConvertedImage) -> Sequence[Note]:
        """Write the image as it is, its class map and its objects."""
        if image.name != image.name.strip() or len(image.name.splitlines()) != 1:
            raise DataError("a line of VOC's lists cannot hold its name. Rename the file")
        label = stored_labels(image.class_map, len(self._classes.names))
        parts = {
            f"JPEGImages/{image.name}{image.suffix}": image.data,
            f"SegmentationClass/{image.name}.png": encode_palette(label, self._colours),
        }
        if self._with_objects:
            parts[f"SegmentationObject/{image.name}.png"] = _encode_objects(image)
        for name, data in parts.items():
            self._folder.write(name, data)
        self._names.setdefault(image.split, []).append(image.name)
        return ()

    def finish(self) -> None:
        """Write the classes and the lists; `trainval.txt` is train and val together."""
        self._folder.write_lines("class_names.txt", self._labels)
        for split, names in self._names.items():
            self._folder.write_lines(f"{_LISTS}/{split}.txt", names)
        both = [*self._names.get("train", ()), *self._names.get("val", ())]
        self._folder.write_lines(f"{_LISTS}/trainval.txt", both)


def _encode_objects(image: ConvertedImage) -> bytes:
    """Encode the number of the object at each pixel, from 1; later ones lie above.

    More than 254 objects take 16 bits without a palette, which is beyond VOC.
    """
    objects = image.objects
    numbers = np.zeros((image.height, image.width), np.uint16)
    for number, found in enumerate(objects, start=1):
        height, width = found.mask.shape
        window = numbers[found.top : found.top + height, found.left : found.left + width]
        window[found.mask != 0] = number
    is_wide = len(objects) >= _VOID
    numbers[image.class_map == IGNORED] = 65535 if is_wide else _VOID
    if is_wide:
        return encode_label(numbers)
    return encode_palette(numbers.astype(np.uint8), voc_palette(256))
