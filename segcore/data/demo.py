"""Draw datasets to try things with: they look like the real thing and their labels are exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segcore.checkpoint.files import prepare_output, write_atomic
from segcore.data.listfile import format_row
from segcore.errors import RequestError

__all__ = ["KINDS", "Kind", "draw_dataset", "draw_sample"]

Kind = Literal["optic-disc", "shapes"]
KINDS: tuple[Kind, ...] = ("optic-disc", "shapes")

_VAL_SHARE = 5  # one image in five is held out


@dataclass(frozen=True)
class _Drawing:
    """How one kind is drawn; the module is imported when it is."""

    module: str
    function: str
    stem: str


_DRAWINGS = {
    "optic-disc": _Drawing("segcore.data.drawing.fundus", "draw_fundus", "eye"),
    "shapes": _Drawing("segcore.data.drawing.shapes", "draw_shapes", "shapes"),
}


def draw_sample(kind: Kind, size: int, seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw image `index`: (size, size, 3) uint8 RGB with its label (size, size) uint8.

    It depends on the arguments alone, so a larger set begins with the images of a smaller one.
    """
    drawing = _DRAWINGS[kind]
    function: Any = getattr(import_module(drawing.module), drawing.function)
    image, label = function(np.random.default_rng([seed, index]), size)
    return image, label


def draw_dataset(
    root: Path,
    kind: Kind = "optic-disc",
    images: int = 100,
    size: int = 256,
    seed: int = 42,
    *,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Path:
    """Write `images` drawings of `size` x `size` pixels as a SegDataset into `root`.

    Every fifth image goes into val.txt. The lists are written last, so an interrupted run leaves
    no dataset behind that looks complete. `progress` wraps the indices, for a progress bar. Gives
    `root`. Raises RequestError for arguments that make no dataset, OutputError and StorageError.
    """
    if kind not in KINDS:
        raise RequestError(f"kind {kind!r}: there are only {' and '.join(KINDS)}.")
    if seed < 0:
        raise RequestError(f"seed {seed}: must be 0 or more.")
    if images < 2 or not 32 <= size <= 8192:
        raise RequestError(
            f"{images} images of {size} px: a dataset needs 2 images or more, of 32 to 8192 px."
        )
    drawing = _DRAWINGS[kind]
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for folder in ("images", "annotations"):
        prepare_output(root / folder)
    last = min(images, _VAL_SHARE) - 1
    for index in progress(range(images)):
        image, label = draw_sample(kind, size, seed, index)
        name = f"{drawing.stem}_{index:04d}"
        image_name, label_name = f"images/{name}.jpg", f"annotations/{name}.png"
        write_atomic(root / image_name, _encode(image[..., ::-1], ".jpg"))
        write_atomic(root / label_name, _encode(label, ".png"))
        split = "val" if index % _VAL_SHARE == last else "train"
        rows[split].append(format_row(image_name, label_name))
    names: tuple[str, ...] = import_module(drawing.module).CLASS_NAMES
    _write_lines(root / "labels.txt", names)
    for split, lines in rows.items():
        _write_lines(root / f"{split}.txt", lines)
    return root


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def _encode(image: np.ndarray, suffix: str) -> bytes:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpg" else []
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    if not done:
        raise RequestError(f"OpenCV cannot encode {image.shape} {image.dtype} as {suffix}.")
    return bytes(data)
