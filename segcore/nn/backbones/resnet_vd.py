"""ResNet, variant D: three small convolutions as a stem, and shortcuts that average before 1x1.

A strided 1x1 convolution looks at a quarter of its input; here an average over 2 x 2 pixels comes
first (in ceil mode, so that odd sizes keep their edge). For segmentation the last stages trade
strides for dilations. Paper: He et al., "Bag of Tricks for Image Classification with Convolutional
Neural Networks", CVPR 2019, https://arxiv.org/abs/1812.01187

Names of layers are those of PaddleSeg's weights: block B of stage S is `bb_S_B`. As there, all
blocks of a stage that lost its stride are dilated alike, the first one included.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.conv import ConvBN, ConvBNReLU

__all__ = [
    "ResNetVd",
    "resnet18_vd",
    "resnet34_vd",
    "resnet50_vd",
    "resnet101_vd",
    "resnet152_vd",
    "resnet200_vd",
]

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),
}
_WIDTHS = (64, 128, 256, 512)


class _Block(nn.Layer):
    """A residual block; subclasses set `convs`, what the shortcut is added to.

    The first block of a stage changes the channels, so that its shortcut needs a convolution.
    """

    expansion: int

    def __init__(
        self, in_channels: int, width: int, *, stride: int, dilation: int, is_first: bool
    ) -> None:
        super().__init__()
        self.pools = stride != 1
        self._add_convs(in_channels, width, stride, dilation)
        if is_first:
            self.short = ConvBN(in_channels, width * self.expansion, 1, bias=False)
        self.is_first = is_first

    def _add_convs(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        raise NotImplementedError

    def residual(self, x: Any) -> Any:
        """Compute what is added to the shortcut."""
        raise NotImplementedError

    def forward(self, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, width * expansion, H / stride, W / stride)."""
        shortcut = x
        if self.pools:
            shortcut = functional.avg_pool2d(shortcut, 2, stride=2, ceil_mode=True)
        if self.is_first:
            shortcut = self.short(shortcut)
        return functional.relu(shortcut + self.residual(x))


class _BasicBlock(_Block):
    """Two 3x3 convolutions."""

    expansion = 1

    def _add_convs(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        self.conv0 = ConvBNReLU(in_channels, width, 3, stride=stride, dilation=dilation, bias=False)
        self.conv1 = ConvBN(width, width, 3, dilation=dilation, bias=False)

    def residual(self, x: Any) -> Any:
        return self.conv1(self.conv0(x))


class _Bottleneck(_Block):
    """A 3x3 convolution between two of 1x1, with a quarter of the channels."""

    expansion = 4

    def _add_convs(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        self.conv0 = ConvBNReLU(in_channels, width, 1, bias=False)
        self.conv1 = ConvBNReLU(width, width, 3, stride=stride, dilation=dilation, bias=False)
        self.conv2 = ConvBN(width, width * self.expansion, 1, bias=False)

    def residual(self, x: Any) -> Any:
        return self.conv2(self.conv1(self.conv0(x)))


class ResNetVd(Backbone):
    """Four features of strides 4, 8, 16 and 32, the last ones limited to `output_stride`.

    `layers` is 18, 34, 50, 101, 152 or 200. `multi_grid` multiplies the dilation of the last
    stage's blocks.
    """

    def __init__(
        self,
        layers: int,
        *,
        in_channels: int = 3,
        output_stride: int = 8,
        multi_grid: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        block: type[_Block] = _Bottleneck if layers >= 50 else _BasicBlock
        self.in_channels = in_channels
        self.feature_channels = tuple(width * block.expansion for width in _WIDTHS)
        self.feature_strides = tuple(min(stride, output_stride) for stride in (4, 8, 16, 32))
        self.conv1_1 = ConvBNReLU(in_channels, 32, 3, stride=2, bias=False)
        self.conv1_2 = ConvBNReLU(32, 32, 3, bias=False)
        self.conv1_3 = ConvBNReLU(32, 64, 3, bias=False)
        self.pool2d_max = nn.MaxPool2D(kernel_size=3, stride=2, padding=1)
        before = 64
        self._stages: list[list[_Block]] = []
        for stage, (count, width) in enumerate(zip(_BLOCKS[layers], _WIDTHS, strict=True)):
            dilation = max(1, 4 * 2**stage // output_stride)
            stride = 1 if stage == 0 or dilation > 1 else 2
            blocks = []
            for index in range(count):
                layer = block(
                    before,
                    width,
                    stride=stride if index == 0 else 1,
                    dilation=dilation * (multi_grid[index] if stage == 3 else 1),
                    is_first=index == 0,
                )
                blocks.append(self.add_sublayer(f"bb_{stage}_{index}", layer))
                before = width * block.expansion
            self._stages.append(blocks)

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of the four stages."""
        x = self.conv1_3(self.conv1_2(self.conv1_1(images)))  # (N, 64, H/2, W/2)
        x = self.pool2d_max(x)  # (N, 64, H/4, W/4)
        features = []
        for blocks in self._stages:
            for block in blocks:
                x = block(x)
            features.append(x)
        return features


resnet18_vd = partial(ResNetVd, 18)
resnet34_vd = partial(ResNetVd, 34)
resnet50_vd = partial(ResNetVd, 50)
resnet101_vd = partial(ResNetVd, 101)
resnet152_vd = partial(ResNetVd, 152)
resnet200_vd = partial(ResNetVd, 200)
