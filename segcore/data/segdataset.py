"""PaddleX's SegDataset layout: `images/`, `annotations/`, `train.txt`, `val.txt`, `labels.txt`.

What can be known before training is checked when a split is opened: every row exists and stays
inside the folder, no image is trained on and validated with, the classes are agreed. What needs
pixels is checked when a sample is loaded; the message then names the file and the line.
"""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from segcore.config.schema import Config, DataConfig
from segcore.data.decode import check_image, decode_image
from segcore.data.label import check_label_values, decode_label, map_label
from segcore.data.listfile import ClassList, Row, read_class_list, read_rows
from segcore.data.paths import inside, printable, read_file
from segcore.errors import DataError, LabelError, ListFileError
from segcore.tasks.sample import Sample

__all__ = ["SegDataset", "SegDatasetFormat", "count_classes"]

_SPLITS = ("train", "val", "test")
_SHOWN = 20
_PROBED = 200  # labels looked at for the mask that was saved with 255 for "yes"


class SegDatasetFormat:
    """Open datasets of this layout."""

    def detects(self, root: Path) -> bool:
        """Say whether `root` has a list of image and label rows."""
        return any((root / f"{split}.txt").is_file() for split in _SPLITS)

    def splits(self, root: Path) -> tuple[str, ...]:
        """Name the splits that `root` has a list of."""
        return tuple(split for split in _SPLITS if (root / f"{split}.txt").is_file())

    def open(self, root: Path, split: str, config: Config) -> SegDataset:
        """Open the split `train`, `val` or `test`. Raises DataError, the first 20 files listed."""
        return SegDataset(root, split, config.data)


