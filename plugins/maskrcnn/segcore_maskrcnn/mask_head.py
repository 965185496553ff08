"""The mask head: which pixels within a box belong to its object.

It gives a small map for each class, of which the box's own counts, so that classes do not compete.
Names of layers are those of PaddleDetection's weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

__all__ = ["MaskHead", "paste_masks"]

_SMALLEST_PX = 1e-6  # keeps empty boxes from dividing by zero; they cover no pixel


class _Upsample(nn.Layer):
    """Some 3x3 convolutions, then twice the resolution."""

    def __init__(self, in_channels: int, channels: int, convs: int) -> None:
        super().__init__()
        layers: list[tuple[str, nn.Layer]] = []
        for number in range(1, convs + 1):
            conv = nn.Conv2D(in_channels, channels, 3, padding=1, weight_attr=_he(9 * channels))
            layers += [(f"mask_inter_feat_{number}", conv), (f"relu_{number}", nn.ReLU())]
            in_channels = channels
        last = nn.Conv2DTranspose(in_channels, channels, 2, stride=2, weight_attr=_he(4 * channels))
        self.upsample = nn.Sequential(*layers, ("conv5_mask", last), ("relu", nn.ReLU()))

    def forward(self, x: Any) -> Any:
        return self.upsample(x)


def _he(inputs: int) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, math.sqrt(2.0 / inputs)))


class MaskHead(nn.Layer):
    """Draw a mask of 2R x 2R for features of R x R within a box, one for each class."""

    def __init__(self, in_channels: int, channels: int, num_classes: int, convs: int) -> None:
        super().__init__()
        self.head = _Upsample(in_channels, channels, convs)
        self.mask_fcn_logits = nn.Conv2D(channels, num_classes, 1, weight_attr=_he(num_classes))

    def forward(self, features: Any) -> Any:
        """Map (M, in_channels, R, R) to logits (M, num_classes, 2R, 2R)."""
        return self.mask_fcn_logits(self.head(features))

    def predict(self, features: Any, classes: Any) -> Any:
        """Give the probabilities (M, 2R, 2R) of the masks of `classes` (M,), int64."""
        return functional.sigmoid(_of_class(self.forward(features), classes))

    def loss(self, features: Any, classes: np.ndarray, targets: np.ndarray) -> Any:
        """Compare with `targets` (M, 2R, 2R) of 0 and 1; without any the loss is 0."""
        logits = self.forward(features)
        if len(classes) == 0:
            return (logits * 0.0).sum()
        masks = _of_class(logits, paddle.to_tensor(classes))
        truth = paddle.to_tensor(targets, logits.dtype)
        return functional.binary_cross_entropy_with_logits(masks, truth)


def _of_class(logits: Any, classes: Any) -> Any:
    """Choose from (M, C, H, W) the map of each row's class: (M, H, W)."""
    rows = paddle.arange(paddle.shape(classes)[0], dtype="int64")
    return logits.gather_nd(paddle.stack([rows, classes], axis=1))


def paste_masks(masks: Any, boxes: Any, sizes: Any, canvas: Any, threshold: float = 0.5) -> Any:
    """Stretch `masks` (K, R, R) over their `boxes` (K, 4) on canvases: (K, H, W), int32 0 or 1.

    A pixel is 1 from a probability of `threshold` on, interpolated at its centre. `sizes` (K, 2)
    are height and width of each box's image, and `canvas` (2,) those of the canvas, which is 0
    beyond the image.
    """
    canvas = canvas.astype("int64")
    resolution = masks.shape[-1]
    rows = _weights(boxes[:, 1], boxes[:, 3], sizes[:, 0], canvas[0], resolution)  # (K, H, R)
    columns = _weights(boxes[:, 0], boxes[:, 2], sizes[:, 1], canvas[1], resolution)  # (K, W, R)
    # bilinear interpolation is one sum along each axis: two small products instead of a grid
    stretched = paddle.matmul(paddle.matmul(rows, masks), columns, transpose_y=True)
    return (stretched >= threshold).astype("int32")


def _weights(low: Any, high: Any, limit: Any, length: Any, resolution: int) -> Any:
    """Say what each cell of a mask counts for each pixel of a line: (K, length, resolution)."""
    pixels = paddle.arange(length).astype(low.dtype).unsqueeze(0) + 0.5  # (1, length)
    side = paddle.clip(high - low, min=_SMALLEST_PX).unsqueeze(1)
    place = (pixels - low.unsqueeze(1)) / side * resolution - 0.5  # (K, length), in cells
    cells = paddle.arange(resolution).astype(low.dtype)
    near = functional.relu(1.0 - (place.unsqueeze(2) - cells).abs())
    is_inside = (pixels < limit.unsqueeze(1)).astype(low.dtype)
    return near * is_inside.unsqueeze(2)
