"""SeaFormer: a light head on a backbone of axial attention, for phones.

The fine feature of the backbone is weighed by its coarse ones, pixel by pixel and channel by
channel, from one to the next; a depthwise 1x1 convolution and the classes follow. Paper: Wan et
al., "SeaFormer: Squeeze-enhanced Axial Transformer for Mobile Semantic Segmentation", ICLR 2023,
https://arxiv.org/abs/2301.13156

Names of layers are those of the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.build import build_backbone
from segcore.nn.conv import ConvBN, ConvBNReLU
from segcore.nn.resize import resize, spatial_size

__all__ = ["SeaFormerSeg", "build_seaformer"]


class FusionBlock(nn.Layer):
    """Weigh the pixels and channels of a fine feature by a coarse one."""

    def __init__(self, fine_channels: int, coarse_channels: int, out_channels: int) -> None:
        super().__init__()
        self.local_embedding = ConvBN(fine_channels, out_channels, 1, bias=False)
        self.global_act = ConvBN(coarse_channels, out_channels, 1, bias=False)

    def forward(self, fine: Any, coarse: Any) -> Any:
        """Map (N, fine, H, W) and (N, coarse, H', W') to (N, out, H, W)."""
        weights = functional.hardsigmoid(self.global_act(coarse))  # 0 to 1
        return self.local_embedding(fine) * resize(weights, spatial_size(fine))


class SeaFormerSeg(nn.Layer):
    """Predict the classes of pixels from a fine feature of a backbone and coarser ones.

    `backbone_indices` chooses the features, the fine one first; `embed_dims` has the width after
    each of the others is fused in. With `is_dw` a convolution of each channel by itself ends the
    fusion. Raises ConfigError for a feature that the backbone lacks.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        backbone_indices: Sequence[int] = (0, 1, 2),
        embed_dims: Sequence[int] = (128, 160),
        is_dw: bool = True,
        dropout_ratio: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone_indices = tuple(backbone_indices)
        before, *coarse = backbone.channels_at(self.backbone_indices)
        self.backbone = backbone
        last = embed_dims[-1]
        self.linear_fuse = ConvBNReLU(last, last, 1, groups=last if is_dw else 1, bias=False)
        self.dropout = nn.Dropout2D(dropout_ratio)
        self.cls_seg = nn.Conv2D(last, num_classes, 1)
        for number, (channels, width) in enumerate(zip(coarse, embed_dims, strict=True), start=1):
            self.add_sublayer(f"fuse{number}", FusionBlock(before, channels, width))
            before = width

    def forward(self, images: Any) -> list[Any]:
        """Map images (N, in_channels, H, W) to a list of one tensor of logits (N, classes, H, W).

        The logits are resized from an eighth of the images.
        """
        features = self.backbone(images)
        x, *coarse = [features[index] for index in self.backbone_indices]
        for number, feature in enumerate(coarse, 1):  # Paddle traces no keyword
            x = getattr(self, f"fuse{number}")(x, feature)
        x = self.cls_seg(self.dropout(self.linear_fuse(x)))  # (N, classes, H/8, W/8)
        return [resize(x, spatial_size(images))]


def build_seaformer(
    num_classes: int, *, backbone: str, in_channels: int = 3, **options: Any
) -> SeaFormerSeg:
    """Build SeaFormer on the named backbone; `options` are the keywords of `SeaFormerSeg`.

    Raises UnknownNameError when there is no such backbone, ConfigError when it has too few
    features.
    """
    return SeaFormerSeg(num_classes, build_backbone(backbone, in_channels=in_channels), **options)
