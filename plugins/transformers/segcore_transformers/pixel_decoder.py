"""The pixel decoder of MaskFormer: a feature pyramid that gives every pixel an embedding.

Names of layers are those of the published weights. Against PaddleSeg, group norms start as the
identity; there they are drawn like kernels, which leaves their outputs small and of either sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddle import nn
from paddle.nn import functional

from segcore.nn.conv import same_padding
from segcore.nn.resize import resize, spatial_size

__all__ = ["PixelDecoder", "projection"]

_GROUPS = 32


def projection(in_channels: int, out_channels: int, kernel_size: int, *, bias: bool) -> nn.Conv2D:
    """Create a convolution that keeps the size and starts as linear ones should: variance 1 / fan.

    A bias starts at 0.
    """
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        padding=same_padding(kernel_size),
        weight_attr=nn.initializer.KaimingUniform(negative_slope=1.0, nonlinearity="leaky_relu"),
        bias_attr=nn.initializer.Constant(0.0) if bias else False,
    )


class _Conv(nn.Layer):
    """A convolution under the name `_conv`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self._conv = projection(in_channels, out_channels, kernel_size, bias=True)

    def forward(self, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self._conv(x)


class _ConvNorm(nn.Layer):
    """A convolution without a bias, then a group norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self._conv = projection(in_channels, out_channels, kernel_size, bias=False)
        self._norm = nn.GroupNorm(_GROUPS, out_channels)

    def forward(self, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self._norm(self._conv(x))


class PixelDecoder(nn.Layer):
    """Bring features, finest first, together at the resolution of the finest one."""

    def __init__(self, feature_channels: Sequence[int], channels: int, mask_channels: int) -> None:
        super().__init__()
        coarsest, *finer = reversed(feature_channels)
        # the coarsest feature has nothing to be added to; its place keeps the others' numbers
        self.lateral_convs = nn.LayerList(
            [nn.Identity(), *(_ConvNorm(width, channels, 1) for width in finer)]
        )
        self.output_convs = nn.LayerList(
            [_ConvNorm(coarsest, channels, 3), *(_ConvNorm(channels, channels, 3) for _ in finer)]
        )
        self.mask_features = _Conv(channels, mask_channels, 3)

    def forward(self, features: Sequence[Any]) -> Any:
        """Map features, finest first, to (N, mask_channels, H, W) in the size of the finest."""
        coarse = functional.relu(self.output_convs[0](features[-1]))
        for index in range(1, len(self.output_convs)):
            fine = self.lateral_convs[index](features[-1 - index])
            fine = fine + resize(coarse, spatial_size(fine), "nearest")
            coarse = functional.relu(self.output_convs[index](fine))
        return self.mask_features(coarse)
