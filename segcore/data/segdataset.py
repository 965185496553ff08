"""PaddleX's SegDataset layout: `images/`, `annotations/`, `train.txt`, `val.txt`, `labels.txt`.

What can be known before training is checked when a split is opened: every row exists and stays
inside the folder, no image is trained on and validated with, the classes are agreed. What needs
pixels is checked when a sample is loaded; the message then names the file and the line.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segcore.config.schema import Config, DataConfig
from segcore.data.decode import check_image, decode_image
from segcore.data.label import decode_label, map_label
from segcore.data.listfile import ClassList, Row, list_name, read_class_list, read_rows
from segcore.data.paths import inside, printable, read_file
from segcore.data.rowfile import RowFiles, check_sizes
from segcore.errors import DataError, LabelError, ListFileError
from segcore.filesystem import exists, is_file, is_folder, real_path
from segcore.tasks.sample import Sample

if TYPE_CHECKING:
    from segcore.data.inspection.census import Census
    from segcore.data.inspection.collector import Collector
    from segcore.data.stats.survey import Progress

__all__ = [
    "SegDataset",
    "SegDatasetFormat",
    "agree_on_classes",
    "class_file",
    "count_classes",
    "list_file",
]

_SPLITS = ("train", "val", "test")
_SHOWN = 20
_PROBED = 200  # labels looked at for the mask that was saved with 255 for "yes"


def list_file(root: Path, split: str, config: DataConfig) -> Path:
    """Give the list of `split`: `data.list_files`, or the one of the layout."""
    named: Mapping[Any, str] = config.list_files or {}
    return root / named.get(split, list_name(split, config.fold))


def class_file(root: Path, config: DataConfig) -> Path:
    """Give the file that names the classes: `data.class_file`, or labels.txt."""
    return root / (config.class_file or "labels.txt")


class SegDatasetFormat:
    """Open datasets of this layout."""

    def detects(self, root: Path) -> bool:
        """Say whether `root` has a list of image and label rows."""
        return any(is_file(root / f"{split}.txt") for split in _SPLITS)

    def splits(self, root: Path, config: Config) -> tuple[str, ...]:
        """Name the splits that `root` has a list of."""
        return tuple(split for split in _SPLITS if is_file(list_file(root, split, config.data)))

    def files(self, root: Path, data: DataConfig, splits: Sequence[str]) -> Iterator[str]:
        """Name every file that `splits` are made of. Raises DataError where one is missing."""
        files = RowFiles(root, data)
        if exists(class_file(root, data)):
            yield str(class_file(root, data).absolute())
        for split in splits:
            path = _find_list(root, split, data)
            yield str(path.absolute())
            for row in read_rows(path):
                yield files.path(row.image)
                yield files.path(row.label)

    def inspect(
        self,
        root: Path,
        data: DataConfig,
        splits: Sequence[str],
        collector: Collector,
        *,
        workers: int | None,
        progress: Progress,
    ) -> Census:
        """Look at every row of `splits`; findings go to `collector`."""
        from segcore.data.inspection.segdataset import inspect_segdataset

        return inspect_segdataset(root, data, splits, collector, workers=workers, progress=progress)

    def open(self, root: Path, split: str, config: Config) -> SegDataset:
        """Open the split `train`, `val` or `test`. Raises DataError, the first 20 files listed."""
        return SegDataset(root, split, config.data)


class SegDataset:
    """The samples of one split. Pickles small, and reads nothing until `load` is called.

    `class_names` and `class_colours` follow labels.txt; `warnings` are lines about the list.
    """

    def __init__(self, root: Path, split: str, config: DataConfig | None = None) -> None:
        self.root = Path(root)
        self.split = split
        self.config = config or DataConfig()
        self.warnings: list[str] = []
        self._files = RowFiles(self.root, self.config)
        self._list = _find_list(self.root, split, self.config)
        self._rows = self._read_rows()
        self._sizes = self._check_files()
        self._check_leakage()
        classes = agree_on_classes(self.root, self.config, count_classes)
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

    def content_files(self) -> Iterator[str]:
        """Yield the path of every image and label, in order."""
        for row in self._rows:
            yield self._files.path(row.image)
            yield self._files.path(row.label)

    def load(self, index: int) -> Sample:
        """Read the image (H, W, C) uint8 and the label (H, W) of sample `index`.

        The label has `data.label_map` applied. Raises DataError that names the file and the line.
        """
        row = self._rows[index]
        try:
            data = self._files.read(row.image, self._sizes[2 * index])
            image, codes = decode_image(data, printable(row.image), self.config)
            label = self._load_label(index)
            check_sizes(image.shape[:2], row.image, label, row.label)
        except DataError as error:
            raise self._located(error, row) from error
        if (label == self.config.ignore_index).all():
            codes = (*codes, "ignored-label")
        return Sample(image, label, index, self.describe(index), warnings=codes)

    def check(self, index: int) -> None:
        """Raise DataError where `load` would, but for damage inside the picture; much quicker."""
        row = self._rows[index]
        try:
            image = self._files.read(row.image, self._sizes[2 * index])
            size = check_image(image, printable(row.image), self.config)
            check_sizes(size, row.image, self._load_label(index), row.label)
        except DataError as error:
            raise self._located(error, row) from error

    def _load_label(self, index: int) -> np.ndarray:
        name = self._rows[index].label
        data = self._files.read(name, self._sizes[2 * index + 1])
        return self._files.decode_label(data, name, self.num_classes)

    def _located(self, error: DataError, row: Row) -> DataError:
        return type(error)(f"{error} ({self._list.name}, line {row.line})", error.kind)

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
                "Write a row `image label` for each image.",
                kind="list-empty",
            )
        if repeated:
            text = f"{len(repeated)} images are listed again: {_first(repeated)}"
            if not self.config.allow_duplicates:
                raise ListFileError(
                    f"{printable(self._list)}: {text}. "
                    "Remove the rows or set data.allow_duplicates=true.",
                    kind="row-repeated",
                )
            self.warnings.append(f"{self._list.name}: {text}")
        return rows

    def _check_files(self) -> array[int]:
        """Give the sizes of all files: image, label, image, label, ..."""
        sizes = array("q")
        problems: list[str] = []
        kind = None
        for row in self._rows:
            for name in (row.image, row.label):
                try:
                    sizes.append(self._files.status(name).st_size)
                except DataError as error:  # noqa: PERF203 - all problems are shown together
                    problems.append(f"line {row.line}: {error}")
                    kind = kind or error.kind
        if problems:
            raise DataError(
                f"{printable(self._list)}: {len(problems)} files cannot be used:\n  "
                + _first(problems, separator="\n  "),
                kind=kind,
            )
        return sizes

    def _check_leakage(self) -> None:
        """Refuse images that other splits list too: a score on them would prove nothing."""
        own: set[str] | None = None
        for split in _SPLITS:
            other = list_file(self.root, split, self.config)
            is_same = is_file(other) and real_path(other) == real_path(self._list)
            is_own = split == self.split or is_same or not is_file(other)
            if is_own:
                continue
            own = own if own is not None else {self._files.path(row.image) for row in self._rows}
            shared = [
                printable(row.image)
                for row in read_rows(other)
                if _is_among(self.root, row.image, own)
            ]
            if shared and "train" in (split, self.split):
                raise DataError(
                    f"{len(shared)} images are listed in {self._list.name} and in {other.name}: "
                    f"{_first(shared)}. Keep each in one of them.",
                    kind="split-same-file",
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
                "data.label_map={255: 1}.",
                kind="label-mask",
            )

    def _labels(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Give labels with the label map applied, leaving out those that `load` will refuse."""
        for index in indices:
            name = self._rows[index].label
            try:
                data = self._files.read(name, self._sizes[2 * index + 1])
                label = self._files.decode_label(data, name)
            except DataError:
                continue
            yield label


