"""ResNet for detection: features of strides 4, 8, 16 and 32, as PaddleDetection lays it out.

Variant B strides in the 3x3 convolution of a block; variant D has three small convolutions as a
stem and averages before the 1x1 convolution of a shortcut. Papers: He et al., "Deep Residual
Learning for Image Recognition", https://arxiv.org/abs/1512.03385, and "Bag of Tricks for Image
Classification with Convolutional Neural Networks", https://arxiv.org/abs/1812.01187. In the last
three stages the 3x3 convolutions may be deformable (Zhu et al., "Deformable ConvNets v2",
https://arxiv.org/abs/1811.11168).

Names of layers are those of PaddleDetection's weights, so that both variants fit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional
from paddle.vision import ops

from segcore.nn.backbone import Backbone

__all__ = ["DetectionResNet", "LastStage"]

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_WIDTHS = (64, 128, 256, 512)
_STRIDES = (4, 8, 16, 32)
_MANY_BLOCKS = 10  # from here on the blocks of stage 4 have numbers, not letters


class _ConvNorm(nn.Layer):
    """Convolve without bias, normalise and, with `relu`, rectify; perhaps deformable."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        relu: bool = True,
        is_deformable: bool = False,
    ) -> None:
        super().__init__()
        self.relu = relu
        self.is_deformable = is_deformable
        self.points = kernel_size**2
        shape = {"stride": stride, "padding": kernel_size // 2}
        conv = nn.Conv2D
        if is_deformable:
            nothing = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))
            self.conv_offset = nn.Conv2D(
                in_channels,
                3 * self.points,
                kernel_size,
                weight_attr=nothing,
                bias_attr=nothing,
                **shape,
            )
            conv = ops.DeformConv2D
        self.conv = conv(in_channels, out_channels, kernel_size, bias_attr=False, **shape)
        self.norm = nn.BatchNorm2D(out_channels)

    def forward(self, x: Any) -> Any:
        if self.is_deformable:
            where = self.conv_offset(x)
            offset, weight = where[:, : 2 * self.points], where[:, 2 * self.points :]
            x = self.norm(self.conv(x, offset, functional.sigmoid(weight)))
        else:
            x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x


def _shortcut(in_channels: int, out_channels: int, stride: int, variant: str) -> nn.Layer:
    if variant == "d" and stride == 2:
        return nn.Sequential(
            ("pool", nn.AvgPool2D(2, stride=2, ceil_mode=True)),
            ("conv", _ConvNorm(in_channels, out_channels, 1, relu=False)),
        )
    return _ConvNorm(in_channels, out_channels, 1, stride=stride, relu=False)


class _Basic(nn.Layer):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, variant: str, *, first: bool, dcn: bool
    ) -> None:
        super().__init__()
        self.short = _shortcut(in_channels, width, stride, variant) if first else None
        self.branch2a = _ConvNorm(in_channels, width, 3, stride=stride)
        self.branch2b = _ConvNorm(width, width, 3, relu=False, is_deformable=dcn)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = x if self.short is None else self.short(x)
        return functional.relu(self.branch2b(self.branch2a(x)) + shortcut)


class _Bottleneck(nn.Layer):
    """A 3x3 convolution between two of 1x1, beside a shortcut."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, variant: str, *, first: bool, dcn: bool
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.branch2a = _ConvNorm(in_channels, width, 1)
        self.branch2b = _ConvNorm(width, width, 3, stride=stride, is_deformable=dcn)
        self.branch2c = _ConvNorm(width, out_channels, 1, relu=False)
        self.short = _shortcut(in_channels, out_channels, stride, variant) if first else None

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.short is None else self.short(x)
        return functional.relu(self.branch2c(self.branch2b(self.branch2a(x))) + shortcut)


def _stage(
    number: int, in_channels: int, layers: int, blocks: int, variant: str, *, dcn: bool = False
) -> nn.Sequential:
    """Build stage 2, 3, 4 or 5, of which all but the first halve the size."""
    kind: type[_Basic | _Bottleneck] = _Bottleneck if layers >= 50 else _Basic
    width = _WIDTHS[number - 2]
    named = []
    for index in range(blocks):
        stride = 2 if index == 0 and number > 2 else 1
        block = kind(in_channels, width, stride, variant, first=index == 0, dcn=dcn)
        in_channels = width * kind.expansion
        named.append((f"res{number}{_block_name(number, blocks, index)}", block))
    return nn.Sequential(*named)


def _block_name(number: int, blocks: int, index: int) -> str:
    if number == 4 and blocks > _MANY_BLOCKS and index > 0:
        return f"b{index}"
    return "abcdef"[index]


class DetectionResNet(Backbone):
    """Features of the first `stages` stages, or with `last_only` of the last of these.

    `layers` is 18, 34, 50 or 101, `variant` "b" or "d". The stages in `deformable_stages` (of 2 to
    5) have deformable 3x3 convolutions.
    """

    def __init__(
        self,
        layers: int,
        *,
        variant: str = "b",
        in_channels: int = 3,
        stages: int = 4,
        last_only: bool = False,
        deformable_stages: Sequence[int] = (),
    ) -> None:
        super().__init__()
        expansion = (_Bottleneck if layers >= 50 else _Basic).expansion
        channels = [width * expansion for width in _WIDTHS[:stages]]
        self.in_channels = in_channels
        self.first_returned = stages - 1 if last_only else 0
        self.feature_channels = tuple(channels[self.first_returned :])
        self.feature_strides = _STRIDES[self.first_returned : stages]
        self.conv1 = _stem(in_channels, variant)
        before = 64
        self._stages: list[nn.Layer] = []
        for index, blocks in enumerate(_BLOCKS[layers][:stages]):
            number = index + 2
            dcn = number in deformable_stages
            stage = _stage(number, before, layers, blocks, variant, dcn=dcn)
            self._stages.append(self.add_sublayer(f"res{number}", stage))
            before = channels[index]

    def parts(self) -> list[nn.Layer]:
        """List the stem and the stages, for whoever wants to keep some of them from learning."""
        return [self.conv1, *self._stages]

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of the stages."""
        x = functional.max_pool2d(self.conv1(images), 3, stride=2, padding=1)  # (N, 64, H/4, W/4)
        features = []
        for stage in self._stages:
            x = stage(x)
            features.append(x)
        return features[self.first_returned :]


def _stem(in_channels: int, variant: str) -> nn.Sequential:
    if variant == "d":
        return nn.Sequential(
            ("conv1_1", _ConvNorm(in_channels, 32, 3, stride=2)),
            ("conv1_2", _ConvNorm(32, 32, 3)),
            ("conv1_3", _ConvNorm(32, 64, 3)),
        )
    return nn.Sequential(("conv1", _ConvNorm(in_channels, 64, 7, stride=2)))


class LastStage(nn.Layer):
    """Stage 5 of a ResNet, run on what is within boxes: a head for networks without pyramid.

    It has three blocks for every depth, as in PaddleDetection, and variant B's shortcut.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        expansion = (_Bottleneck if layers >= 50 else _Basic).expansion
        self.out_channels = _WIDTHS[3] * expansion
        self.res5 = _stage(5, _WIDTHS[2] * expansion, layers, 3, "b")

    def forward(self, x: Any) -> Any:
        """Map (M, C, H, W) to (M, out_channels, H / 2, W / 2)."""
        return self.res5(x)
