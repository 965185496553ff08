"""Feature pyramids: features of one depth and of five strides, each of which knows what is around.

FPN adds coarse features to fine ones on the way down: Lin et al., "Feature Pyramid Networks for
Object Detection", https://arxiv.org/abs/1612.03144. HRFPN joins the branches of HRNet at the finest
resolution and averages from there: Wang et al., "Deep High-Resolution Representation Learning for
Visual Recognition", https://arxiv.org/abs/1908.07919

Names of layers are those of PaddleDetection's weights. Unlike there, features of any size fit: a
coarse one is resized to what the finer one measures, and not by two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.resize import resize, spatial_size

__all__ = ["FPN", "HRFPN"]


class FPN(nn.Layer):
    """Bring features of strides 4 to 32 to `channels` channels, and add one of stride 64."""

    strides = (4, 8, 16, 32, 64)
    smallest_px = 1

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.channels = channels
        self._lateral: list[nn.Layer] = []
        self._smooth: list[nn.Layer] = []
        for index, before in enumerate(in_channels):
            stage = index + 2
            ending = "_sum" if index == len(in_channels) - 1 else "_sum_lateral"
            lateral = nn.Conv2D(before, channels, 1, weight_attr=_xavier(before, before))
            smooth = nn.Conv2D(
                channels, channels, 3, padding=1, weight_attr=_xavier(9 * channels, 9 * channels)
            )
            self._lateral.append(self.add_sublayer(f"fpn_inner_res{stage}{ending}", lateral))
            self._smooth.append(self.add_sublayer(f"fpn_res{stage}_sum", smooth))

    def forward(self, features: Sequence[Any]) -> list[Any]:
        """Map features, finest first, to one more (N, channels, H / stride, W / stride)."""
        sums = [self._lateral[i](features[i]) for i in range(len(self._lateral))]
        for i in range(len(sums) - 1, 0, -1):
            sums[i - 1] = sums[i - 1] + resize(sums[i], spatial_size(sums[i - 1]), "nearest")
        outputs = [self._smooth[i](sums[i]) for i in range(len(sums))]
        return [*outputs, functional.max_pool2d(outputs[-1], 1, stride=2)]


def _xavier(inputs: int, outputs: int) -> paddle.ParamAttr:
    """Draw from Xavier's uniform distribution, with fans as PaddleDetection counts them."""
    limit = math.sqrt(6.0 / (inputs + outputs))
    return paddle.ParamAttr(initializer=nn.initializer.Uniform(-limit, limit))


class HRFPN(nn.Layer):
    """Join features of strides 4 to 32, and give five of `channels` channels.

    Images must measure `smallest_px` at least, so that the coarsest feature has a pixel.
    """

    strides = (4, 8, 16, 32, 64)
    smallest_px = 64

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.reduction = nn.Conv2D(sum(in_channels), channels, 1, bias_attr=False)
        self._convs = [
            self.add_sublayer(
                f"fpn_conv_{i}", nn.Conv2D(channels, channels, 3, padding=1, bias_attr=False)
            )
            for i in range(len(self.strides))
        ]

    def forward(self, features: Sequence[Any]) -> list[Any]:
        """Map features, finest first, to (N, channels, H / stride, W / stride) of each stride."""
        size = spatial_size(features[0])
        joined = [features[0], *(resize(feature, size) for feature in features[1:])]
        x = self.reduction(paddle.concat(joined, axis=1))  # (N, channels, H/4, W/4)
        pooled = [functional.avg_pool2d(x, 2**i, stride=2**i) for i in range(1, len(self._convs))]
        return [self._convs[0](x), *(self._convs[i](pooled[i - 1]) for i in range(1, 5))]
