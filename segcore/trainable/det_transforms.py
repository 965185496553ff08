"""Transforms by the names, parameters and defaults of `paddlex.det.transforms` 1.x.

Those that Mask R-CNN was trained with; boxes and masks move with the images. They only describe, as
those of `segcore.trainable.transforms` do. Sizes are in pixels, as one side or [width, height].
"""

from __future__ import annotations

from collections.abc import Sequence

from segcore.errors import RequestError
from segcore.trainable import transforms as common
from segcore.trainable.transforms import (
    Compose,
    RandomDistort,
    RandomHorizontalFlip,
    ResizeByShort,
    SegTransform,
    Sides,
)

__all__ = [
    "Compose",
    "ComposedRCNNTransforms",
    "Normalize",
    "Padding",
    "RandomDistort",
    "RandomHorizontalFlip",
    "Resize",
    "ResizeByShort",
]

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BATCH_STRIDE = 32


class Normalize(common.Normalize):
    """Scale from `min_val`..`max_val` to 0..1, subtract `mean` and divide by `std`, by channel."""

    def __init__(
        self,
        mean: Sequence[float] = _IMAGENET_MEAN,
        std: Sequence[float] = _IMAGENET_STD,
        min_val: Sequence[float] = (0, 0, 0),
        max_val: Sequence[float] = (255.0, 255.0, 255.0),
    ) -> None:
        super().__init__(mean, std, min_val, max_val)


class Resize(common.Resize):
    """Resize to `target_size`."""

    def __init__(self, target_size: Sides = 608, interp: str = "LINEAR") -> None:
        super().__init__(target_size, interp)


class Padding(SegTransform):
    """Fill images up with zeros to `target_size`, to the right and at the bottom.

    Batches are filled up to multiples of 32 pixels anyway, so `coarsest_stride` must divide 32.
    """

    def __init__(self, coarsest_stride: int = 1, target_size: Sides | None = None) -> None:
        if coarsest_stride < 1 or _BATCH_STRIDE % coarsest_stride:
            raise RequestError(
                f"coarsest_stride={coarsest_stride}: batches are filled up to multiples of "
                f"{_BATCH_STRIDE} pixels; give a number that divides {_BATCH_STRIDE}"
            )
        if target_size is None:
            super().__init__(None)
        else:
            filled = common.Padding(target_size, im_padding_value=(0.0, 0.0, 0.0)).component or {}
            super().__init__("Padding", target_size=filled["target_size"], im_padding_value=0.0)


class ComposedRCNNTransforms(Compose):
    """PaddleX's usual transforms: for training with `mode="train"`, else for measuring.

    `min_max_size` are the short side to reach and the longest that the long one may get.
    """

    def __init__(
        self,
        mode: str,
        min_max_size: Sequence[int] = (800, 1333),
        mean: Sequence[float] = _IMAGENET_MEAN,
        std: Sequence[float] = _IMAGENET_STD,
        random_horizontal_flip: bool = True,
    ) -> None:
        if mode not in ("train", "eval", "test"):
            raise RequestError(f"mode={mode!r}: give 'train', 'eval' or 'test'")
        short, long = min_max_size
        is_flipped = mode == "train" and random_horizontal_flip
        super().__init__(
            [
                *([RandomHorizontalFlip()] if is_flipped else []),
                Normalize(mean, std),
                ResizeByShort(short, long),
                Padding(coarsest_stride=32),
            ]
        )
