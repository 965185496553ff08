"""Xception as DeepLabv3+ uses it: separable convolutions throughout, deeper than the original.

Maximum poolings are strided separable convolutions, and each 3x3 depthwise convolution is
normalised. Papers: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions",
https://arxiv.org/abs/1610.02357; Chen et al., "Encoder-Decoder with Atrous Separable Convolution
for Semantic Image Segmentation", https://arxiv.org/abs/1802.02611

Names of layers are those of PaddleSeg's weights, hence the slashes. At output stride 16, for which
they were trained, Xception41 and 65 compute the same. PaddleSeg strides every block of the entry
flow whatever is asked for; here output stride 8 is 8 (by dilation, as in the second paper), and
the entry flow of Xception71 has strides 2, 1, 2, 1, 2 as its authors'.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.backbones.dilation import strides_and_dilations

__all__ = ["Xception", "xception41", "xception65", "xception71"]

# channels and strides of the blocks of the entry flow, and the blocks of the middle flow
_FLOWS = {
    41: ((128, 256, 728), (2, 2, 2), 8),
    65: ((128, 256, 728), (2, 2, 2), 16),
    71: ((128, 256, 256, 728, 728), (2, 1, 2, 1, 2), 16),
}


def _batch_norm(channels: int) -> nn.BatchNorm2D:
    return nn.BatchNorm2D(channels, momentum=0.99, epsilon=1e-3)


class _ConvBN(nn.Layer):
    """As `segcore.nn.conv.ConvBN`, with this network's batch norm and its name `_bn`."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
    ) -> None:
        super().__init__()
        self._conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias_attr=False,
        )
        self._bn = _batch_norm(out_channels)

    def forward(self, x: Any) -> Any:
        return self._bn(self._conv(x))


class _SeparableConv(nn.Layer):
    """A 3x3 depthwise and a 1x1 convolution, normalised each, and rectified if `rectifies`."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, dilation: int, rectifies: bool
    ) -> None:
        super().__init__()
        self._conv1 = nn.Conv2D(
            in_channels,
            in_channels,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=in_channels,
            bias_attr=False,
        )
        self._bn1 = _batch_norm(in_channels)
        self._conv2 = nn.Conv2D(in_channels, out_channels, 1, bias_attr=False)
        self._bn2 = _batch_norm(out_channels)
        self.rectifies = rectifies

    def forward(self, x: Any) -> Any:
        x = self._bn1(self._conv1(x))
        if self.rectifies:
            x = functional.relu(x)
        x = self._bn2(self._conv2(x))
        return functional.relu(x) if self.rectifies else x


class _Block(nn.Layer):
    """Three separable convolutions, the last one strided, and a shortcut.

    The shortcut is a 1x1 convolution where `projects`, the identity elsewhere.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, int, int],
        *,
        stride: int = 1,
        dilation: int = 1,
        projects: bool = True,
    ) -> None:
        super().__init__()
        channels = (in_channels, *widths)
        self._conv1, self._conv2, self._conv3 = (
            _SeparableConv(
                channels[index],
                channels[index + 1],
                stride=stride if index == 2 else 1,
                dilation=dilation,
                rectifies=False,
            )
            for index in range(3)
        )
        self.projects = projects
        if projects:
            self._short = _ConvBN(in_channels, widths[-1], 1, stride)

    def forward(self, x: Any) -> Any:
        y = self._conv1(functional.relu(x))
        y = self._conv2(functional.relu(y))
        y = self._conv3(functional.relu(y))
        return y + (self._short(x) if self.projects else x)


class _LastBlock(nn.Layer):
    """Three separable convolutions that rectify after themselves, without a shortcut."""

    def __init__(self, in_channels: int, widths: tuple[int, int, int], *, dilation: int) -> None:
        super().__init__()
        channels = (in_channels, *widths)
        self._conv1, self._conv2, self._conv3 = (
            _SeparableConv(
                channels[index], channels[index + 1], stride=1, dilation=dilation, rectifies=True
            )
            for index in range(3)
        )

    def forward(self, x: Any) -> Any:
        return self._conv3(self._conv2(self._conv1(x)))


class Xception(Backbone):
    """Two features: stride 4 with 128 channels, and `output_stride` with 2048.

    `layers` is 41, 65 or 71.
    """

    feature_channels = (128, 2048)

    def __init__(self, layers: int, *, in_channels: int = 3, output_stride: int = 16) -> None:
        super().__init__()
        widths, strides, middle_blocks = _FLOWS[layers]
        self.in_channels = in_channels
        self.feature_strides = (4, output_stride)
        # the stem, the entry flow, the middle flow, two blocks of the exit flow
        _, *pairs = strides_and_dilations([2, *strides, *[1] * middle_blocks, 2, 1], output_stride)
        self._conv1 = _ConvBN(in_channels, 32, 3, 2)
        self._conv2 = _ConvBN(32, 64, 3)
        self._flow: list[nn.Layer] = []
        before = 64
        for index, width in enumerate(widths):
            stride, dilation = pairs[index]
            block = _Block(before, (width,) * 3, stride=stride, dilation=dilation)
            self._append(f"xception_{layers}/entry_flow/block{index + 1}", block)
            before = width
        for index in range(middle_blocks):
            _, dilation = pairs[len(widths) + index]
            block = _Block(before, (before,) * 3, dilation=dilation, projects=False)
            self._append(f"xception_{layers}/middle_flow/block{index + 1}", block)
        stride, dilation = pairs[-2]
        exit_widths = (728, 1024, 1024)
        self._append("_exit_flow_1", _Block(before, exit_widths, stride=stride, dilation=dilation))
        self._append("_exit_flow_2", _LastBlock(1024, (1536, 1536, 2048), dilation=pairs[-1][1]))

    def _append(self, name: str, block: nn.Layer) -> None:
        self._flow.append(self.add_sublayer(name, block))

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of stride 4 and of the output stride."""
        x = functional.relu(self._conv1(images))
        x = functional.relu(self._conv2(x))  # (N, 64, H/2, W/2)
        fine = self._flow[0](x)  # (N, 128, H/4, W/4)
        x = fine
        for block in self._flow[1:]:
            x = block(x)
        return [fine, x]


xception41 = partial(Xception, 41)
xception65 = partial(Xception, 65)
xception71 = partial(Xception, 71)
