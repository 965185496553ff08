"""What a prediction comes to for the people who asked for it, whatever the task."""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from segcore.checkpoint.files import make_folders
from segcore.checkpoint.lock import folder_lock
from segcore.checkpoint.ownership import (
    Guard,
    Recogniser,
    encode_picture,
    file_key,
    is_unknown,
    marked_by,
)
from segcore.errors import OutputError
from segcore.filesystem import is_folder, real_path

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from segcore.config.schema import PredictConfig

__all__ = [
    "OVERLAY_MARK",
    "RESULT_MARK",
    "Predicted",
    "Result",
    "array_name",
    "array_source",
]

OVERLAY_MARK = "segcore overlay"
RESULT_MARK = "segcore predict"
"""Marks in the files themselves, by which a later call knows them from photographs and the like."""
_JPEG_QUALITY = 92
_PICTURES = frozenset({".jpg", ".jpeg", ".png"})
_TEXTS = frozenset({".json"})
_OTHERS = frozenset(
    {".bmp", ".csv", ".gif", ".npy", ".pdf", ".tif", ".tiff", ".txt", ".webp", ".yaml", ".yml"}
)
"""What nobody calls a folder, so that whoever names one wants a file."""
_ARRAY = re.compile(r"array \d+\Z")
_sources: dict[int, int] = {}
"""Hashes of which image's results this process wrote under which name, as there may be millions."""
_numbered: set[str] = set()
"""The names that arrays got in this process, written or not."""


@dataclass(frozen=True)
class Predicted:
    """An image that was predicted, and what is known about it besides the prediction.

    `name` is where results go, relative to an output folder and without suffix; `source` says where
    `image`, (H, W, C) uint8, came from, and `origin` is the absolute path of its file, or None
    where it has none. `class_names` may be shorter than the number of classes,
    where an exported model does not name them; `num_classes` is then None. `settings` say how
    results are drawn; `palette` is (classes, 3) uint8, or None for the colours of VOC; `facts` go
    into the JSON form.
    """

    name: str
    source: str
    image: np.ndarray
    settings: PredictConfig
    class_names: tuple[str, ...] = ()
    num_classes: int | None = None
    palette: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None


