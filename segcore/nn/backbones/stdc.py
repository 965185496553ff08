"""STDC: short-term dense concatenation, a backbone for real-time segmentation.

Each block halves its channels from convolution to convolution and concatenates what all of them
give, so that one block sees several scales at the price of one. Paper: Fan et al., "Rethinking
BiSeNet For Real-time Semantic Segmentation", CVPR 2021, https://arxiv.org/abs/2104.13188

Convolutions start from Paddle's default, which is Kaiming's normal distribution, as in the
authors' training code. PaddleSeg draws them with a standard deviation of 0.001, which leaves the
variance before the first batch norms below the norm's epsilon.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from segcore.nn.backbone import Backbone

__all__ = ["STDC", "stdc1", "stdc2"]


class _ConvBNReLU(nn.Layer):
    """As `segcore.nn.conv.ConvBNReLU`, under the names `conv` and `bn` that the weights have."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias_attr=False,
        )
        self.bn = nn.BatchNorm2D(out_channels)

    def forward(self, x: Any) -> Any:
        return nn.functional.relu(self.bn(self.conv(x)))


class _STDCBlock(nn.Layer):
    """Concatenate the outputs of a chain of convolutions, each with half the channels.

    The first is 1x1, the others are 3x3; the last two have the same width, so that all together
    give `out_channels`. At stride 2 a depthwise convolution halves the size after the first one.
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int, stride: int) -> None:
        super().__init__()
        widths = [out_channels // 2**k for k in range(1, convs)]
        widths.append(widths[-1])
        inputs = [in_channels, *widths[:-1]]
        self.stride = stride
        self.conv_list = nn.LayerList(
            [
                _ConvBNReLU(before, after, 1 if k == 0 else 3, stride=1)
                for k, (before, after) in enumerate(zip(inputs, widths, strict=True))
            ]
        )
        if stride == 2:
            half = widths[0]
            self.avd_layer = nn.Sequential(
                nn.Conv2D(half, half, 3, stride=2, padding=1, groups=half, bias_attr=False),
                nn.BatchNorm2D(half),
            )
            self.skip = nn.AvgPool2D(kernel_size=3, stride=2, padding=1)

    def forward(self, x: Any) -> Any:
        first, *rest = self.conv_list
        x = first(x)
        outputs = [x]
        if self.stride == 2:
            outputs = [self.skip(x)]
            x = self.avd_layer(x)
        for conv in rest:
            x = conv(x)
            outputs.append(x)
        return paddle.concat(outputs, axis=1)


class STDC(Backbone):
    """Five features of strides 2, 4, 8, 16 and 32.

    `blocks` counts the STDC blocks of strides 8, 16 and 32, `width` the channels of stride 4, and
    `convs` the convolutions of a block.
    """

    feature_strides = (2, 4, 8, 16, 32)

    def __init__(
        self,
        blocks: tuple[int, int, int],
        *,
        in_channels: int = 3,
        width: int = 64,
        convs: int = 4,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.feature_channels = (width // 2, width, width * 4, width * 8, width * 16)
        layers: list[Any] = [
            _ConvBNReLU(in_channels, width // 2, 3, stride=2),
            _ConvBNReLU(width // 2, width, 3, stride=2),
        ]
        self._ends = [0, 1]  # the layers whose outputs are the features
        before = width
        for count, after in zip(blocks, self.feature_channels[2:], strict=True):
            for index in range(count):
                layers.append(_STDCBlock(before, after, convs, stride=2 if index == 0 else 1))
                before = after
            self._ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of strides 2, 4, 8, 16 and 32."""
        features = []
        x = images
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._ends:
                features.append(x)
        return features


def stdc1(in_channels: int = 3) -> STDC:
    """Build STDC1, the smaller one: 2, 2 and 2 blocks."""
    return STDC((2, 2, 2), in_channels=in_channels)


def stdc2(in_channels: int = 3) -> STDC:
    """Build STDC2, the larger one: 4, 5 and 3 blocks."""
    return STDC((4, 5, 3), in_channels=in_channels)
