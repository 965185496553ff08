"""Draw datasets to try things with: they look like the real thing and their labels are exact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segcore.checkpoint.files import prepare_output
from segcore.checkpoint.ownership import Guard
from segcore.checkpoint.unfinished import filling, is_free, is_unfinished
from segcore.data.listfile import format_row
from segcore.errors import OutputError, RequestError
from segcore.tasks.rle import encode_mask, rle_area, rle_box, rle_json

__all__ = ["KINDS", "Kind", "draw_dataset", "draw_sample"]

Kind = Literal["optic-disc", "shapes", "instances"]
KINDS: tuple[Kind, ...] = ("optic-disc", "shapes", "instances")

_MOST_IMAGES = 1_000_000
_VAL_SHARE = 5  # one image in five is held out
_SMALLEST_OBJECT_PX = 12  # visible pixels; of less nobody could tell what it is


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
    force: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Path:
    """Write `images` drawings of `size` x `size` pixels to `root`: a SegDataset or COCO files.

    Every fifth image is held out as val. The lists are written last, so an interrupted run leaves
    no dataset behind that looks complete. A `root` that holds something is refused unless `force`;
    files of the same names are then replaced. `progress` wraps the indices, for a progress bar.
    Gives `root`. Raises RequestError for arguments that make no dataset, OutputError and
    StorageError.
    """
    if kind not in KINDS:
        raise RequestError(f"kind {kind!r}: there are only {' and '.join(KINDS)}.")
    if seed < 0:
        raise RequestError(f"seed {seed}: must be 0 or more.")
    if not 2 <= images <= _MOST_IMAGES or not 32 <= size <= 8192:
        raise RequestError(
            f"{images!r:.20} images of {size!r:.20} px: a dataset has 2 to {_MOST_IMAGES} images "
            "of 32 to 8192 px."
        )

    def require_room() -> None:
        if not (force or is_unfinished(root) or is_free(root)):
            raise OutputError(f"{root}: is not empty. Name another folder, or add --force.")

    require_room()
    guard = Guard(force=force or is_unfinished(root))
    guard.check_place(root)
    prepare_output(root)
    with filling(root, require_room):
        for folder in ("images", "annotations"):
            prepare_output(root / folder)
        if kind == "instances":
            _draw_instances(root, images, size=size, seed=seed, progress=progress, guard=guard)
        else:
            _draw_labels(root, kind, images, size=size, seed=seed, progress=progress, guard=guard)
    return root


def _draw_labels(
    root: Path,
    kind: Kind,
    images: int,
    *,
    size: int,
    seed: int,
    progress: Callable[[Iterable[int]], Iterable[int]],
    guard: Guard,
) -> None:
    drawing = _DRAWINGS[kind]
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for index in progress(range(images)):
        image, label = draw_sample(kind, size, seed, index)
        name = f"{drawing.stem}_{index:04d}"
        image_name, label_name = f"images/{name}.jpg", f"annotations/{name}.png"
        guard.write_file(root / image_name, _encode(image[..., ::-1], ".jpg"))
        guard.write_file(root / label_name, _encode(label, ".png"))
        rows[_split_of(index, images)].append(format_row(image_name, label_name))
    names: tuple[str, ...] = import_module(drawing.module).CLASS_NAMES
    _write_lines(root / "labels.txt", names, guard)
    for split, lines in rows.items():
        _write_lines(root / f"{split}.txt", lines, guard)


def _draw_instances(
    root: Path,
    images: int,
    *,
    size: int,
    seed: int,
    progress: Callable[[Iterable[int]], Iterable[int]],
    guard: Guard,
) -> None:
    """Draw overlapping shapes, each an object of which the visible part is the mask."""
    from segcore.data.drawing.shapes import CLASS_NAMES, draw_objects

    names = CLASS_NAMES[1:]  # the ground is no object
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    files: dict[str, dict[str, list[Any]]] = {
        split: {"images": [], "annotations": [], "categories": categories}
        for split in ("train", "val")
    }
    for index in progress(range(images)):
        image, objects = draw_objects(np.random.default_rng([seed, index]), size)
        name = f"objects_{index:04d}.jpg"
        guard.write_file(root / "images" / name, _encode(image[..., ::-1], ".jpg"))
        file = files[_split_of(index, images)]
        file["images"].append({"id": index, "file_name": name, "width": size, "height": size})
        for number, visible in objects:
            rle = encode_mask(visible)
            if rle_area(rle) < _SMALLEST_OBJECT_PX:
                continue  # hidden behind others
            annotation = {
                "id": len(file["annotations"]) + 1,
                "image_id": index,
                "category_id": number,
                "bbox": list(rle_box(rle)),
                "area": rle_area(rle),
                "iscrowd": 0,
                "segmentation": rle_json(rle),
            }
            file["annotations"].append(annotation)
    for split, content in files.items():
        guard.write_file(root / f"annotations/instance_{split}.json", json.dumps(content).encode())


def _split_of(index: int, images: int) -> str:
    last = min(images, _VAL_SHARE) - 1
    return "val" if index % _VAL_SHARE == last else "train"


def _write_lines(path: Path, lines: Iterable[str], guard: Guard) -> None:
    guard.write_file(path, "".join(f"{line}\n" for line in lines).encode())


def _encode(image: np.ndarray, suffix: str) -> bytes:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpg" else []
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    if not done:
        raise RequestError(f"OpenCV cannot encode {image.shape} {image.dtype} as {suffix}.")
    return bytes(data)
