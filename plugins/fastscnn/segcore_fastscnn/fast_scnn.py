"""Fast-SCNN: one stem for two paths, the detail as it is and the context far below it.

Three strided convolutions learn to downsample (stride 8). Inverted residuals and pyramid pooling
extract the context of the whole scene from that (stride 32), which is then fused with the detail.
Paper: Poudel et al., "Fast-SCNN: Fast Semantic Segmentation Network",
https://arxiv.org/abs/1902.04502

Names of layers are those of the published weights. Against PaddleSeg: the auxiliary branch on the
detail runs in training only, which changes no prediction; it may be left out, or joined by a second
one on the context as in PaddleX 1.x, whose `multi_loss_weight` this is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.conv import ConvBN, ConvBNReLU, SeparableConvBNReLU
from segcore.nn.resize import resize, spatial_size

__all__ = ["FastSCNN"]

DETAIL_CHANNELS = 64
CONTEXT_CHANNELS = 128
AUXILIARY_CHANNELS = 32


class InvertedBottleneck(nn.Layer):
    """Widen, filter each channel by itself, narrow; add the input where the shape stays."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, expansion: int = 6
    ) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.block = nn.Sequential(
            ConvBNReLU(in_channels, wide, 1, bias=False),
            ConvBNReLU(wide, wide, 3, stride=stride, groups=wide, bias=False),
            ConvBN(wide, out_channels, 1, bias=False),
        )

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        y = self.block(x)
        return x + y if self.has_shortcut else y


def bottlenecks(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Stack three bottlenecks, the first of which strides."""
    return nn.Sequential(
        InvertedBottleneck(in_channels, out_channels, stride=stride),
        InvertedBottleneck(out_channels, out_channels, stride=1),
        InvertedBottleneck(out_channels, out_channels, stride=1),
    )


class LearningToDownsample(nn.Layer):
    """The stem: detail at an eighth of the resolution."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        # only this one pads by Paddle's rule, which shifts even sizes by half a pixel
        self.conv_bn_relu = ConvBNReLU(in_channels, 32, 3, stride=2, padding="same")
        self.dsconv_bn_relu1 = SeparableConvBNReLU(32, 48, 3, stride=2)
        self.dsconv_bn_relu2 = SeparableConvBNReLU(48, DETAIL_CHANNELS, 3, stride=2)

    def forward(self, images: Any) -> Any:
        """Map (N, in, H, W) to (N, 64, H/8, W/8), rounded up."""
        return self.dsconv_bn_relu2(self.dsconv_bn_relu1(self.conv_bn_relu(images)))


class PyramidPooling(nn.Layer):
    """Concatenate a feature with coarse views of it, coarsest last, and mix them (PSPNet)."""

    def __init__(
        self, in_channels: int, out_channels: int, bin_sizes: Sequence[int] = (1, 2, 3, 6)
    ) -> None:
        super().__init__()
        view = in_channels // len(bin_sizes)
        self.stages = nn.LayerList(
            [
                nn.Sequential(nn.AdaptiveAvgPool2D(size), ConvBNReLU(in_channels, view, 1))
                for size in bin_sizes
            ]
        )
        self.conv_bn_relu2 = ConvBNReLU(in_channels + view * len(bin_sizes), out_channels, 3)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, out, H, W)."""
        size = spatial_size(x)
        # the published network aligns the corners here, and nowhere else
        views = [resize(stage(x), size, align_corners=True) for stage in self.stages]
        return self.conv_bn_relu2(paddle.concat([x, *views[::-1]], axis=1))


class GlobalFeatureExtractor(nn.Layer):
    """The context of the whole scene, four times coarser than the detail."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck1 = bottlenecks(DETAIL_CHANNELS, 64, stride=2)
        self.bottleneck2 = bottlenecks(64, 96, stride=2)
        self.bottleneck3 = bottlenecks(96, 128, stride=1)
        self.ppm = PyramidPooling(128, CONTEXT_CHANNELS)

    def forward(self, detail: Any) -> Any:
        """Map (N, 64, H/8, W/8) to (N, 128, H/32, W/32), rounded up."""
        return self.ppm(self.bottleneck3(self.bottleneck2(self.bottleneck1(detail))))


