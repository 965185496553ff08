"""Find what a dataset lists more than once: rows, files, pictures, within a split and across."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from segcore.data.inspection.collector import Collector
from segcore.data.inspection.ledger import Ledger
from segcore.data.inspection.likeness import near_pairs
from segcore.data.listfile import Row
from segcore.data.paths import printable

__all__ = ["Repetitions"]


class Repetitions:
    """Judges the rows of all splits by their `ledgers`.

    `lists` names the list of each split; `rows` reads again the rows of a split that have certain
    lines.
    """

    def __init__(
        self,
        ledgers: Mapping[str, Ledger],
        lists: Mapping[str, str],
        rows: Callable[[str, Iterable[int]], Iterable[Row]],
        collector: Collector,
    ) -> None:
        self._ledgers = ledgers
        self._lists = lists
        self._rows = rows
        self._collector = collector

    def tell_rows(self) -> None:
        """Tell of images that are listed again in one split."""
        for split, ledger in self._ledgers.items():
            lines = {
                ledger.line(again): ledger.line(first)
                for again, first in ledger.repeated(ledger.names)
            }
            text = "{0}: is listed in line {3} already. Remove one of the rows."
            self._tell("row-repeated", split, split, lines, text)

    def tell_names(self) -> None:
        """Tell of names that are one for some systems."""
        for split, ledger in self._ledgers.items():
            lines = {ledger.line(index) for index in ledger.case_clashes()}
            for row in self._rows(split, lines):
                message = (
                    f"{printable(row.image)} or its label: another name differs in case alone, "
                    "and Windows and macOS take both for one file. Rename one."
                )
                self._collector.add("case-clash", row.image, message, split=split, line=row.line)

    def tell_leaks(self) -> None:
        """Tell of what is in train and elsewhere: a score on that would prove nothing."""
        ours = self._ledgers.get("train")
        for split, ledger in self._ledgers.items():
            if ours is None or split == "train":
                continue
            files = _shared(ours.paths, ledger.paths)
            contents = _shared(ours.contents, ledger.contents)
            near = _near(ours.pictures, ledger.pictures)
            contents = {one: other for one, other in contents.items() if one not in files}
            near = {
                one: other
                for one, other in near.items()
                if one not in files and one not in contents
            }
            for kind, pairs, text in (
                ("split-same-file", files, "{0}: is in {1} and in {2} (line {3})."),
                (
                    "split-same-content",
                    contents,
                    "{0}: is in {1}, and the same picture in {2} (line {3}) under another name.",
                ),
                (
                    "split-near-duplicate",
                    near,
                    "{0}: is in {1}, and nearly the same picture in {2} (line {3}).",
                ),
            ):
                lines = {ledger.line(one): ours.line(other) for one, other in pairs.items()}
                self._tell(kind, split, "train", lines, f"{text} Keep such pictures in one split.")

    def tell_copies(self) -> None:
        """Tell of pictures that stand in one split under several names."""
        for split, ledger in self._ledgers.items():
            names = ledger.names
            lines = {
                ledger.line(again): ledger.line(first)
                for again, first in ledger.repeated(ledger.contents)
                if names[again] != names[first]
            }
            text = "{0}: is the picture of line {3} under another name."
            self._tell("content-repeated", split, split, lines, text)

    def _tell(self, kind: str, split: str, other: str, lines: Mapping[int, int], text: str) -> None:
        """Tell of the rows of `split` whose lines are keys; values are lines of `other`."""
        for row in self._rows(split, lines):
            message = text.format(
                printable(row.image), self._lists[split], self._lists[other], lines[row.line]
            )
            self._collector.add(kind, row.image, message, split=split, line=row.line)


def _shared(ours: np.ndarray, theirs: np.ndarray) -> dict[int, int]:
    """Give the index in `theirs`, and one in `ours`, of numbers that both have."""
    if not len(ours):
        return {}
    order = np.argsort(ours, kind="stable")
    places = np.searchsorted(ours[order], theirs)
    places[places == len(ours)] = 0
    found = order[places]
    hits = np.flatnonzero((ours[found] == theirs) & (theirs != 0))
    return {int(index): int(found[index]) for index in hits}


def _near(ours: np.ndarray, theirs: np.ndarray) -> dict[int, int]:
    """Give the index in `theirs`, and one in `ours`, of pictures that hardly differ."""
    known, asked = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(theirs.any(axis=1))
    pairs = near_pairs(ours[known], theirs[asked])
    return {int(asked[one]): int(known[other]) for one, other in pairs}
