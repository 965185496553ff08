"""What a prediction is: class map, picture, JSON, and the files of them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segcore.checkpoint.files import storage_errors, write_atomic
from segcore.data.overlay import draw_overlay
from segcore.errors import OutputError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LABEL_MARK", "OVERLAY_MARK", "SegmentationResult"]

# Marks in the files themselves, by which a later run knows them from photographs.
LABEL_MARK = "segcore label map"
OVERLAY_MARK = "segcore overlay"
_JPEG_QUALITY = 92
_PICTURES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class SegmentationResult:
    """The classes of the pixels of one image.

    `label_map` is (H, W), uint8 up to 255 classes and uint16 above, in the size of `image`, which
    is (H, W, C) uint8 RGB or grey. `name` is where results go, relative to an output folder and
    without suffix; `source` is where the image came from. `class_names` may be shorter than the
    number of classes, where an exported model does not name them.
    """

    name: str
    source: str
    image: np.ndarray
    label_map: np.ndarray
    class_names: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    overlay_alpha: float = 0.5
    palette: np.ndarray | None = None

    @cached_property
    def json(self) -> dict[str, Any]:
        """The source, the size, and how much of the image each class present covers."""
        height, width = self.label_map.shape
        counts = np.bincount(self.label_map.reshape(-1))
        present = np.flatnonzero(counts)
        return {
            "source": self.source,
            "width": width,
            "height": height,
            **self.facts,
            "classes": [
                {
                    "id": int(number),
                    "name": self._class_name(int(number)),
                    "pixels": int(counts[number]),
                    "share": round(float(counts[number]) / (width * height), 6),
                }
                for number in present
            ],
        }

    @cached_property
    def img(self) -> Image.Image:
        """The image with the classes laid over it, as an RGB picture of Pillow.

        Black classes, as the background is by default, leave the image as it is. Borders between
        classes are drawn in full colour.
        """
        from PIL import Image

        picture = draw_overlay(self.image, self.label_map, self.palette, self.overlay_alpha)
        return Image.fromarray(picture)

    def print(self) -> None:
        """Print the JSON form."""
        print(json.dumps(self.json, indent=2))  # noqa: T201 - printing is what it is for

    def save_to_img(self, path: str | Path) -> list[Path]:
        """Write pictures; give their paths.

        Into a folder go the label map `<name>.png` (classes as grey values) and the overlay
        `<name>_overlay.jpg`; a path that ends in .jpg, .jpeg or .png gets the overlay alone.
        Raises StorageError.
        """
        target = Path(path)
        if target.suffix.lower() in _PICTURES and not target.is_dir():
            return [_write(target, self._encode_overlay(target.suffix.lower()))]
        return [
            _write(target / f"{self.name}.png", self._encode_label_map()),
            _write(target / f"{self.name}_overlay.jpg", self._encode_overlay(".jpg")),
        ]

    def save_to_json(self, path: str | Path) -> Path:
        """Write the JSON form to a path that ends in .json, or into a folder as `<name>.json`."""
        target = Path(path)
        if target.suffix.lower() != ".json" or target.is_dir():
            target = target / f"{self.name}.json"
        return _write(target, (json.dumps(self.json, indent=2) + "\n").encode())

    def _class_name(self, number: int) -> str:
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def _encode_label_map(self) -> bytes:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        mark = PngInfo()
        mark.add_text("Software", LABEL_MARK)
        buffer = io.BytesIO()
        Image.fromarray(self.label_map).save(buffer, "PNG", pnginfo=mark)
        return buffer.getvalue()

    def _encode_overlay(self, suffix: str) -> bytes:
        from PIL.PngImagePlugin import PngInfo

        buffer = io.BytesIO()
        if suffix == ".png":
            mark = PngInfo()
            mark.add_text("Software", OVERLAY_MARK)
            self.img.save(buffer, "PNG", pnginfo=mark)
        else:
            self.img.save(buffer, "JPEG", quality=_JPEG_QUALITY, comment=OVERLAY_MARK.encode())
        return buffer.getvalue()


def _write(path: Path, data: bytes) -> Path:
    with storage_errors(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"{path.parent}: a file stands where a folder is needed; name another output"
            ) from error
    write_atomic(path, data)
    return path
