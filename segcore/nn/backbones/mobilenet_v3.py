"""MobileNetV3: MobileNetV2's blocks, searched for phones, with channel attention and hard swish.

Paper: Howard et al., "Searching for MobileNetV3", ICCV 2019, https://arxiv.org/abs/1905.02244

Names of layers are those of PaddleSeg's weights. As there, the gate of the attention is
clip(0.2 x + 0.5, 0, 1), where the paper has a slope of one sixth, and batch norms are exempt from
weight decay.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from paddle import ParamAttr, nn
from paddle.nn import functional
from paddle.regularizer import L2Decay

from segcore.nn.backbone import Backbone
from segcore.nn.backbones.dilation import strides_and_dilations

__all__ = [
    "MobileNetV3",
    "mobilenet_v3_large_x0_5",
    "mobilenet_v3_large_x0_35",
    "mobilenet_v3_large_x0_75",
    "mobilenet_v3_large_x1_0",
    "mobilenet_v3_large_x1_25",
    "mobilenet_v3_small_x0_5",
    "mobilenet_v3_small_x0_35",
    "mobilenet_v3_small_x0_75",
    "mobilenet_v3_small_x1_0",
    "mobilenet_v3_small_x1_25",
]

# kernel size, expanded channels, channels, attention, hard swish (else ReLU) and stride of blocks
_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
_SIZES = {"large": (_LARGE, (2, 5, 11, 14)), "small": (_SMALL, (0, 2, 7, 10))}


def _multiple_of_8(channels: float) -> int:
    """Round to a multiple of 8, at least 8 and not below nine tenths of what was asked for."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class _ConvBNAct(nn.Layer):
    """As `segcore.nn.conv.ConvBNAct`, under the names `conv` and `bn`, without decay of `bn`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: Any = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2 * dilation,
            dilation=dilation,
            groups=groups,
            bias_attr=False,
        )
        self.bn = nn.BatchNorm2D(
            out_channels,
            weight_attr=ParamAttr(regularizer=L2Decay(0.0)),
            bias_attr=ParamAttr(regularizer=L2Decay(0.0)),
        )
        self.activation = activation

    def forward(self, x: Any) -> Any:
        x = self.bn(self.conv(x))
        return x if self.activation is None else self.activation(x)


class _ChannelAttention(nn.Layer):
    """Scale each channel by a factor in 0..1 that hangs on the means of all (squeeze, excite)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(channels, channels // 4, 1)
        self.conv2 = nn.Conv2D(channels // 4, channels, 1)

    def forward(self, x: Any) -> Any:
        means = functional.adaptive_avg_pool2d(x, 1)
        scores = self.conv2(functional.relu(self.conv1(means)))
        return x * functional.hardsigmoid(scores, slope=0.2, offset=0.5)


class _InvertedResidual(nn.Layer):
    """Widen by 1x1, filter each channel, attend, narrow by 1x1; add the input if `is_residual`."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        dilation: int,
        attends: bool,
        is_residual: bool,
        activation: Any,
    ) -> None:
        super().__init__()
        self.expand_conv = _ConvBNAct(in_channels, width, 1, activation=activation)
        self.bottleneck_conv = _ConvBNAct(
            width,
            width,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=width,
            activation=activation,
        )
        self.attends = attends
        if attends:
            self.mid_se = _ChannelAttention(width)
        self.linear_conv = _ConvBNAct(width, out_channels, 1)
        self.is_residual = is_residual

    def forward(self, x: Any) -> Any:
        y = self.bottleneck_conv(self.expand_conv(x))
        if self.attends:
            y = self.mid_se(y)
        y = self.linear_conv(y)
        return x + y if self.is_residual else y


class MobileNetV3(Backbone):
    """Four features of strides 4, 8, 16 and 32, the last ones limited to `output_stride`.

    `size` is "large" or "small"; `scale` multiplies all channels.
    """

    def __init__(
        self,
        size: str,
        *,
        scale: float = 1.0,
        in_channels: int = 3,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        rows, self._feature_blocks = _SIZES[size]
        self.in_channels = in_channels
        self.feature_channels = tuple(
            _multiple_of_8(rows[index][2] * scale) for index in self._feature_blocks
        )
        self.feature_strides = tuple(min(stride, output_stride) for stride in (4, 8, 16, 32))
        _, *pairs = strides_and_dilations([2, *(row[-1] for row in rows)], output_stride)
        before = _multiple_of_8(16 * scale)
        self.conv = _ConvBNAct(in_channels, before, 3, stride=2, activation=functional.hardswish)
        blocks = []
        for row, (stride, dilation) in zip(rows, pairs, strict=True):
            kernel_size, width, out_channels, attends, swishes, own_stride = row
            after = _multiple_of_8(out_channels * scale)
            block = _InvertedResidual(
                before,
                _multiple_of_8(width * scale),
                after,
                kernel_size,
                stride=stride,
                dilation=dilation,
                attends=attends,
                is_residual=own_stride == 1 and before == after,
                activation=functional.hardswish if swishes else functional.relu,
            )
            blocks.append(block)
            before = after
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of strides 4, 8, 16 and 32."""
        x = self.conv(images)  # (N, 16 * scale, H/2, W/2)
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._feature_blocks:
                features.append(x)
        return features


mobilenet_v3_large_x0_35 = partial(MobileNetV3, "large", scale=0.35)
mobilenet_v3_large_x0_5 = partial(MobileNetV3, "large", scale=0.5)
mobilenet_v3_large_x0_75 = partial(MobileNetV3, "large", scale=0.75)
mobilenet_v3_large_x1_0 = partial(MobileNetV3, "large", scale=1.0)
mobilenet_v3_large_x1_25 = partial(MobileNetV3, "large", scale=1.25)
mobilenet_v3_small_x0_35 = partial(MobileNetV3, "small", scale=0.35)
mobilenet_v3_small_x0_5 = partial(MobileNetV3, "small", scale=0.5)
mobilenet_v3_small_x0_75 = partial(MobileNetV3, "small", scale=0.75)
mobilenet_v3_small_x1_0 = partial(MobileNetV3, "small", scale=1.0)
mobilenet_v3_small_x1_25 = partial(MobileNetV3, "small", scale=1.25)
