"""OCRNet: describe each pixel by the objects that it resembles.

A first, coarse segmentation says softly where each class is; the pixels of a class, weighed by it,
are summed up to one vector, the class's object region. Each pixel then attends to the regions and
is classified by what it gets from them and by its own features. Paper: Yuan et al.,
"Object-Contextual Representations for Semantic Segmentation", https://arxiv.org/abs/1909.11065

Names of layers are those of PaddleSeg's weights. Against PaddleSeg: convolutions of the head start
from Paddle's default, not from a standard deviation of 0.001, and the attention is written without
transposed copies, which changes no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.errors import ConfigError
from segcore.nn.backbone import Backbone
from segcore.nn.build import build_backbone
from segcore.nn.conv import ConvBNReLU
from segcore.nn.resize import resize, spatial_size

__all__ = ["OCRNet", "build_ocrnet"]


def gather_regions(pixels: Any, scores: Any) -> Any:
    """Average the pixels of each class, weighed by the softmax of its scores over the image.

    Maps pixels (N, C, H, W) and scores (N, K, H, W) to regions (N, C, K, 1).
    """
    weights = functional.softmax(scores.flatten(2), axis=2)  # (N, K, HW)
    return paddle.matmul(pixels.flatten(2), weights, transpose_y=True).unsqueeze(-1)


class ObjectAttention(nn.Layer):
    """Let each pixel fetch from the object regions, by its resemblance to them."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key_channels = key_channels
        self.f_pixel = nn.Sequential(
            ConvBNReLU(channels, key_channels, 1), ConvBNReLU(key_channels, key_channels, 1)
        )
        self.f_object = nn.Sequential(
            ConvBNReLU(channels, key_channels, 1), ConvBNReLU(key_channels, key_channels, 1)
        )
        self.f_down = ConvBNReLU(channels, key_channels, 1)
        self.f_up = ConvBNReLU(key_channels, channels, 1)

    def forward(self, pixels: Any, regions: Any) -> Any:
        """Map pixels (N, C, H, W) and regions (N, C, K, 1) to contexts (N, C, H, W)."""
        query = self.f_pixel(pixels).flatten(2)  # (N, key, HW)
        key = self.f_object(regions).flatten(2)  # (N, key, K)
        value = self.f_down(regions).flatten(2)  # (N, key, K)
        resemblance = paddle.matmul(query, key, transpose_x=True) * self.key_channels**-0.5
        attention = functional.softmax(resemblance, axis=-1)  # (N, HW, K)
        context = paddle.matmul(value, attention, transpose_y=True)  # (N, key, HW)
        size = spatial_size(pixels)
        return self.f_up(context.reshape([0, self.key_channels, size[0], size[1]]))


class SpatialOCR(nn.Layer):
    """Mix the contexts of the pixels with the pixels."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.attention_block = ObjectAttention(channels, key_channels)
        self.conv1x1 = nn.Sequential(ConvBNReLU(2 * channels, channels, 1), nn.Dropout2D(0.1))

    def forward(self, pixels: Any, regions: Any) -> Any:
        """Map pixels (N, C, H, W) and regions (N, C, K, 1) to (N, C, H, W)."""
        context = self.attention_block(pixels, regions)
        return self.conv1x1(paddle.concat([context, pixels], axis=1))


class OCRHead(nn.Layer):
    """Segment coarsely, gather the object regions, and segment again with their help."""

    def __init__(
        self,
        shallow_channels: int,
        deep_channels: int,
        mid_channels: int,
        key_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.spatial_ocr = SpatialOCR(mid_channels, key_channels)
        self.conv3x3_ocr = ConvBNReLU(deep_channels, mid_channels, 3)
        self.cls_head = nn.Conv2D(mid_channels, num_classes, 1)
        self.aux_head = nn.Sequential(
            ConvBNReLU(shallow_channels, shallow_channels, 1),
            nn.Conv2D(shallow_channels, num_classes, 1),
        )

    def forward(self, shallow: Any, deep: Any) -> tuple[Any, Any]:
        """Map two features to final and coarse logits, each in the size of its feature."""
        coarse = self.aux_head(shallow)
        pixels = self.conv3x3_ocr(deep)
        regions = gather_regions(pixels, coarse)
        return self.cls_head(self.spatial_ocr(pixels, regions)), coarse


class OCRNet(nn.Layer):
    """Segment images of any size that the backbone takes; with HRNet, of at least 1 x 1 pixel.

    `backbone_indices` chooses the feature of the coarse segmentation and that of the final one,
    both of one size, or a single feature for both. `ocr_mid_channels` are those of the pixels and
    regions, `ocr_key_channels` those that they are compared in. Raises ConfigError for an index
    that the backbone does not have, or for features of two sizes.
    """

    size_divisor = 1

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        backbone_indices: Sequence[int] = (0,),
        ocr_mid_channels: int = 512,
        ocr_key_channels: int = 256,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.shallow_index, self.deep_index = backbone_indices[0], backbone_indices[-1]
        shallow, deep = backbone.channels_at([self.shallow_index, self.deep_index])
        strides = [backbone.feature_strides[index] for index in backbone_indices]
        if len(set(strides)) > 1:
            raise ConfigError(
                f"backbone_indices {list(backbone_indices)}: these features of "
                f"{type(backbone).__name__} have strides {strides}, but coarse and final "
                f"segmentation work in one size. Choose features of one stride, or one for both."
            )
        self.align_corners = align_corners
        self.backbone = backbone
        self.head = OCRHead(shallow, deep, ocr_mid_channels, ocr_key_channels, num_classes)

    def forward(self, images: Any) -> list[Any]:
        """Give logits (N, num_classes, H, W) for images (N, in_channels, H, W).

        In eval mode the list holds the final ones. In training the coarse ones follow, which are
        to be supervised as well.
        """
        size = spatial_size(images)
        features = self.backbone(images)
        final, coarse = self.head(features[self.shallow_index], features[self.deep_index])
        outputs = [final, coarse] if self.training else [final]
        return [resize(logits, size, align_corners=self.align_corners) for logits in outputs]


def build_ocrnet(
    num_classes: int, *, backbone: str, in_channels: int = 3, **options: Any
) -> OCRNet:
    """Build OCRNet on the named backbone; `options` are the keywords of `OCRNet`.

    Raises UnknownNameError when there is no such backbone, ConfigError when it has too few
    features.
    """
    return OCRNet(num_classes, build_backbone(backbone, in_channels=in_channels), **options)
