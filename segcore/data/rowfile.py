"""The files that the rows of a list name: found inside the dataset folder, opened, decoded.

Datasets read through here, and `segcore data check` looks through here, so both judge alike.
"""

# pathlib costs ten times as much a row, and lists have millions of them.

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.label import check_label_values, decode_label, map_label
from segcore.data.paths import inside, path_error, printable, read_file
from segcore.errors import DataError, LabelError
from segcore.filesystem import file_status

__all__ = ["RowFiles", "check_sizes"]


class RowFiles:
    """The files of the dataset in `root`, read as `config` says. Names are relative to `root`."""

    def __init__(self, root: Path, config: DataConfig) -> None:
        self._root = root
        self._folder = os.fspath(root.absolute())  # stays right when the process moves
        self._config = config

    def path(self, name: str) -> str:
        """Give the real path of `name`. Raises DataError when it leaves the dataset."""
        return inside(self._folder, name, allow_outside=self._config.allow_outside)

    def status(self, name: str) -> os.stat_result:
        """Give what the system says about a file. Raises DataError when it cannot be used."""
        path = self.path(name)
        try:
            status = file_status(path)
        except FileNotFoundError:
            raise DataError(
                f"{printable(name)}: no such file in {printable(self._root)}.", kind="file-missing"
            ) from None
        except OSError as error:
            raise path_error(name, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{printable(name)}: not a regular file.", kind="not-regular")
        if not os.access(path, os.R_OK):
            raise DataError(f"{printable(name)}: no permission to read it.", kind="file-unreadable")
        return status

    def read(self, name: str, size: int | None = None) -> bytes:
        """Read a file, which must have `size` bytes where that is known. Raises DataError."""
        data = read_file(self.path(name), printable(name))
        if size is not None and len(data) != size:
            raise DataError(
                f"{printable(name)}: changed while the dataset was in use "
                f"({size} bytes before, {len(data)} now). Start again with files that stay.",
                kind="file-changed",
            )
        return data

    def decode_label(self, data: bytes, name: str, num_classes: int | None = None) -> np.ndarray:
        """Decode a label to (H, W), with the label map applied.

        Its values are checked where `num_classes` is given. Raises LabelError.
        """
        shown = printable(name)
        label = map_label(
            decode_label(data, shown, self._config.max_pixels), self._config.label_map
        )
        if num_classes is not None:
            self.check_values(label, name, num_classes)
        return label

    def check_values(self, label: np.ndarray, name: str, num_classes: int) -> None:
        """Raise LabelError unless every value of `label` (H, W) is a class or ignored."""
        check_label_values(label, printable(name), num_classes, self._config.ignore_index)


def check_sizes(size: tuple[int, ...], image: str, label: np.ndarray, name: str) -> None:
    """Raise LabelError unless `label` (H, W), of file `name`, has the `size` (H, W) of `image`."""
    height, width = size
    if label.shape == (height, width):
        return
    hint, kind = "Save both in one size.", "label-size"
    if label.shape == (width, height):
        hint = "Did EXIF orientation turn the image? Then turn the label as well."
        kind = "label-exif"
    raise LabelError(
        f"{printable(name)}: {label.shape[1]} x {label.shape[0]} pixels, but "
        f"{printable(image)} has {width} x {height}. {hint}",
        kind=kind,
    )
