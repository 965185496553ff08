"""What predictions are made from: paths, folders, addresses, arrays, and lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import numpy as np

from segcore.checkpoint.ownership import marked_by, read_head
from segcore.checkpoint.web import is_url
from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image
from segcore.data.paths import printable, read_file
from segcore.errors import DataError, ImageError, RequestError
from segcore.filesystem import exists, is_folder, walk
from segcore.inference.download import fetch_image
from segcore.inference.result import LABEL_MARK
from segcore.tasks.result import OVERLAY_MARK, array_name, array_source

__all__ = ["ImageInput", "PredictInput", "as_items", "expand_inputs"]

PredictInput: TypeAlias = "str | Path | np.ndarray | Iterable[str | Path | np.ndarray]"

_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp"}
_is_result = marked_by(LABEL_MARK, OVERLAY_MARK)


@dataclass(frozen=True)
class ImageInput:
    """One image to come: `name` is that of its results, `source` says where it is from.

    `content` is an absolute path, an address, or an array that nobody else has.
    """

    name: str
    source: str
    content: Path | str | np.ndarray

    @property
    def origin(self) -> str | None:
        """The file that it is, wherever the process goes; None for addresses and arrays."""
        return str(self.content) if isinstance(self.content, Path) else None

    def load(self, config: DataConfig) -> np.ndarray:
        """Give the image (H, W, C) uint8, as `config` wants images read. Raises DataError."""
        if isinstance(self.content, np.ndarray):
            return _check_array(self.content, self.source, config.channels)
        if isinstance(self.content, Path):
            data = read_file(self.content, self.source)
        else:
            data = fetch_image(self.content)
        image, _ = decode_image(data, self.source, config)
        return image


def expand_inputs(given: PredictInput, first_position: int = 0) -> Iterator[ImageInput]:
    """Give the images that `given` stands for, in order; nothing is read before it is asked for.

    A folder stands for all images in it and below it, sorted, but for results of earlier
    predictions; their names keep the tree. An array is (H, W, C) uint8, RGB where C is 3, or grey
    (H, W), and named by its position, counted from `first_position`; it is copied, since whoever
    reads a film or a camera may use one array for all its pictures. Raises RequestError or
    DataError for what is no image.
    """
    for position, item in enumerate(as_items(given), first_position):
        if isinstance(item, np.ndarray):
            yield ImageInput(array_name(position), array_source(position), np.array(item))
        elif isinstance(item, str) and is_url(item):
            yield ImageInput(_name_in_url(item), item, item)
        elif isinstance(item, str) and not item:
            raise RequestError(f"input {position} is an empty name: was a variable not set?")
        elif isinstance(item, str | Path):
            yield from _expand_path(Path(item))
        else:
            raise RequestError(
                f"input {position} is of type {type(item).__name__}: give a path, a URL, a folder, "
                "an array (H, W, 3) of uint8 in RGB order, or a list of these"
            )


def as_items(given: Any) -> Iterable[Any]:
    """Give what is to be predicted one by one: the items of `given`, or itself where it has none.

    Nothing is looked at yet.
    """
    is_one = isinstance(given, str | bytes | Path | np.ndarray) or not isinstance(given, Iterable)
    return (given,) if is_one else given


def _expand_path(path: Path) -> Iterator[ImageInput]:
    if not is_folder(path):
        if not exists(path):
            raise DataError(f"{printable(path)}: there is no such file or folder")
        yield ImageInput(path.stem, str(path), path.absolute())
        return
    found, root = False, path.absolute()
    for folder, folders, names in walk(root):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.suffix.lower() in _SUFFIXES and not _is_result(read_head(file)):
                found, inside = True, file.relative_to(root)
                yield ImageInput(str(inside.with_suffix("")), str(path / inside), file)
    if not found:
        raise DataError(
            f"{printable(path)}: no image in this folder ({', '.join(sorted(_SUFFIXES))})"
        )


def _name_in_url(url: str) -> str:
    try:
        stem = PurePosixPath(unquote(urlsplit(url).path)).stem
    except ValueError:  # fetching it says that it is no address
        return "image"
    # what a server calls its file must not choose a folder here
    return stem.replace("\\", "_").replace("/", "_").lstrip(".") or "image"


def _check_array(array: np.ndarray, source: str, channels: int) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(
            f"{source}: values of type {array.dtype}: give uint8, 0 to 255, in RGB order"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 3 and 0 not in array.shape and array.shape[2] == channels:
        return array
    if (
        array.ndim != 3
        or 0 in array.shape
        or channels not in (1, 3)
        or array.shape[2] not in (1, 3)
    ):
        wanted = "(H, W, 3) or (H, W)" if channels in (1, 3) else f"(H, W, {channels})"
        raise ImageError(f"{source}: shape {array.shape}: give {wanted}")
    if array.shape[2] == 1:
        return array.repeat(channels, axis=2)
    raise ImageError(f"{source}: an image in colour, but the model takes grey ones")
