"""`paddlex.seg.visualize` for scripts that were written for PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segcore.data.palette import class_palette
from segcore.tasks.result import write_result

if TYPE_CHECKING:
    from segcore.trainable.semantic import SemanticPrediction

__all__ = ["visualize"]

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
    palette = result.palette
    if color is not None:
        rows = np.asarray(color, int).reshape(-1, 3)[:, ::-1].tolist()
        palette = class_palette([(red, green, blue) for red, green, blue in rows])
    drawn = replace(result, overlay_alpha=1 - weight, palette=palette)
    if save_dir is None:
        return np.ascontiguousarray(np.asarray(drawn.img)[..., ::-1])
    name = Path(f"{result.name}.jpg" if isinstance(image, np.ndarray) else image)
    if name.suffix.lower() not in _PICTURES:
        name = name.with_suffix(".jpg")
    path = Path(save_dir) / f"visualize_{name.name}"
    write_result(path, drawn.encode_picture(name.suffix.lower()))
    return None
