"""HRNet-FCN: two 1x1 convolutions on the high-resolution features of HRNet.

Nothing else is needed, because the backbone has brought the context of all scales to the finest
one. Papers: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition",
https://arxiv.org/abs/1908.07919; Long et al., "Fully Convolutional Networks for Semantic
Segmentation", https://arxiv.org/abs/1411.4038

Names of layers are those of PaddleSeg's weights. Against PaddleSeg: convolutions of the head start
from Paddle's default, not from a standard deviation of 0.001.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddle import nn

from segcore.nn.backbone import Backbone
from segcore.nn.build import build_backbone
from segcore.nn.conv import ConvBNReLU
from segcore.nn.resize import resize, spatial_size

__all__ = ["FCN", "build_fcn"]


class FCNHead(nn.Layer):
    """Mix the channels of a feature, then turn them into logits."""

    def __init__(self, in_channels: int, mid_channels: int, num_classes: int, bias: bool) -> None:
        super().__init__()
        self.conv_1 = ConvBNReLU(in_channels, mid_channels, 1, bias=bias)
        self.cls = nn.Conv2D(mid_channels, num_classes, 1, bias_attr=None if bias else False)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to logits (N, num_classes, H, W)."""
        return self.cls(self.conv_1(x))


class FCN(nn.Layer):
    """Segment images of any size that the backbone takes; with HRNet, of at least 1 x 1 pixel.

    `backbone_indices` chooses the one feature that is used; -1 is the last. `channels` are those
    within the head, None for as many as the feature has. `bias` is that of the head's convolutions.
    Raises ConfigError for an index that the backbone does not have.
    """

    size_divisor = 1

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        backbone_indices: Sequence[int] = (-1,),
        channels: int | None = None,
        bias: bool = True,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        (self.backbone_index,) = backbone_indices
        (in_channels,) = backbone.channels_at(backbone_indices)
        self.align_corners = align_corners
        self.backbone = backbone
        mid_channels = in_channels if channels is None else channels
        self.head = FCNHead(in_channels, mid_channels, num_classes, bias)

    def forward(self, images: Any) -> list[Any]:
        """Give one tensor of logits (N, num_classes, H, W) for images (N, in_channels, H, W)."""
        logits = self.head(self.backbone(images)[self.backbone_index])
        return [resize(logits, spatial_size(images), align_corners=self.align_corners)]


def build_fcn(num_classes: int, *, backbone: str, in_channels: int = 3, **options: Any) -> FCN:
    """Build an FCN on the named backbone; `options` are the keywords of `FCN`.

    Raises UnknownNameError when there is no such backbone, ConfigError when it has too few
    features.
    """
    return FCN(num_classes, build_backbone(backbone, in_channels=in_channels), **options)