class Result(ABC):
    """The result of one image: something to read, to look at and to go on with."""

    name: str
    source: str
    origin: str | None = None
    """The absolute path of the file that was predicted, where it is known."""
    picture_marks: ClassVar[Mapping[str, str]] = {}
    """The marks of `pictures`, by what is added to the name; what carries them may be replaced."""

    @cached_property
    @abstractmethod
    def json(self) -> dict[str, Any]:
        """The result as JSON holds it."""

    @cached_property
    @abstractmethod
    def img(self) -> Image.Image:
        """The image with the result drawn over it, as an RGB picture of Pillow."""

    @abstractmethod
    def pictures(self) -> dict[str, bytes]:
        """Give the encoded pictures of a folder of results, by what is added to the name."""

    def encode_picture(self, suffix: str) -> bytes:
        """Encode `img`, with its mark, as a file that ends in `suffix`: .jpg, .jpeg or .png."""
        if suffix == ".png":
            return encode_picture(self.img, "PNG", OVERLAY_MARK)
        return encode_picture(self.img, "JPEG", OVERLAY_MARK, quality=_JPEG_QUALITY)

    def print(self) -> None:
        """Print the JSON form."""
        print(json.dumps(self.json, indent=2))  # noqa: T201 - printing is what it is for

    def save_to_img(self, path: str | Path, *, force: bool = False) -> list[Path]:
        """Write pictures; give their paths.

        Into a folder go all `pictures`, each as `<name>` with its own end; a path that ends in
        .jpg, .jpeg or .png gets `img` alone. Results of arrays, which have no name of their own,
        get the next number that is free in the folder.

        Earlier results of the same kind are replaced, and files of others with `force`. Raises
        OutputError, before anything is written, where the image that was predicted, somebody's
        file or the result of another image stands there, and StorageError.
        """
        target = _target(path, _PICTURES)
        if target.suffix.lower() in _PICTURES and not is_folder(target):
            data = self.encode_picture(target.suffix.lower())
            return [self._guard(force).write_file(target, data, marked_by(OVERLAY_MARK))]
        return self.save_in(target, self.pictures(), self.recognisers(), force=force)

    def save_to_json(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the JSON form to a path that ends in .json, or into a folder as `<name>.json`.

        What stands there is treated, and OutputError raised, as by `save_to_img`.
        """
        target = _target(path, _TEXTS)
        data = (json.dumps(self.json, indent=2) + "\n").encode()
        if target.suffix.lower() in _TEXTS and not is_folder(target):
            return self._guard(force).write_file(target, data, marked_by(RESULT_MARK))
        return self.save_in(target, {".json": data}, self.recognisers(), force=force)[0]

    @classmethod
    def recognisers(cls) -> dict[str, Recogniser]:
        """Give what knows earlier files of a folder of results, by what is added to the name."""
        ends = {end: marked_by(mark) for end, mark in cls.picture_marks.items()}
        return {**ends, ".json": marked_by(RESULT_MARK)}

    def save_in(
        self,
        folder: Path,
        contents: Mapping[str, bytes],
        known: Mapping[str, Recogniser],
        *,
        before: str = "",
        force: bool = False,
    ) -> list[Path]:
        """Write files into `folder`, by what is added to the name, and after `before`.

        `known` has what knows an earlier result, by all that is ever added. Threads and processes
        do so one after another, so that none takes a name that another one is about to use.
        """
        guard = self._guard(force)
        guard.check_place(folder / self.name)
        make_folders(folder)
        with folder_lock(folder):
            place = f"{real_path(folder)}/{before}"
            shown = folder / f"{before}{self.name}"
            stem = f"{before}{self._name_at(place, shown, known, force=force)}"
            files = [(folder / f"{stem}{end}", end, data) for end, data in contents.items()]
            for file, end, _ in files:
                guard.check_file(file, known.get(end, is_unknown))
            for file, end, data in files:
                guard.write_file(file, data, known.get(end, is_unknown))
            if not self._is_of_array:
                key, source = self._identity(place)
                _sources[key] = source
        return [file for file, _, _ in files]

    def _guard(self, force: bool) -> Guard:
        return Guard([self.source if self.origin is None else self.origin], force=force)

    @property
    def _is_of_array(self) -> bool:
        return self.origin is None and _ARRAY.match(self.source) is not None

    def _name_at(self, place: str, shown: Path, ends: Iterable[str], *, force: bool) -> str:
        """Give the name of this result at `place`, which is that of no other result there."""
        if self._is_of_array:
            return self._number_at(place, ends)
        key, source = self._identity(place)
        name = f"{place}{self.name}"
        owner = None if name in _numbered else _sources.get(key, source)
        if owner != source and not force and _any_exists(name, ends):
            raise OutputError(
                f"{shown}: another image of that name has its results there, and "
                f"those of {self.source} would replace them. Save these to another folder, or "
                "where you can, name the file or replace them with force=True. Nothing was written."
            )
        return self.name

    def _number_at(self, place: str, ends: Iterable[str]) -> str:
        """Give the name of an array at `place`: the next that nobody has."""
        if place not in self._stems:
            number = int(self.name.rpartition("_")[2])
            while (name := f"{place}{array_name(number)}") in _numbered or _any_exists(name, ends):
                number += 1
            _numbered.add(name)
            self._stems[place] = array_name(number)
        return self._stems[place]

    def _identity(self, place: str) -> tuple[int, int]:
        """Give numbers for this result at `place`, and for its image."""
        image = real_path(self.source if self.origin is None else self.origin)
        return hash((place, file_key(self.name))), hash(image)

    @cached_property
    def _stems(self) -> dict[str, str]:
        """The names that an array got, by place."""
        return {}


def _target(path: str | Path, kinds: frozenset[str]) -> Path:
    """Give `path`, a file of one of `kinds` or a folder. Raises OutputError for other files."""
    if not os.fspath(path):
        raise OutputError("the path to write to is an empty text: was a variable not set?")
    target = Path(path)
    others = (_OTHERS | _PICTURES | _TEXTS) - kinds
    if target.suffix.lower() in others and not is_folder(target):
        raise OutputError(
            f"{target}: is no folder, and files written here end in {', '.join(sorted(kinds))}. "
            "Name one of these, or a folder. Nothing was written."
        )
    return target


def _any_exists(stem: str, ends: Iterable[str]) -> bool:
    return any(os.path.lexists(f"{stem}{end}") for end in ends)


def array_name(position: int) -> str:
    """Give the name of the results of an array, which folders of results may change."""
    return f"array_{position}"


def array_source(position: int) -> str:
    """Say where the image at `position` is from, where it is an array."""
    return f"array {position}"
