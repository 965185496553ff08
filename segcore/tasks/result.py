"""What a prediction comes to for the people who asked for it, whatever the task."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.checkpoint.files import storage_errors, write_atomic
from segcore.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from segcore.config.schema import PredictConfig

__all__ = ["OVERLAY_MARK", "Predicted", "Result", "write_result"]

OVERLAY_MARK = "segcore overlay"
"""A mark in the files themselves, by which a later run knows them from photographs."""
_JPEG_QUALITY = 92
_PICTURES = {".jpg", ".jpeg", ".png"}


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
        from PIL.PngImagePlugin import PngInfo

        buffer = io.BytesIO()
        if suffix == ".png":
            mark = PngInfo()
            mark.add_text("Software", OVERLAY_MARK)
            self.img.save(buffer, "PNG", pnginfo=mark)
        else:
            self.img.save(buffer, "JPEG", quality=_JPEG_QUALITY, comment=OVERLAY_MARK.encode())
        return buffer.getvalue()

    def print(self) -> None:
        """Print the JSON form."""
        print(json.dumps(self.json, indent=2))  # noqa: T201 - printing is what it is for

    def save_to_img(self, path: str | Path) -> list[Path]:
        """Write pictures; give their paths.

        Into a folder go all `pictures`, each as `<name>` with its own end; a path that ends in
        .jpg, .jpeg or .png gets `img` alone. Raises StorageError.
        """
        target = Path(path)
        if target.suffix.lower() in _PICTURES and not target.is_dir():
            return [write_result(target, self.encode_picture(target.suffix.lower()))]
        return [
            write_result(target / f"{self.name}{end}", data)
            for end, data in self.pictures().items()
        ]

    def save_to_json(self, path: str | Path) -> Path:
        """Write the JSON form to a path that ends in .json, or into a folder as `<name>.json`."""
        target = Path(path)
        if target.suffix.lower() != ".json" or target.is_dir():
            target = target / f"{self.name}.json"
        return write_result(target, (json.dumps(self.json, indent=2) + "\n").encode())


def write_result(path: Path, data: bytes) -> Path:
    """Write `data` to `path`, in one step, and make the folders above it; give `path`."""
    with storage_errors(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"{path.parent}: a file stands where a folder is needed; name another output"
            ) from error
    write_atomic(path, data)
    return path
