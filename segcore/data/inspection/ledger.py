"""Numbers kept of each row of a list, from which repetitions and leaks are found at the end.

A row costs some tens of bytes, so lists of millions fit; names are read again for those few rows
that turn out to be worth a finding.
"""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections.abc import Iterator

import numpy as np

from segcore.data.inspection.likeness import WORDS
from segcore.data.listfile import Row

__all__ = ["Ledger", "digest_number"]


def digest_number(data: bytes) -> int:
    """Give 64 bits that tell apart contents and names."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


class Ledger:
    """The rows of one split: their lines, and numbers that stand for names, files and pictures.

    0 stands for what is not known, as of a file that is missing.
    """

    def __init__(self) -> None:
        self._lines = array("q")
        self._names = array("Q")
        self._paths = array("Q")
        self._contents = array("Q")
        self._pictures = array("Q")
        self._folded = array("Q")
        self._folded_names = array("Q")

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, row: Row, *, path: int, content: int, picture: np.ndarray | None) -> None:
        """Note a row, and the numbers of its image."""
        self._lines.append(row.line)
        self._names.append(_name_number(row.image))
        self._paths.append(path)
        self._contents.append(content)
        self._pictures.extend((0,) * WORDS if picture is None else picture.tolist())
        for name in (row.image, row.label):
            self._folded.append(_name_number(unicodedata.normalize("NFC", name).casefold()))
            self._folded_names.append(_name_number(name))

    def line(self, index: int) -> int:
        """Give the line of the row with this index."""
        return self._lines[index]

    @property
    def names(self) -> np.ndarray:
        """Numbers of the names of images, (N,) uint64."""
        return np.frombuffer(self._names, np.uint64)

    @property
    def paths(self) -> np.ndarray:
        """Numbers of the real paths of images, (N,) uint64."""
        return np.frombuffer(self._paths, np.uint64)

    @property
    def contents(self) -> np.ndarray:
        """Digests of the images, (N,) uint64."""
        return np.frombuffer(self._contents, np.uint64)

    @property
    def pictures(self) -> np.ndarray:
        """Fingerprints of the pictures, (N, 4) uint64; zeros where there is none."""
        return np.frombuffer(self._pictures, np.uint64).reshape(-1, WORDS)

    def repeated(self, numbers: np.ndarray) -> Iterator[tuple[int, int]]:
        """Yield the index of each row whose number stood before, with that of the first."""
        known = np.flatnonzero(numbers)
        order = known[np.argsort(numbers[known], kind="stable")]
        values = numbers[order]
        first = 0
        for place in np.flatnonzero(values[1:] == values[:-1]) + 1:
            if values[first] != values[place]:
                first = int(np.searchsorted(values, values[place]))
            yield int(order[place]), int(order[first])

    def case_clashes(self) -> Iterator[int]:
        """Yield the index of the later row for each two names that differ in case alone."""
        folded = np.frombuffer(self._folded, np.uint64)
        names = np.frombuffer(self._folded_names, np.uint64)
        order = np.lexsort((names, folded))
        same = folded[order[1:]] == folded[order[:-1]]
        other = names[order[1:]] != names[order[:-1]]
        for place in np.flatnonzero(same & other):
            yield int(max(order[place], order[place + 1])) // 2


def _name_number(name: str) -> int:
    return digest_number(name.encode("utf-8", "surrogatepass"))
