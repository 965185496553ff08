"""Convolution, batch norm, activation: the blocks that most networks are made of.

The sub-layers are called `_conv` and `_batch_norm`, and the pointwise half of a separable
convolution `piontwise_conv` (sic), because published weights carry these names.
"""

from __future__ import annotations

from typing import Any, Literal

from paddle import nn

__all__ = ["ConvBN", "ConvBNAct", "ConvBNReLU", "SeparableConvBNReLU", "same_padding"]


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Give the symmetric padding that keeps the size of an odd kernel at stride 1, in pixels.

    Paddle's own `padding="same"` pads asymmetrically at stride 2 and forces the dilation to 1.
    """
    return dilation * (kernel_size - 1) // 2


class ConvBN(nn.Layer):
    """Convolve, then normalise by batch.

    `padding` is in pixels; None keeps the size at stride 1, and "same" is Paddle's own rule, which
    at stride 2 pads even sizes on their far side only (and forgets the dilation). `bias` is the
    convolution's own, which the batch norm makes redundant but which some published weights have.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: int | Literal["same"] | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=same_padding(kernel_size, dilation) if padding is None else padding,
            dilation=dilation,
            groups=groups,
            bias_attr=None if bias else False,
        )
        self._batch_norm = nn.BatchNorm2D(out_channels)

    def forward(self, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        return self._batch_norm(self._conv(x))


class ConvBNAct(ConvBN):
    """Convolve, normalise, then apply `activation`, a function or a layer; see `ConvBN`."""

    def __init__(self, *args: Any, activation: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._act = activation

    def forward(self, x: Any) -> Any:
        # no super() in any forward: Paddle 2.6 cannot trace it
        return self._act(self._batch_norm(self._conv(x)))


class ConvBNReLU(ConvBN):
    """Convolve, normalise, rectify; see `ConvBN`."""

    def forward(self, x: Any) -> Any:
        return nn.functional.relu(self._batch_norm(self._conv(x)))


class SeparableConvBNReLU(nn.Layer):
    """Convolve each channel by itself, then mix the channels with a 1x1 convolution.

    `bias` is the depthwise convolution's, `pointwise_bias` the 1x1 convolution's.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        bias: bool = True,
        pointwise_bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvBN(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            bias=bias,
        )
        self.piontwise_conv = ConvBNReLU(in_channels, out_channels, 1, bias=pointwise_bias)

    def forward(self, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        return self.piontwise_conv(self.depthwise_conv(x))
