"""Look at one row of a SegDataset: everything that is wrong with it, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.decode import preview_image
from segcore.data.findings import find_kind
from segcore.data.header import read_header
from segcore.data.inspection.ledger import digest_number
from segcore.data.inspection.likeness import fingerprint
from segcore.data.inspection.remedy import find_colours
from segcore.data.label import MOST_CLASSES, is_blended, is_mask
from segcore.data.listfile import Row
from segcore.data.paths import printable
from segcore.data.rowfile import RowFiles, check_sizes
from segcore.errors import DataError

__all__ = ["SPECK_AREA", "Look", "look_at", "look_at_image"]

SPECK_AREA = 9
"""A class with fewer pixels, less than 3 by 3, is more often a slip of the brush than an object."""

_SMALL_SIDE = 16
_MOST_TINY = 64  # classes that are looked at one by one; noise has thousands
_EXACT = 2**24  # numbers up to this are whole in float32


@dataclass
class Look:
    """What was seen of a row. `problems` are kinds, names of files, and messages.

    `path` and `content` are numbers that stand for the image's real path and bytes, `picture` is
    its fingerprint. `classes` and `pixels` count the label, None where it cannot be used;
    `colours` are those of a label drawn in colours. Of a label that holds 0 and 255 alone
    `is_mask` is set, and `is_solid` where 255 is no thin border.
    """

    path: int = 0
    content: int = 0
    picture: np.ndarray | None = None
    classes: np.ndarray | None = None
    pixels: np.ndarray | None = None
    colours: set[tuple[int, ...]] = field(default_factory=set)
    is_mask: bool = False
    is_solid: bool = False
    problems: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Say whether the sample can be used."""
        return not any(find_kind(kind).severity == "error" for kind, _, _ in self.problems)

    def tell(self, kind: str, name: str, message: str) -> None:
        """Note a problem of the file `name`."""
        self.problems.append((kind, name, message))

    def tell_error(self, name: str, error: DataError) -> None:
        """Note why the file `name` cannot be used."""
        self.tell(error.kind or "unusable", name, str(error))


def look_at(row: Row, files: RowFiles, config: DataConfig, num_classes: int | None) -> Look:
    """Read the image and the label of `row`. Label values are checked if classes are known."""
    look = Look()
    size = look_at_image(look, row.image, files, config)
    label = _look_at_label(look, row.label, files, config, num_classes)
    if size is not None and label is not None:
        try:
            check_sizes(size, row.image, label, row.label)
        except DataError as error:
            look.tell_error(row.label, error)
    return look


def look_at_image(
    look: Look, name: str, files: RowFiles, config: DataConfig
) -> tuple[int, int] | None:
    """Read the image `name`, and give its size (H, W), or None where it cannot be used."""
    shown = printable(name)
    try:
        files.status(name)
        look.path = digest_number(files.path(name).encode("utf-8", "surrogatepass"))
        data = files.read(name)
        look.content = digest_number(data)
        grey, size, codes = preview_image(data, shown, config)
    except DataError as error:
        look.tell_error(name, error)
        return None
    look.picture = fingerprint(grey)
    for code in codes:
        look.tell(code, name, f"{shown}: {find_kind(code).title}.")
    if min(size) < _SMALL_SIDE:
        look.tell("small-image", name, f"{shown}: only {size[1]} x {size[0]} pixels.")
    return size