class SegDataset:
    """The samples of one split. Pickles small, and reads nothing until `load` is called.

    `class_names` and `class_colours` follow labels.txt; `warnings` are lines about the list.
    """

    def __init__(self, root: Path, split: str, config: DataConfig | None = None) -> None:
        self.root = Path(root)
        self._folder = os.fspath(self.root.absolute())  # stays right when the process moves
        self.split = split
        self.config = config or DataConfig()
        self.warnings: list[str] = []
        self._list = _find_list(self.root, split)
        self._rows = self._read_rows()
        self._sizes = self._check_files()
        self._check_leakage()
        classes = _agree_on_classes(self.root, self.config)
        self.class_names: tuple[str, ...] = classes.names
        self.class_colours = classes.colours
        self._check_mask()

    @property
    def num_classes(self) -> int:
        """Number of classes, from the configuration, labels.txt or the labels themselves."""
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self._rows)

    def describe(self, index: int) -> str:
        """Name the image of sample `index`, the list and the line."""
        row = self._rows[index]
        return f"{printable(row.image)} ({self._list.name}, line {row.line})"

    def fingerprint(self) -> str:
        """Digest of the names of all files, in order, with their sizes in bytes."""
        digest = hashlib.sha256()
        for row, image_size, label_size in zip(
            self._rows, self._sizes[::2], self._sizes[1::2], strict=True
        ):
            text = f"{row.image}\0{image_size}\0{row.label}\0{label_size}\n"
            digest.update(text.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def load(self, index: int) -> Sample:
        """Read the image (H, W, C) uint8 and the label (H, W) of sample `index`.

        The label has `data.label_map` applied. Raises DataError that names the file and the line.
        """
        row = self._rows[index]
        try:
            image, codes = decode_image(
                self._read(row.image, self._sizes[2 * index]), printable(row.image), self.config
            )
            label = self._load_label(row, self._sizes[2 * index + 1])
            _check_size(image.shape[:2], label, row)
        except DataError as error:
            raise type(error)(f"{error} ({self._list.name}, line {row.line})") from error
        if (label == self.config.ignore_index).all():
            codes = (*codes, "ignored-label")
        return Sample(image, label, index, self.describe(index), warnings=codes)

    def check(self, index: int) -> None:
        """Raise DataError where `load` would, but for damage inside the picture; much quicker."""
        row = self._rows[index]
        try:
            image = self._read(row.image, self._sizes[2 * index])
            size = check_image(image, printable(row.image), self.config)
            _check_size(size, self._load_label(row, self._sizes[2 * index + 1]), row)
        except DataError as error:
            raise type(error)(f"{error} ({self._list.name}, line {row.line})") from error

    def _load_label(self, row: Row, size: int) -> np.ndarray:
        shown = printable(row.label)
        label = decode_label(self._read(row.label, size), shown, self.config.max_pixels)
        label = map_label(label, self.config.label_map)
        check_label_values(label, shown, self.num_classes, self.config.ignore_index)
        return label

    def _read(self, name: str, size: int) -> bytes:
        data = read_file(self._path(name), printable(name))
        if len(data) != size:
            raise DataError(
                f"{printable(name)}: changed while the dataset was in use "
                f"({size} bytes before, {len(data)} now). Start again with files that stay."
            )
        return data

    def _path(self, name: str) -> str:
        return inside(self._folder, name, allow_outside=self.config.allow_outside)

    def _read_rows(self) -> list[Row]:
        rows: list[Row] = []
        seen: dict[str, int] = {}
        repeated: list[str] = []
        for row in read_rows(self._list):
            first = seen.setdefault(row.image, row.line)
            if first != row.line:
                repeated.append(f"{printable(row.image)} (lines {first} and {row.line})")
            rows.append(row)
        if not rows:
            raise ListFileError(
                f"{printable(self._list)}: lists no images. "
                "Write a row `image label` for each image."
            )
        if repeated:
            text = f"{len(repeated)} images are listed again: {_first(repeated)}"
            if not self.config.allow_duplicates:
                raise ListFileError(
                    f"{printable(self._list)}: {text}. "
                    "Remove the rows or set data.allow_duplicates=true."
                )
            self.warnings.append(f"{self._list.name}: {text}")
        return rows

    def _check_files(self) -> array[int]:
        """Give the sizes of all files: image, label, image, label, ..."""
        sizes = array("q")
        problems: list[str] = []
        for row in self._rows:
            for name in (row.image, row.label):
                try:
                    sizes.append(self._size_of(name))
                except DataError as error:  # noqa: PERF203 - all problems are shown together
                    problems.append(f"line {row.line}: {error}")
        if problems:
            raise DataError(
                f"{printable(self._list)}: {len(problems)} files cannot be used:\n  "
                + _first(problems, separator="\n  ")
            )
        return sizes

    def _size_of(self, name: str) -> int:
        path = self._path(name)
        try:
            status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat
        except FileNotFoundError:
            raise DataError(f"{printable(name)}: no such file in {printable(self.root)}.") from None
        except OSError as error:
            raise DataError(f"{printable(name)}: {error.strerror}.") from error
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{printable(name)}: not a regular file.")
        if not os.access(path, os.R_OK):
            raise DataError(f"{printable(name)}: no permission to read it.")
        return status.st_size

    def _check_leakage(self) -> None:
        """Refuse images that other splits list too: a score on them would prove nothing."""
        own: set[str] | None = None
        for split in _SPLITS:
            other = self.root / f"{split}.txt"
            if split == self.split or not other.is_file():
                continue
            own = own if own is not None else {self._path(row.image) for row in self._rows}
            shared = [
                printable(row.image)
                for row in read_rows(other)
                if _is_among(self.root, row.image, own)
            ]
            if shared and "train" in (split, self.split):
                raise DataError(
                    f"{len(shared)} images are listed in {self._list.name} and in {other.name}: "
                    f"{_first(shared)}. Keep each in one of them."
                )

    def _check_mask(self) -> None:
        """Refuse masks of 0 and 255 where 255 is to be ignored: nothing but class 0 would be left.

        One label with a real class ends the search, so an ordinary dataset costs one or two reads.
        """
        ignore_index = self.config.ignore_index
        if ignore_index != 255:
            return
        has_ignored = False
        for label in self._labels(_spread(len(self._rows), _PROBED)):
            if ((label != 0) & (label != ignore_index)).any():
                return
            has_ignored = has_ignored or bool((label == ignore_index).any())
        if has_ignored:
            raise LabelError(
                f"{printable(self._rows[0].label)} and the other labels of {self._list.name} hold "
                "only 0 and 255, and 255 is ignored. If 255 is meant as class 1, set "
                "data.label_map={255: 1}."
            )

    def _labels(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Give labels with the label map applied, leaving out those that `load` will refuse."""
        for index in indices:
            name = self._rows[index].label
            try:
                data = self._read(name, self._sizes[2 * index + 1])
                label = decode_label(data, printable(name), self.config.max_pixels)
            except DataError:
                continue
            yield map_label(label, self.config.label_map)


def _find_list(root: Path, split: str) -> Path:
    if not root.is_dir():
        raise DataError(f"{printable(root)}: no such folder. Give the folder of the dataset.")
    path = root / f"{split}.txt"
    if not path.is_file():
        there = [f"{name}.txt" for name in _SPLITS if (root / f"{name}.txt").is_file()]
        raise DataError(
            f"{printable(root)}: has no {split}.txt (found: {', '.join(there) or 'no list'}). "
            "Write one with a row `image label` for each image."
        )
    return path


def _agree_on_classes(root: Path, config: DataConfig) -> ClassList:
    path = root / "labels.txt"
    listed = read_class_list(path) if path.is_file() else None
    num_classes = config.num_classes
    if listed is None:
        num_classes = num_classes or len(config.class_names or ()) or count_classes(root, config)
        names = config.class_names or tuple(f"class {i}" for i in range(num_classes))
        listed = ClassList(names, (None,) * len(names))
    elif num_classes is not None and num_classes != len(listed.names):
        raise DataError(
            f"{printable(path)}: names {len(listed.names)} classes, but data.num_classes is "
            f"{num_classes}. Mend one of the two."
        )
    if config.ignore_index < len(listed.names):
        raise DataError(
            f"data.ignore_index={config.ignore_index} is class "
            f"{printable(listed.names[config.ignore_index])!r} of {len(listed.names)}, which would "
            "never be learnt. Set data.ignore_index to a value above the classes."
        )
    return listed


def count_classes(root: Path, config: DataConfig) -> int:
    """Count the classes by reading every label that the lists of `root` name.

    This is what a dataset without labels.txt costs. Raises DataError.
    """
    highest = 0
    for split in _SPLITS:
        path = root / f"{split}.txt"
        for row in read_rows(path) if path.is_file() else ():
            file = inside(root, row.label, allow_outside=config.allow_outside)
            shown = printable(row.label)
            label = decode_label(read_file(file, shown), shown, config.max_pixels)
            label = map_label(label, config.label_map)
            valid = label[label != config.ignore_index]
            highest = max(highest, int(valid.max(initial=0)))
    return highest + 1


def _check_size(size: tuple[int, ...], label: np.ndarray, row: Row) -> None:
    height, width = size
    if label.shape == (height, width):
        return
    hint = "Save both in one size."
    if label.shape == (width, height):
        hint = "Did EXIF orientation turn the image? Then turn the label as well."
    raise LabelError(
        f"{printable(row.label)}: {label.shape[1]} x {label.shape[0]} pixels, but "
        f"{printable(row.image)} has {width} x {height}. {hint}"
    )


def _is_among(root: Path, name: str, paths: set[str]) -> bool:
    try:
        return inside(root, name, allow_outside=True) in paths
    except DataError:
        return False  # opening that split reports it


def _spread(count: int, most: int) -> Iterator[int]:
    step = max(1, -(-count // most))
    return iter(range(0, count, step))


def _first(items: Sequence[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return separator.join(items[:_SHOWN]) + more
