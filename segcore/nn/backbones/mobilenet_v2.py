"""MobileNetV2: narrow features, widened only within a block, where a depthwise 3x3 works.

The last convolution of a block has no activation, since rectifying few channels loses much.
Paper: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
https://arxiv.org/abs/1801.04381

Names of layers are those of PaddleSeg's weights. PaddleSeg names the parameters as well, so that
there a second MobileNetV2 in a process fails; here Paddle numbers them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.backbones.dilation import strides_and_dilations
from segcore.nn.conv import ConvBN, ConvBNAct

__all__ = [
    "MobileNetV2",
    "mobilenet_v2_x0_5",
    "mobilenet_v2_x0_25",
    "mobilenet_v2_x0_75",
    "mobilenet_v2_x1_0",
    "mobilenet_v2_x1_5",
    "mobilenet_v2_x2_0",
]

# expansion, channels, blocks and stride of the stages; features are taken after those that a
# stride follows, and after the last one
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_FEATURES = (1, 2, 4, 6)

_ConvBNReLU6 = partial(ConvBNAct, bias=False, activation=functional.relu6)


class _InvertedResidual(nn.Layer):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; add the input if `is_residual`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        dilation: int,
        is_residual: bool,
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self._expand_conv = _ConvBNReLU6(in_channels, width, 1)
        self._bottleneck_conv = _ConvBNReLU6(
            width, width, 3, stride=stride, dilation=dilation, groups=width
        )
        self._linear_conv = ConvBN(width, out_channels, 1, bias=False)
        self.is_residual = is_residual

    def forward(self, x: Any) -> Any:
        y = self._linear_conv(self._bottleneck_conv(self._expand_conv(x)))
        return x + y if self.is_residual else y


class MobileNetV2(Backbone):
    """Four features of strides 4, 8, 16 and 32, the last ones limited to `output_stride`.

    `scale` multiplies all channels.
    """

    def __init__(
        self, *, scale: float = 1.0, in_channels: int = 3, output_stride: int = 32
    ) -> None:
        super().__init__()
        channels = [int(width * scale) for _, width, _, _ in _STAGES]
        self.in_channels = in_channels
        self.feature_channels = tuple(channels[index] for index in _FEATURES)
        self.feature_strides = tuple(min(stride, output_stride) for stride in (4, 8, 16, 32))
        strides = [stride if k == 0 else 1 for _, _, n, stride in _STAGES for k in range(n)]
        _, *pairs = strides_and_dilations([2, *strides], output_stride)
        before = int(32 * scale)
        self.conv1 = _ConvBNReLU6(in_channels, before, 3, stride=2)
        self._stages: list[nn.Layer] = []
        for stage, ((expansion, _, count, _), after) in enumerate(
            zip(_STAGES, channels, strict=True), start=2
        ):
            blocks: list[tuple[str, nn.Layer]] = []
            for index in range(count):
                stride, dilation = pairs.pop(0)
                block = _InvertedResidual(
                    before,
                    after,
                    expansion=expansion,
                    stride=stride,
                    dilation=dilation,
                    is_residual=index > 0,
                )
                name = "_first_block" if index == 0 else f"conv{stage}_{index + 1}"
                blocks.append((name, block))
                before = after
            self._stages.append(self.add_sublayer(f"conv{stage}", nn.Sequential(*blocks)))

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of strides 4, 8, 16 and 32."""
        x = self.conv1(images)  # (N, 32 * scale, H/2, W/2)
        features = []
        for index, stage in enumerate(self._stages):
            x = stage(x)
            if index in _FEATURES:
                features.append(x)
        return features


mobilenet_v2_x0_25 = partial(MobileNetV2, scale=0.25)
mobilenet_v2_x0_5 = partial(MobileNetV2, scale=0.5)
mobilenet_v2_x0_75 = partial(MobileNetV2, scale=0.75)
mobilenet_v2_x1_0 = partial(MobileNetV2, scale=1.0)
mobilenet_v2_x1_5 = partial(MobileNetV2, scale=1.5)
mobilenet_v2_x2_0 = partial(MobileNetV2, scale=2.0)