def _look_at_label(
    look: Look, name: str, files: RowFiles, config: DataConfig, num_classes: int | None
) -> np.ndarray | None:
    shown = printable(name)
    try:
        files.status(name)
        data = files.read(name)
    except DataError as error:
        look.tell_error(name, error)
        return None
    try:
        label = files.decode_label(data, name)
    except DataError as error:
        look.tell_error(name, error)
        if error.kind == "label-colours":
            look.colours = find_colours(data)
        return None
    header = read_header(data, shown)
    if header.layout == "palette":
        look.tell("label-palette", name, f"{shown}: has a palette; its indices are the classes.")
    try:
        if num_classes is not None:
            files.check_values(label, name, num_classes)
        elif is_blended(label):
            # without known classes every blended value would count as one
            files.check_values(label, name, 1)
        else:
            files.check_values(label, name, MOST_CLASSES)
    except DataError as error:
        look.tell_error(name, error)
        return label
    if header.bits > 8 and int(label.max(initial=0)) <= 255:
        look.tell("label-deep", name, f"{shown}: {header.bits} bits, and no value above 255.")
    _count(look, name, label, config.ignore_index)
    return label


def _count(look: Look, name: str, label: np.ndarray, ignore_index: int) -> None:
    counts = _histogram(label)
    values = np.flatnonzero(counts)
    look.classes = values[values != ignore_index]
    look.pixels = counts[look.classes]
    if values.size == 1 and values[0] == ignore_index:
        look.tell("label-ignored", name, f"{printable(name)}: every pixel is ignored.")
        return
    if ignore_index == 255 and set(values.tolist()) <= {0, 255} and is_mask(label):
        look.is_mask, look.is_solid = True, _is_solid(label)
        return
    if look.classes.size == 1 and look.classes[0] == 0:
        look.tell("label-empty", name, f"{printable(name)}: holds nothing but background (0).")
        return
    tiny = [
        (number, pixels)
        for number, pixels in zip(look.classes.tolist(), look.pixels.tolist(), strict=True)
        if number and pixels < SPECK_AREA
    ]
    for number, pixels in tiny[:_MOST_TINY]:
        if _has_only_specks(label, number):
            look.tell(
                "tiny-objects",
                name,
                f"{printable(name)}: class {number} has {pixels} pixels, all of them specks in the "
                "midst of another class.",
            )
    if len(tiny) > _MOST_TINY:
        look.tell(
            "tiny-objects",
            name,
            f"{printable(name)}: {len(tiny)} classes have fewer than {SPECK_AREA} pixels.",
        )


def _histogram(label: np.ndarray) -> np.ndarray:
    """Count the pixels of each value, (values,) int64."""
    if label.dtype != np.uint8 or label.size > _EXACT:
        return np.bincount(label.ravel(), minlength=256)
    import cv2

    counts: np.ndarray = cv2.calcHist([label], [0], None, [256], [0, 256])
    return counts.ravel().astype(np.int64)  # (256, 1) before OpenCV 5


def _is_solid(label: np.ndarray) -> bool:
    """Say whether 255 covers areas, and not just the lines between classes."""
    import cv2

    mask = (label == 255).view(np.uint8)
    core = cv2.erode(mask, np.ones((7, 7), np.uint8), borderValue=0)
    return bool(cv2.countNonZero(core) * 4 > cv2.countNonZero(mask))


def _has_only_specks(label: np.ndarray, number: int) -> bool:
    """Say whether all regions of a class are specks in the midst of another class."""
    import cv2

    mask = (label == number).view(np.uint8)
    count, regions, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return all(_is_alone(label, regions == region, boxes[region, :4]) for region in range(1, count))


def _is_alone(label: np.ndarray, region: np.ndarray, box: np.ndarray) -> bool:
    """Say whether one single class surrounds `region` (H, W), whose `box` is x, y, width, height.

    What is left of an object behind another, or at the edge of the picture, has two neighbours.
    """
    import cv2

    x, y, width, height = (int(value) for value in box)
    if x == 0 or y == 0 or x + width == label.shape[1] or y + height == label.shape[0]:
        return False
    area = np.s_[y - 1 : y + height + 1, x - 1 : x + width + 1]
    own = region[area].view(np.uint8)
    around = cv2.dilate(own, np.ones((3, 3), np.uint8)).view(bool) & ~own.view(bool)
    return np.unique(label[area][around]).size == 1
