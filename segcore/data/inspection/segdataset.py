"""Inspect a SegDataset: every row, then what only the whole shows."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image
from segcore.data.inspection.census import PICTURES, Census, SplitCensus, View, judge_classes
from segcore.data.inspection.collector import Collector
from segcore.data.inspection.ledger import Ledger
from segcore.data.inspection.remedy import (
    offer_colours,
    offer_label_map,
    offer_plain_fixes,
)
from segcore.data.inspection.repetition import Repetitions
from segcore.data.inspection.sample import Look, look_at
from segcore.data.listfile import BadRow, ClassList, Row, read_class_list, scan_rows
from segcore.data.overlay import draw_overlay
from segcore.data.palette import class_palette
from segcore.data.paths import printable
from segcore.data.pool import map_in_threads
from segcore.data.rowfile import RowFiles
from segcore.data.segdataset import agree_on_classes, class_file, list_file
from segcore.data.stats.survey import Progress
from segcore.errors import DataError
from segcore.filesystem import is_file, open_regular

__all__ = ["inspect_segdataset"]

_MANY_COLOURS = 256  # enough to offer a map of them

_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(?:\.|\Z)", re.IGNORECASE)


class _Place(NamedTuple):
    """A row and its split."""

    split: str
    row: Row


def inspect_segdataset(
    root: Path,
    config: DataConfig,
    splits: Sequence[str],
    collector: Collector,
    *,
    workers: int | None,
    progress: Progress,
) -> Census:
    """Look at every row of `splits` of the SegDataset in `root`; findings go to `collector`."""
    return _Inspector(root, config, splits, collector).run(workers, progress)


class _Inspector:
    """One look at one dataset."""

    def __init__(
        self, root: Path, config: DataConfig, splits: Sequence[str], collector: Collector
    ) -> None:
        self.root = root
        self.config = config
        self.collector = collector
        self.files = RowFiles(root, config)
        self.lists = {split: list_file(root, split, config) for split in splits}
        collector.name_lists({split: path.name for split, path in self.lists.items()})
        self.ledgers = {split: Ledger() for split in splits}
        self.censuses = {split: SplitCensus(split) for split in splits}
        self.shown: dict[str, list[Row]] = {split: [] for split in splits}
        self.masks = {split: array("q") for split in splits}  # lines
        self.solid_masks = {split: array("q") for split in splits}
        self.has_real_class = False
        self.colours: set[tuple[int, ...]] = set()
        self.bad_lists: set[str] = set()

    def run(self, workers: int | None, progress: Progress) -> Census:
        classes = self._find_classes()
        look = partial(self._look, num_classes=None if classes is None else len(classes.names))
        total = sum(_count_lines(path) for path in self.lists.values())
        for place, seen in progress(map_in_threads(look, self._places(), workers), total=total):
            self._note(place, seen)
        has_colours = classes is not None and any(classes.colours)
        offer_plain_fixes(self.collector, self.root, has_colours=has_colours)
        if classes is None:
            classes = self._count_classes()
            numbers = {number for census in self.censuses.values() for number in census.occurrences}
            offer_label_map(self.collector, self.root, numbers)
        if self.colours and not has_colours:
            offer_colours(self.collector, self.root, self.colours)
        palette = class_palette(classes.colours)
        for split, census in self.censuses.items():
            census.views = [
                View(row.image, partial(self._draw, row, palette)) for row in self.shown[split]
            ]
        self._judge_lists()
        self._judge_masks()
        if self.has_real_class or not any(self.masks.values()):  # masks have their own finding
            judge_classes(
                tuple(self.censuses.values()),
                classes.names,
                self.collector,
                file=class_file(self.root, self.config).name,
                by_pixels=True,
            )
        return Census("SegDataset", tuple(self.censuses.values()), classes.names)

    # -- classes

    def _find_classes(self) -> ClassList | None:
        """Give the classes as far as they are agreed on; None where labels have to be counted."""
        path, config = class_file(self.root, self.config), self.config
        has_classes = config.num_classes is not None or config.class_names is not None
        if not is_file(path) and config.class_file is None and not has_classes:
            self.collector.add(
                "classes-missing",
                path.name,
                "labels.txt: is missing; classes are counted from the labels and have no names. "
                "Write one with a name a line, class 0 first.",
            )
            return None
        try:
            return agree_on_classes(self.root, config, lambda *_: 1)
        except DataError as error:
            self.collector.add(error.kind or "classes-invalid", path.name, str(error))
        try:
            return read_class_list(path)
        except DataError:
            return None

    def _count_classes(self) -> ClassList:
        numbers = chain.from_iterable(census.occurrences for census in self.censuses.values())
        count = max(numbers, default=0) + 1
        return ClassList(tuple(f"class {i}" for i in range(count)), (None,) * count)

    # -- rows

    def _places(self) -> Iterator[_Place]:
        for split, path in self.lists.items():
            if not is_file(path):
                self.collector.add(
                    "list-missing",
                    path.name,
                    f"{path.name}: is missing. Write a row `image label` for each image of the "
                    "split, or let `segcore data split` do it.",
                    split=split,
                )
                continue
            for row in scan_rows(path):
                if isinstance(row, BadRow):
                    kind = row.error.kind or "list-row"
                    self.collector.add(kind, path.name, str(row.error), split=split, line=row.line)
                    self.bad_lists.add(split)
                else:
                    yield _Place(split, row)

    def _look(self, place: _Place, num_classes: int | None) -> tuple[_Place, Look]:
        return place, look_at(place.row, self.files, self.config, num_classes)

    def _note(self, place: _Place, look: Look) -> None:
        split, row = place
        for kind, name, message in look.problems:
            self.collector.add(kind, name, message, split=split, line=row.line)
        for name in (row.image, row.label):
            if any(_RESERVED.match(part) for part in PurePosixPath(name).parts):
                message = (
                    f"{printable(name)}: Windows keeps this name for a device. Rename the file."
                )
                self.collector.add("name-reserved", name, message, split=split, line=row.line)
        self.ledgers[split].add(row, path=look.path, content=look.content, picture=look.picture)
        census = self.censuses[split]
        census.samples += 1
        if look.classes is not None and look.pixels is not None:
            for number, pixels in zip(look.classes.tolist(), look.pixels.tolist(), strict=True):
                census.count(number, pixels)
            self.has_real_class = self.has_real_class or bool(look.classes.any())
        if len(self.colours) < _MANY_COLOURS:
            self.colours |= look.colours
        if look.is_mask:
            self.masks[split].append(row.line)
            if look.is_solid:
                self.solid_masks[split].append(row.line)
        if look.is_sound and len(self.shown[split]) < PICTURES:
            self.shown[split].append(row)

    def _draw(self, row: Row, palette: np.ndarray) -> np.ndarray:
        image, _ = decode_image(self.files.read(row.image), printable(row.image), self.config)
        label = self.files.decode_label(self.files.read(row.label), row.label)
        channels = 3 if image.shape[2] >= 3 else 1
        return draw_overlay(image[..., :channels], label, palette)

    # -- what only the whole shows

    def _judge_lists(self) -> None:
        for split, path in self.lists.items():
            if is_file(path) and not len(self.ledgers[split]) and split not in self.bad_lists:
                message = f"{path.name}: lists no images. Write a row `image label` for each image."
                self.collector.add("list-empty", path.name, message, split=split)
        names = {split: path.name for split, path in self.lists.items()}
        repetitions = Repetitions(self.ledgers, names, self._rows, self.collector)
        if not self.config.allow_duplicates:
            repetitions.tell_rows()
        repetitions.tell_names()
        repetitions.tell_leaks()
        repetitions.tell_copies()

    def _judge_masks(self) -> None:
        """Tell masks of 0 and 255: all of them where no label has a class besides 0."""
        for split in self.lists:
            if not self.has_real_class:
                kind, lines = "label-mask", self.masks[split]
                text = (
                    "{}: holds only 0 and 255, as all labels do, and 255 is ignored: nothing is "
                    "left to learn. If 255 is meant as class 1, set data.label_map={{255: 1}}."
                )
            else:
                kind, lines = "label-maybe-mask", self.solid_masks[split]
                text = (
                    "{}: holds only 0 and 255, and 255 is ignored, while other labels have "
                    "classes. If 255 is meant as a class, replace it."
                )
            for row in self._rows(split, lines):
                message = text.format(printable(row.label))
                self.collector.add(kind, row.label, message, split=split, line=row.line)

    def _rows(self, split: str, lines: Iterable[int]) -> Iterator[Row]:
        """Read the rows with these lines again."""
        wanted = set(lines)
        if wanted:
            for row in scan_rows(self.lists[split]):
                if isinstance(row, Row) and row.line in wanted:
                    yield row


def _count_lines(path: Path) -> int:
    """Count the line ends of a list, as a first idea of its rows."""
    if not is_file(path):
        return 0
    try:
        with open_regular(path) as file:
            return sum(piece.count(b"\n") for piece in iter(partial(file.read, 2**20), b""))
    except OSError:
        return 0  # reading its rows says what is wrong
