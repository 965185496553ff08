"""Reading what other tools left behind: trees, JSON and images, all of it untrusted."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.decode import check_image
from segcore.data.header import read_header
from segcore.data.jsontext import parse_json
from segcore.data.label import decode_label
from segcore.data.paths import inside, printable, read_file
from segcore.errors import DataError, LabelError
from segcore.filesystem import real_path, walk

__all__ = [
    "IMAGE_SUFFIXES",
    "Cut",
    "cut_values",
    "find_inside",
    "image_size",
    "read_colour",
    "read_json",
    "read_label",
    "read_lines",
    "read_source",
    "shown_value",
    "strip_common_folder",
    "walk_files",
    "without_suffix",
]

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".tif", ".tiff", ".webp", ".npy")
)
_MAX_JSON_BYTES = 2**28
_MAX_LIST_BYTES = 2**30
_MAX_CUT_PIXELS = 2**30
_CONFIG = DataConfig()


def walk_files(root: Path, suffixes: frozenset[str]) -> list[str]:
    """List the files below `root` with one of `suffixes`, relative, with `/`, in order.

    Links to folders are not followed and hidden folders not entered.
    """
    found: list[str] = []
    for folder, folders, files in walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else below.replace(os.sep, "/") + "/"
        found += [
            prefix + name
            for name in files
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith(".")  # noqa: PTH122
        ]
    return sorted(found)


def without_suffix(name: str) -> str:
    """Give `name` without the suffix of its last part."""
    return os.path.splitext(name)[0]  # noqa: PTH122 - names are text with surrogates, not paths


def strip_common_folder(names: Sequence[str]) -> list[str]:
    """Give the names relative to the deepest folder that holds them all."""
    if not names:
        return []
    folders = {tuple(name.split("/")[:-1]) for name in names}
    first, last = min(folders), max(folders)  # in order, so all others share what these two do
    agree = [a == b for a, b in zip(first, last, strict=False)]
    depth = agree.index(False) if False in agree else len(agree)
    return ["/".join(name.split("/")[depth:]) for name in names]


def find_inside(root: Path, name: str) -> str:
    """Give the real path of the file `name` below `root`. Raises DataError when it is none."""
    path = inside(root, name, allow_outside=True)
    if not Path(path).is_relative_to(real_path(root)):
        raise DataError(
            f"{printable(name)}: leaves the folder that is converted. Convert the folder that "
            "holds both, or move the file into it."
        )
    if not os.path.exists(path):  # noqa: PTH110
        raise DataError(f"{printable(name)}: no such file in {printable(root)}.")
    return path


def read_source(root: Path, name: str) -> bytes:
    """Read the file `name` below `root`. Raises DataError."""
    return read_file(find_inside(root, name), printable(name))


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Give width and height of an encoded image after EXIF orientation. Raises ImageError."""
    bands = read_header(data, printable(name)).bands or 0
    # which channels are meant is said when the dataset is used; here any number will do
    config = _CONFIG if bands in (0, 1, 3) else _CONFIG.model_copy(update={"channels": bands})
    height, width = check_image(data, printable(name), config)
    return width, height


def read_json(root: Path, name: str, encoding: str | None = None) -> Any:
    """Read a JSON file below `root`: UTF-8, -16 or -32 by its first bytes, or `encoding`.

    Raises DataError when it is larger than any annotation of one image is, or no JSON.
    """
    path, shown = find_inside(root, name), printable(name)
    data = read_file(path, shown, _MAX_JSON_BYTES)
    try:
        text = data.decode(encoding or json.detect_encoding(data))
    except LookupError as error:
        raise DataError(f"from.encoding={encoding}: there is no such encoding.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{shown}: is not in {encoding or 'a Unicode encoding'}. Give the encoding that it was "
            "saved in, such as -o from.encoding=gbk."
        ) from error
    return parse_json(text, shown)


def shown_value(value: Any) -> str:
    """Give a value of JSON as it may stand in a message: short, however large or deep it is."""
    return printable(value)[:40] if isinstance(value, str) else reprlib.repr(value)


def read_lines(root: Path, name: str) -> Iterator[str]:
    """Give the lines of a text file below `root` that hold something, without outer blanks."""
    path, shown = find_inside(root, name), printable(name)
    text = read_file(path, shown, _MAX_LIST_BYTES).decode("utf-8-sig", "surrogateescape")
    return (line.strip() for line in text.splitlines() if line.strip())


def read_label(root: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """Read a label of the given width and height. Raises LabelError where it has another size."""
    label = decode_label(read_source(root, name), printable(name))
    if label.shape != size[::-1]:
        raise LabelError(
            f"{printable(name)}: {label.shape[1]} x {label.shape[0]} pixels, but its image has "
            f"{size[0]} x {size[1]}"
        )
    return label


@dataclass(frozen=True)
class Cut:
    """The pixels of one value of a label: `mask` (h, w) begins at `left` and `top`."""

    value: int
    mask: np.ndarray
    left: int
    top: int


def cut_values(label: np.ndarray, source: str) -> Iterator[Cut]:
    """Cut a label (H, W) into its values; it is gone through once, however many they are.

    Raises LabelError where the boxes around them have more pixels than any drawing's.
    """
    total = 0
    order = np.argsort(label, axis=None, kind="stable")
    ordered = label.reshape(-1)[order]
    for places in np.split(order, np.flatnonzero(np.diff(ordered)) + 1):
        if not places.size:
            continue
        rows, columns = np.divmod(places, label.shape[1])
        top, left = int(rows.min()), int(columns.min())
        size = int(rows.max()) + 1 - top, int(columns.max()) + 1 - left
        total += size[0] * size[1]
        if total > _MAX_CUT_PIXELS:
            raise LabelError(
                f"{printable(source)}: its objects have more than {_MAX_CUT_PIXELS} pixels "
                "together. Is it a label?"
            )
        mask = np.zeros(size, bool)
        mask[rows - top, columns - left] = True
        yield Cut(int(label[rows[0], columns[0]]), mask, left, top)


def read_colour(text: Any) -> tuple[int, int, int] | None:
    """Read a colour such as `#ff8000`; None when it is none."""
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except (AttributeError, TypeError, ValueError):
        return None
    return red, green, blue
