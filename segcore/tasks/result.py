"""What a prediction comes to for the people who asked for it, whatever the task."""

from __future__ import annotations

import json
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from segcore.checkpoint.ownership import (
    Guard,
    Recogniser,
    encode_picture,
    file_key,
    is_unknown,
    marked_by,
)
from segcore.errors import OutputError
from segcore.filesystem import is_folder

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
_PICTURES = {".jpg", ".jpeg", ".png"}
_ARRAY = re.compile(r"array \d+\Z")
_sources: dict[int, int] = {}
"""Hashes of which image's results this process wrote under which name, as there may be millions."""
_numbered: set[str] = set()
"""The names that arrays got in this process, written or not."""
_lock = threading.Lock()


@dataclass(frozen=True)
class Predicted:
    """An image that was predicted, and what is known about it besides the prediction.

    `name` is where results go, relative to an output folder and without suffix; `source` is where
    `image`, (H, W, C) uint8, came from. `class_names` may be shorter than the number of classes,
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


class Result(ABC):
    """The result of one image: something to read, to look at and to go on with."""

    name: str
    source: str
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
        target = Path(path)
        guard = Guard([self.source], force=force)
        if target.suffix.lower() in _PICTURES and not is_folder(target):
            data = self.encode_picture(target.suffix.lower())
            return [guard.write_file(target, data, marked_by(OVERLAY_MARK))]
        stem, known = self._stem_in(target, force=force), self.recognisers()
        files = {target / f"{stem}{end}": (end, data) for end, data in self.pictures().items()}
        for file, (end, _) in files.items():
            guard.check_file(file, known.get(end, is_unknown))
        for file, (end, data) in files.items():
            guard.write_file(file, data, known.get(end, is_unknown))
        self._claim(target)
        return list(files)

    def save_to_json(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the JSON form to a path that ends in .json, or into a folder as `<name>.json`.

        What stands there is treated, and OutputError raised, as by `save_to_img`.
        """
        target = Path(path)
        data = (json.dumps(self.json, indent=2) + "\n").encode()
        guard, is_ours = Guard([self.source], force=force), marked_by(RESULT_MARK)
        if target.suffix.lower() == ".json" and not is_folder(target):
            return guard.write_file(target, data, is_ours)
        stem = self._stem_in(target, force=force)
        file = guard.write_file(target / f"{stem}.json", data, is_ours)
        self._claim(target)
        return file

    @classmethod
    def recognisers(cls) -> dict[str, Recogniser]:
        """Give what knows earlier files of a folder of results, by what is added to the name."""
        ends = {end: marked_by(mark) for end, mark in cls.picture_marks.items()}
        return {**ends, ".json": marked_by(RESULT_MARK)}

    def _stem_in(self, folder: Path, *, force: bool) -> str:
        """Give the name of this result in `folder`, which is that of no other result there."""
        place = os.path.realpath(folder)
        if _ARRAY.match(self.source):
            return self._number_in(place)
        key, source = self._identity(place)
        is_taken = _sources.get(key, source) != source and self._exists(f"{place}/{self.name}")
        if is_taken and not force:
            raise OutputError(
                f"{folder / self.name}: another image of that name has its results there, and "
                f"those of {self.source} would replace them. Save these to another folder, give "
                "the path of the file, or replace them with force=True. Nothing was written."
            )
        return self.name

    def _number_in(self, place: str) -> str:
        """Give the name of an array in the folder `place`: the next that nobody has."""
        with _lock:
            if place not in self._stems:
                number = int(self.name.rpartition("_")[2])
                while (name := f"{place}/{array_name(number)}") in _numbered or self._exists(name):
                    number += 1
                _numbered.add(name)
                self._stems[place] = array_name(number)
            return self._stems[place]

    def _exists(self, stem: str) -> bool:
        return any(os.path.lexists(f"{stem}{end}") for end in self.recognisers())

    def _claim(self, folder: Path) -> None:
        """Remember that the name of this result is taken in `folder`."""
        if not _ARRAY.match(self.source):
            key, source = self._identity(os.path.realpath(folder))
            _sources[key] = source

    def _identity(self, place: str) -> tuple[int, int]:
        """Give numbers for this result in the folder `place`, and for its image."""
        return hash((place, file_key(self.name))), hash(os.path.realpath(self.source))

    @cached_property
    def _stems(self) -> dict[str, str]:
        """The names that an array got, by folder."""
        return {}


def array_name(position: int) -> str:
    """Give the name of the results of an array, which folders of results may change."""
    return f"array_{position}"


def array_source(position: int) -> str:
    """Say where the image at `position` is from, where it is an array."""
    return f"array {position}"
