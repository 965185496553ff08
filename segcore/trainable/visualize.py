"""`visualize` of `paddlex.seg` and `paddlex.det`, for scripts written for PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segcore.checkpoint.ownership import Guard, marked_by
from segcore.data.palette import class_palette
from segcore.errors import RequestError
from segcore.tasks.result import OVERLAY_MARK, Result

if TYPE_CHECKING:
    from segcore.trainable.instance import InstancePrediction
    from segcore.trainable.semantic import SemanticPrediction

__all__ = ["visualize", "visualize_detection"]

_PICTURES = (".jpg", ".jpeg", ".png")


def visualize(
    image: str | Path | np.ndarray,
    result: SemanticPrediction,
    weight: float = 0.6,
    save_dir: str | Path | None = "./",
    color: Sequence[int] | None = None,
) -> np.ndarray | None:
    """Draw `result` over its image, and write it to `save_dir` as `visualize_<name of the image>`.

    `weight` is that of the image in the mixture. `color` has blue, green and red of each class, one
    after another. Without `save_dir` the picture, (H, W, 3) uint8 BGR, is given instead. Raises
    StorageError.
    """
    drawn = replace(result, overlay_alpha=1 - weight, palette=_palette(color, result.palette))
    return _shown(image, drawn, save_dir)


def visualize_detection(
    image: str | Path | np.ndarray,
    result: InstancePrediction,
    threshold: float = 0.5,
    save_dir: str | Path | None = "./",
    color: Sequence[int] | None = None,
) -> np.ndarray | None:
    """Draw the objects of `result` that score `threshold` or more over their image.

    Everything else is as in `visualize`. Raises StorageError, and RequestError for what is no
    result of `predict`.
    """
    if not isinstance(result, Result):
        raise RequestError(
            "result: give what predict gave as it is; threshold chooses what is drawn of it"
        )
    found = result.found.above(threshold)
    drawn = replace(result, detections=found, palette=_palette(color, result.palette))
    return _shown(image, drawn, save_dir)


def _palette(color: Sequence[int] | None, otherwise: np.ndarray | None) -> np.ndarray | None:
    if color is None:
        return otherwise
    rows = np.asarray(color, int).reshape(-1, 3)[:, ::-1].tolist()
    return class_palette([(red, green, blue) for red, green, blue in rows])


def _shown(
    image: str | Path | np.ndarray,
    drawn: SemanticPrediction | InstancePrediction,
    save_dir: str | Path | None,
) -> np.ndarray | None:
    if save_dir is None:
        return np.ascontiguousarray(np.asarray(drawn.img)[..., ::-1])
    name = Path(f"{drawn.name}.jpg" if isinstance(image, np.ndarray) else image)
    if name.suffix.lower() not in _PICTURES:
        name = name.with_suffix(".jpg")
    path = Path(save_dir) / f"visualize_{name.name}"
    inputs = [] if isinstance(image, np.ndarray) else [image]
    data = drawn.encode_picture(name.suffix.lower())
    Guard(inputs).write_file(path, data, marked_by(OVERLAY_MARK))
    return None
