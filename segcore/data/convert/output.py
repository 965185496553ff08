"""Writing the files of a converted dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from segcore.annotation import Classes
from segcore.checkpoint.files import Files, prepare_output, write_atomic
from segcore.checkpoint.ownership import Guard
from segcore.data.palette import class_palette
from segcore.errors import OutputError, RequestError
from segcore.filesystem import real_path

__all__ = ["Folder", "encode_label", "encode_palette", "palette_of", "stored_labels"]


class _Unflushed(Files):
    """Writes without waiting for the disk: waiting for each of a million files takes hours."""

    def fsync(self, descriptor: int) -> None:
        """Leave it to the end."""

    def sync(self, path: Path) -> None:
        """Leave it to the end."""


class Folder:
    """The output folder; folders inside are made when their first file comes.

    Images and labels are flushed to the disk together, before the first list is written: a list
    that is there names files that are there, also after a power cut.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        # an output that holds something was refused before, unless its files may be replaced
        self._guard = Guard(force=True)
        self._made: set[Path] = set()
        self._quick = _Unflushed()
        self._is_flushed = True

    def write(self, name: str, data: bytes) -> None:
        """Write an image or a label, below the folder. Raises StorageError, OutputError."""
        write_atomic(self._place(name), data, self._quick)
        self._is_flushed = False

    def write_last(self, name: str, data: bytes | Iterable[bytes]) -> None:
        """Write a file that lists others, once these are safe. Raises as `write` does."""
        if not self._is_flushed:
            os.sync()
            self._is_flushed = True
        write_atomic(self._place(name), data)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file that lists others; names of files keep the bytes that they have."""
        pieces = (f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)
        self.write_last(name, pieces)

    def _place(self, name: str) -> Path:
        path = self.root / name
        if path.parent not in self._made:
            self._refuse_link(path.parent)
            prepare_output(path.parent)
            self._made.add(path.parent)
        self._guard.check_file(path)
        return path

    def _refuse_link(self, folder: Path) -> None:
        """Refuse a folder that a link leads elsewhere, where the files may be anybody's."""
        place, root = real_path(folder), real_path(self.root)
        if place != root and root not in place.parents:
            raise OutputError(
                f"{folder}: a symbolic link leads out of {self.root}, to {place}. Remove it, or "
                "name another output."
            )


def palette_of(classes: Classes) -> np.ndarray:
    """Give the colours of `classes`, (classes or more, 3) uint8; Pascal VOC's where it has none."""
    return class_palette(classes.colours or (None,) * len(classes.names))


def stored_labels(class_map: np.ndarray, num_classes: int) -> np.ndarray:
    """Give `class_map` (H, W) as labels hold it: uint8 with 255 ignored, or uint16 with 65535.

    The wider form is for more than 255 classes.
    """
    # IGNORED, -1, becomes the highest value of either
    return class_map.astype(np.uint16 if num_classes > 255 else np.uint8)


def encode_label(label: np.ndarray) -> bytes:
    """Encode (H, W) uint8 or uint16 as a grey PNG."""
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(label))
    if not done:
        raise RequestError(f"OpenCV cannot encode {label.shape} {label.dtype} as PNG.")
    return bytes(data)


def encode_palette(label: np.ndarray, colours: np.ndarray) -> bytes:
    """Encode (H, W) uint8 as a PNG whose values are shown in `colours` (n, 3); 255 is pale."""
    from io import BytesIO

    from PIL import Image

    palette = np.zeros((256, 3), np.uint8)
    palette[: min(256, len(colours))] = colours[:256]
    palette[255] = (224, 224, 192)  # what Pascal VOC gives to pixels that do not count
    image = Image.fromarray(np.ascontiguousarray(label))  # mode L
    image.putpalette(palette.tobytes())
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