class FeatureFusion(nn.Layer):
    """Add the context to the detail, at the detail's resolution."""

    def __init__(self, out_channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.dwconv = ConvBNReLU(
            CONTEXT_CHANNELS, CONTEXT_CHANNELS, 3, groups=CONTEXT_CHANNELS, bias=False
        )
        self.conv_low_res = ConvBN(CONTEXT_CHANNELS, out_channels, 1)
        self.conv_high_res = ConvBN(DETAIL_CHANNELS, out_channels, 1)

    def forward(self, detail: Any, context: Any) -> Any:
        """Map (N, 64, H/8, W/8) and (N, 128, H/32, W/32) to (N, out, H/8, W/8)."""
        context = resize(context, spatial_size(detail), align_corners=self.align_corners)
        context = self.conv_low_res(self.dwconv(context))
        return functional.relu(self.conv_high_res(detail) + context)


class Classifier(nn.Layer):
    """Turn the fused feature into logits."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.dsconv1 = SeparableConvBNReLU(channels, channels, 3)
        self.dsconv2 = SeparableConvBNReLU(channels, channels, 3)
        self.conv = nn.Conv2D(channels, num_classes, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Any) -> Any:
        """Map (N, channels, H, W) to logits (N, num_classes, H, W)."""
        return self.conv(self.dropout(self.dsconv2(self.dsconv1(x))))


class AuxiliaryHead(nn.Layer):
    """Turn the feature of one path into logits, so that a loss can reach it directly."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv_bn_relu = ConvBNReLU(in_channels, AUXILIARY_CHANNELS, 3)
        self.dropout = nn.Dropout(0.1)
        self.conv = nn.Conv2D(AUXILIARY_CHANNELS, num_classes, 1)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to logits (N, num_classes, H, W)."""
        return self.conv(self.dropout(self.conv_bn_relu(x)))


class FastSCNN(nn.Layer):
    """Segment images of any size of at least 1 x 1 pixel.

    `multi_loss_weight` has a factor for the loss of each branch that is to be trained: the fused
    feature, from which predictions come, then the detail, then the context. It is passed on as
    `output_weights`. The branches beside the first are `optional_layers`: weights of a network with
    other ones fit as well.
    """

    size_divisor = 1
    optional_layers = ("auxlayer", "auxlayer_lower")

    def __init__(
        self,
        num_classes: int,
        *,
        in_channels: int = 3,
        multi_loss_weight: Sequence[float] = (1.0, 0.4),
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.output_weights = tuple(multi_loss_weight)
        self.learning_to_downsample = LearningToDownsample(in_channels)
        self.global_feature_extractor = GlobalFeatureExtractor()
        self.feature_fusion = FeatureFusion(128, align_corners)
        self.classifier = Classifier(128, num_classes)
        if len(self.output_weights) > 1:
            self.auxlayer = AuxiliaryHead(DETAIL_CHANNELS, num_classes)
        if len(self.output_weights) > 2:
            self.auxlayer_lower = AuxiliaryHead(CONTEXT_CHANNELS, num_classes)

    def forward(self, images: Any) -> list[Any]:
        """Give logits (N, num_classes, H, W) for images (N, in_channels, H, W).

        In eval mode the list holds one tensor. In training there is one for each branch, in the
        order of `multi_loss_weight`, all in the size of the images.
        """
        detail = self.learning_to_downsample(images)  # (N, 64, H/8, W/8)
        context = self.global_feature_extractor(detail)  # (N, 128, H/32, W/32)
        logits = [self.classifier(self.feature_fusion(detail, context))]
        if self.training:
            logits += self._auxiliary_logits(detail, context)
        size = spatial_size(images)
        return [resize(x, size, align_corners=self.align_corners) for x in logits]

    def _auxiliary_logits(self, detail: Any, context: Any) -> list[Any]:
        logits = []
        if len(self.output_weights) > 1:
            logits.append(self.auxlayer(detail))
        if len(self.output_weights) > 2:
            logits.append(self.auxlayer_lower(context))
        return logits
