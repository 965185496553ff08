"""SegFormer: a hierarchical transformer under a head of nothing but linear layers.

The features of all four stages are brought to one width pixel by pixel, to the finest resolution,
and fused by a 1x1 convolution; the wide view comes from the attention in the backbone alone.
Paper: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers", NeurIPS 2021, https://arxiv.org/abs/2105.15203

Names of layers are those of the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn

from segcore.nn.backbone import Backbone
from segcore.nn.build import build_backbone
from segcore.nn.conv import ConvBNReLU
from segcore.nn.resize import resize, spatial_size
from segcore_transformers.tokens import to_map, to_tokens

__all__ = ["SegFormer", "build_segformer"]


class PixelwiseLinear(nn.Layer):
    """Apply one linear layer to every pixel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, out_channels)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, out, H, W)."""
        return to_map(self.proj(to_tokens(x)), spatial_size(x))


class SegFormer(nn.Layer):
    """Predict the classes of pixels from four features of a backbone.

    `embedding_dim` is the width that all features are brought to; `backbone_indices` chooses the
    features, finest first. Raises ConfigError for a feature that the backbone lacks.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        embedding_dim: int = 256,
        backbone_indices: Sequence[int] = (0, 1, 2, 3),
    ) -> None:
        super().__init__()
        self.backbone_indices = tuple(backbone_indices)
        channels = backbone.channels_at(self.backbone_indices)
        self.backbone = backbone
        for number in range(len(channels), 0, -1):  # coarsest first, as in the published weights
            linear = PixelwiseLinear(channels[number - 1], embedding_dim)
            self.add_sublayer(f"linear_c{number}", linear)
        self.dropout = nn.Dropout2D(0.1)
        self.linear_fuse = ConvBNReLU(embedding_dim * len(channels), embedding_dim, 1, bias=False)
        self.linear_pred = nn.Conv2D(embedding_dim, num_classes, 1)

    def forward(self, images: Any) -> list[Any]:
        """Map images (N, in_channels, H, W) to a list of one tensor of logits (N, classes, H, W).

        Raises ImageError for images that are too small for the backbone.
        """
        features = self.backbone(images)
        chosen = [features[index] for index in self.backbone_indices]
        size = spatial_size(chosen[0])
        embedded = []
        for number in range(len(chosen), 0, -1):
            x = getattr(self, f"linear_c{number}")(chosen[number - 1])
            embedded.append(resize(x, size))
        x = self.linear_fuse(paddle.concat(embedded, axis=1))  # (N, embedding_dim, H/4, W/4)
        return [resize(self.linear_pred(self.dropout(x)), spatial_size(images))]


def build_segformer(
    num_classes: int,
    *,
    backbone: str,
    in_channels: int = 3,
    embedding_dim: int = 256,
    backbone_indices: Sequence[int] = (0, 1, 2, 3),
) -> SegFormer:
    """Build SegFormer on the named backbone.

    Raises UnknownNameError when there is no such backbone, ConfigError when it has too few
    features.
    """
    return SegFormer(
        num_classes,
        build_backbone(backbone, in_channels=in_channels),
        embedding_dim=embedding_dim,
        backbone_indices=backbone_indices,
    )
