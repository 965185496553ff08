"""Anchors: boxes of several sizes and shapes around every pixel of every feature map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn

from segcore.errors import ConfigError

__all__ = ["AnchorGrid"]


class AnchorGrid(nn.Layer):
    """Lay anchors on feature maps of the given strides.

    `sizes` are square roots of areas in pixels: one number a map, or a list of numbers a map; where
    there is one map only, all numbers are its own. `ratios` are heights by widths. Raises
    ConfigError when sizes do not fit the maps.
    """

    def __init__(
        self, strides: Sequence[int], sizes: Sequence[Any], ratios: Sequence[float]
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        by_level = _sizes_by_level(sizes, len(self.strides))
        self.count = len(by_level[0]) * len(ratios)
        for level, level_sizes in enumerate(by_level):
            shapes = [_centred(size, ratio) for size in level_sizes for ratio in ratios]
            self.register_buffer(
                f"cell{level}", paddle.to_tensor(shapes, "float32"), persistable=False
            )

    def forward(self, features: Sequence[Any]) -> list[Any]:
        """Give for features (N, C, H, W) the anchors (H * W * `count`, 4), row by row."""
        grids = []
        for level, feature in enumerate(features):
            stride = self.strides[level]
            cell = self._buffers[f"cell{level}"]
            size = feature.shape[2:] if paddle.in_dynamic_mode() else paddle.shape(feature)[2:]
            steps = [paddle.arange(count).astype(cell.dtype) * stride for count in size]
            y, x = paddle.meshgrid(*steps)
            corners = paddle.stack([x, y, x, y], axis=2).reshape([-1, 1, 4])
            grids.append((corners + cell.unsqueeze(0)).reshape([-1, 4]))
        return grids


def _sizes_by_level(sizes: Sequence[Any], levels: int) -> list[list[float]]:
    nested = [list(size) if isinstance(size, list | tuple) else [size] for size in sizes]
    if levels == 1 and len(nested) > 1:
        nested = [[size for level in nested for size in level]]
    if len(nested) != levels or len({len(level) for level in nested}) != 1:
        raise ConfigError(
            f"anchor_sizes {list(sizes)}: there are {levels} feature maps; give as many sizes, or "
            "as many lists of equally many sizes, finest map first"
        )
    return nested


def _centred(size: float, ratio: float) -> list[float]:
    width = math.sqrt(size**2 / ratio)
    height = ratio * width
    return [-width / 2, -height / 2, width / 2, height / 2]