def _find_list(root: Path, split: str, config: DataConfig) -> Path:
    if not is_folder(root):
        raise DataError(f"{printable(root)}: no such folder. Give the folder of the dataset.")
    path = list_file(root, split, config)
    if not is_file(path):
        there = [f"{name}.txt" for name in _SPLITS if is_file(root / f"{name}.txt")]
        raise DataError(
            f"{printable(root)}: has no {path.name} (found: {', '.join(there) or 'no list'}). "
            "Write one with a row `image label` for each image, or let segcore data split do it.",
            kind="list-missing",
        )
    return path


def agree_on_classes(
    root: Path, config: DataConfig, count: Callable[[Path, DataConfig], int]
) -> ClassList:
    """Give the classes: those of the class file, of `config`, or as many as `count` counts.

    Raises DataError where these contradict each other, or the ignored value, or where a file that
    was named is missing.
    """
    path = class_file(root, config)
    is_listed = config.class_file is not None or is_file(path)
    listed = read_class_list(path) if is_listed else None
    num_classes = config.num_classes
    if listed is None:
        num_classes = num_classes or len(config.class_names or ()) or count(root, config)
        names = config.class_names or tuple(f"class {i}" for i in range(num_classes))
        listed = ClassList(names, (None,) * len(names))
    elif num_classes is not None and num_classes != len(listed.names):
        raise DataError(
            f"{printable(path)}: names {len(listed.names)} classes, but data.num_classes is "
            f"{num_classes}. Mend one of the two.",
            kind="classes-disagree",
        )
    if config.ignore_index < len(listed.names):
        raise DataError(
            f"data.ignore_index={config.ignore_index} is class "
            f"{printable(listed.names[config.ignore_index])!r} of {len(listed.names)}, which would "
            "never be learnt. Set data.ignore_index to a value above the classes.",
            kind="ignore-is-class",
        )
    return listed


def count_classes(root: Path, config: DataConfig) -> int:
    """Count the classes by reading every label that the lists of `root` name.

    This is what a dataset without labels.txt costs. Raises DataError.
    """
    highest = 0
    for split in _SPLITS:
        path = list_file(root, split, config)
        for row in read_rows(path) if is_file(path) else ():
            file = inside(root, row.label, allow_outside=config.allow_outside)
            shown = printable(row.label)
            label = decode_label(read_file(file, shown), shown, config.max_pixels)
            label = map_label(label, config.label_map)
            valid = label[label != config.ignore_index]
            highest = max(highest, int(valid.max(initial=0)))
    return highest + 1


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
