"""What a converter reads and writes: one record an image, whatever the format.

A reader of any format gives these records and a writer of any other takes them, so that a new
format is one class and not one for each other format. Records come and go one at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "IGNORED",
    "AnnotatedDataset",
    "AnnotatedImage",
    "AnnotationWriter",
    "Classes",
    "ConvertedImage",
    "ConvertedObject",
    "Converter",
    "Note",
    "Region",
    "Split",
]

IGNORED = -1
"""The value of pixels that are neither learnt nor measured, in every class map here."""

Split: TypeAlias = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset, in order; `colours` (red, green, blue) are none or one for each.

    `has_background` says that class 0 is what nobody annotated.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int] | None, ...] = ()
    has_background: bool = False


@dataclass(frozen=True)
class Note:
    """Something that a reader did not take as it stands.

    `action` is "skipped" for what is left out, "clipped" for shapes cut at the border of their
    image, "changed" for anything else; `what` is "image" or "shape". `reason` says why, in words
    that are the same for the same reason, so that a report can count them.
    """

    action: Literal["skipped", "clipped", "changed"]
    what: Literal["image", "shape"]
    reason: str
    file: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """Pixels of one class: an object, or a part of one.

    `mask` (h, w) is true on them; its upper left corner is pixel (`left`, `top`) of the image, and
    it lies inside the image. `polygons`, float64 (n, 2) of x, y each, is the outline where the
    source has one without holes. Regions of an image with the same `instance` are one object.
    """

    label: str
    mask: np.ndarray
    left: int = 0
    top: int = 0
    polygons: tuple[np.ndarray, ...] | None = None
    is_crowd: bool = False
    instance: Hashable = None


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedImage:
    """An image as its file holds it, and its annotations.

    `width` and `height` are those after EXIF orientation, and all annotations are in them.
    `regions` stand in drawing order, later ones over earlier ones. A source that stores the class
    of every pixel gives `class_map` (H, W) int16, of positions in the dataset's classes or
    `IGNORED`; it may have regions as well, which then say which pixels are one object.
    """

    data: bytes
    width: int
    height: int
    split: Split = "train"
    regions: tuple[Region, ...] = ()
    class_map: np.ndarray | None = None
    notes: tuple[Note, ...] = ()


class AnnotatedDataset(Protocol):
    """A dataset in some format, as its reader opened it.

    `classes` are all that occur, in the order that the dataset gives them or else in order of
    appearance. `names` has one name an image, for the files to write: relative, with `/` between
    folders, without suffix. `notes` tells what is wrong with the dataset as a whole.
    """

    classes: Classes
    names: Sequence[str]
    notes: Sequence[Note]

    def load(self, index: int) -> AnnotatedImage:
        """Read image `index`. Raises DataError; the image is then left out and counted."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvertedObject:
    """An object of class `class_index`; the rest is as in `Region`."""

    class_index: int
    mask: np.ndarray
    left: int = 0
    top: int = 0
    polygons: tuple[np.ndarray, ...] | None = None
    is_crowd: bool = False


class ConvertedImage(Protocol):
    """An image for a writer: both views of its annotations, made when they are asked for.

    `name` is as in `AnnotatedDataset.names`, `suffix` that of the content, such as `.jpg`.
    """

    name: str
    suffix: str
    data: bytes
    width: int
    height: int
    split: Split

    @property
    def has_ignored(self) -> bool:
        """Whether pixels are to be ignored, which a writer of objects alone must tell as a note."""
        ...

    @property
    def class_map(self) -> np.ndarray:
        """The class of each pixel, (H, W) int16, or `IGNORED`."""
        ...

    @property
    def objects(self) -> Sequence[ConvertedObject]:
        """The objects, without background and what is ignored."""
        ...


class AnnotationWriter(Protocol):
    """Write a dataset image by image."""

    def add(self, image: ConvertedImage) -> Sequence[Note]:
        """Write one image, and say what the format could not hold."""
        ...

    def finish(self) -> None:
        """Write the lists, last of all: before that nothing looks like a complete dataset."""
        ...


class Converter(Protocol):
    """A format of datasets that can be read, written or both.

    It needs `detects` and `read`, or `write`, as its spec says.
    """

    def detects(self, root: Path) -> bool:
        """Say whether `root` holds a dataset of this format, by looking at names only."""
        ...

    def read(self, root: Path) -> AnnotatedDataset:
        """Open the dataset at `root`. Raises DataError when it is none."""
        ...

    def write(self, output: Path, classes: Classes) -> AnnotationWriter:
        """Begin a dataset in the folder `output`, which is there and can be written."""
        ...
