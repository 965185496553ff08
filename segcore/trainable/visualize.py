"""`visualize` of `paddlex.seg` and `paddlex.det`, for scripts written for PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segcore.checkpoint.ownership import marked_by
from segcore.data.palette import class_palette
from segcore.errors import RequestError
from segcore.given import as_integer, plain_real
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
    after another. Without `save_dir` the picture, (H, W, 3) uint8 BGR, is given instead. Arrays get
    the next number that is free. Raises RequestError, StorageError, and OutputError where another
    image of that name was drawn there.
    """
    share = plain_real(weight)
    if not isinstance(share, float) or not 0 <= share <= 1:
        raise RequestError(f"weight={weight!r}: give a number from 0 to 1")
    drawn = replace(result, overlay_alpha=1 - share, palette=_palette(color, result.palette))
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
    values = [as_integer(value) for value in color]
    levels = [value for value in values if value is not None and 0 <= value <= 255]
    if len(levels) % 3 or len(levels) != len(values):
        raise RequestError(
            f"color={color!r:.200}: give blue, green and red of each class, one after another, as "
            "whole numbers from 0 to 255"
        )
    by_class = zip(levels[2::3], levels[1::3], levels[::3], strict=True)
    return class_palette([(red, green, blue) for red, green, blue in by_class])


def _shown(
    image: str | Path | np.ndarray,
    drawn: SemanticPrediction | InstancePrediction,
    save_dir: str | Path | None,
) -> np.ndarray | None:
    if save_dir is None:
        return np.ascontiguousarray(np.asarray(drawn.img)[..., ::-1])
    if isinstance(image, np.ndarray):
        end = ".jpg"
    else:
        suffix = Path(image).suffix.lower()
        end = suffix if suffix in _PICTURES else ".jpg"
        drawn = replace(
            drawn, name=Path(image).stem, source=str(image), origin=str(Path(image).absolute())
        )
    known = dict.fromkeys(_PICTURES, marked_by(OVERLAY_MARK))
    drawn.save_in(Path(save_dir), {end: drawn.encode_picture(end)}, known, before="visualize_")
    return None
