"""PP-LiteSeg: a real-time encoder and decoder whose decoder narrows as resolution grows.

The backbone's last feature is pooled to a few sizes and summed up (SPPM, the context); then each
attention fusion module (UAFM) brings in a finer backbone feature, weighing it against the coarse
one pixel by pixel or channel by channel. Paper: Peng et al., "PP-LiteSeg: A Superior Real-Time
Semantic Segmentation Model", https://arxiv.org/abs/2204.02681

Names of layers are those of the published weights. Against PaddleSeg: the maximum over channels
has a faster gradient, and a resize to the size that a feature has already is left out; neither
changes a value. The depthwise backbone of the mobile variants is a choice of the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.build import build_backbone
from segcore.nn.conv import ConvBN, ConvBNAct, ConvBNReLU, SeparableConvBNReLU
from segcore.nn.reduce import channel_mean_and_max, pixel_mean, pixel_mean_and_max
from segcore.nn.resize import resize, spatial_size

__all__ = ["PPLiteSeg", "build_pp_liteseg"]


class UAFM(nn.Layer):
    """Fuse a fine feature with a coarse one, weighted by attention where a subclass defines it.

    `conv_x` brings the fine feature to the channels of the coarse one, which is resized to its
    size; `conv_out` mixes the sum.
    """

    def __init__(
        self,
        fine_channels: int,
        coarse_channels: int,
        out_channels: int,
        resize_mode: str = "bilinear",
        separable: bool = False,
    ) -> None:
        super().__init__()
        conv = SeparableConvBNReLU if separable else ConvBNReLU
        self.resize_mode = resize_mode
        self.conv_x = conv(fine_channels, coarse_channels, 3, bias=False)
        self.conv_out = conv(coarse_channels, out_channels, 3, bias=False)

    def forward(self, fine: Any, coarse: Any) -> Any:
        """Map (N, fine, H, W) and (N, coarse, H', W') to (N, out, H, W)."""
        fine = self.conv_x(fine)  # (N, coarse, H, W)
        coarse = resize(coarse, spatial_size(fine), self.resize_mode)
        return self.conv_out(self.mix(fine, coarse))

    def mix(self, fine: Any, coarse: Any) -> Any:
        """Combine two features of one shape."""
        return fine + coarse


class AttentionUAFM(UAFM):
    """Fuse with `attention` in 0..1 for the fine feature and the rest for the coarse one."""

    def mix(self, fine: Any, coarse: Any) -> Any:
        attention = functional.sigmoid(self.conv_xy_atten(self.statistics([fine, coarse])))
        return fine * attention + coarse * (1 - attention)

    def statistics(self, features: Sequence[Any]) -> Any:
        """Reduce the features to what attention is computed from."""
        raise NotImplementedError


class SpatialMeanUAFM(AttentionUAFM):
    """Weigh each pixel by the means over the channels (`UAFM_SpAtten_S`)."""

    statistics_per_feature = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_xy_atten = nn.Sequential(
            ConvBNReLU(2 * self.statistics_per_feature, 2, 3, bias=False),
            ConvBN(2, 1, 3, bias=False),
        )

    def statistics(self, features: Sequence[Any]) -> Any:
        """Give (N, 2, H, W)."""
        return paddle.concat([paddle.mean(x, axis=1, keepdim=True) for x in features], axis=1)


class SpatialUAFM(SpatialMeanUAFM):
    """Weigh each pixel by means and maxima over the channels (`UAFMMobile_SpAtten`)."""

    statistics_per_feature = 2

    def statistics(self, features: Sequence[Any]) -> Any:
        """Give (N, 4, H, W)."""
        return channel_mean_and_max(features)


class ScaledSpatialUAFM(SpatialUAFM):
    """As `SpatialUAFM`, with a constant 1 that published weights carry (`UAFM_SpAtten`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))
        self._scale.stop_gradient = True

    def mix(self, fine: Any, coarse: Any) -> Any:
        attention = functional.sigmoid(self.conv_xy_atten(self.statistics([fine, coarse])))
        return fine * attention + coarse * (self._scale - attention)


class ChannelMeanUAFM(AttentionUAFM):
    """Weigh each channel by the means over the pixels (`UAFM_ChAtten_S`)."""

    statistics_per_feature = 1

    def __init__(self, fine: int, coarse: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(fine, coarse, *args, **kwargs)
        inputs = 2 * self.statistics_per_feature * coarse
        self.conv_xy_atten = nn.Sequential(
            ConvBNAct(inputs, coarse // 2, 1, bias=False, activation=functional.leaky_relu),
            ConvBN(coarse // 2, coarse, 1, bias=False),
        )

    def statistics(self, features: Sequence[Any]) -> Any:
        """Give (N, 2C, 1, 1)."""
        return pixel_mean(features)


class ChannelUAFM(ChannelMeanUAFM):
    """Weigh each channel by means and maxima over the pixels (`UAFM_ChAtten`)."""

    statistics_per_feature = 2

    def statistics(self, features: Sequence[Any]) -> Any:
        """Give (N, 4C, 1, 1)."""
        return pixel_mean_and_max(features)


# the names of the reference, which users know; the mobile ones have separable convolutions
_FUSIONS: dict[str, tuple[type[UAFM], bool]] = {
    "UAFM": (UAFM, False),
    "UAFM_SpAtten": (ScaledSpatialUAFM, False),
    "UAFM_SpAtten_S": (SpatialMeanUAFM, False),
    "UAFM_ChAtten": (ChannelUAFM, False),
    "UAFM_ChAtten_S": (ChannelMeanUAFM, False),
    "UAFMMobile": (UAFM, True),
    "UAFMMobile_SpAtten": (SpatialUAFM, True),
}


class SimplePyramidPooling(nn.Layer):
    """Sum up the image at a few coarse sizes: the context of the whole scene (SPPM)."""

    def __init__(self, in_channels: int, out_channels: int, bin_sizes: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.LayerList(
            [
                nn.Sequential(nn.AdaptiveAvgPool2D(size), ConvBNReLU(in_channels, out_channels, 1))
                for size in bin_sizes
            ]
        )
        self.conv_out = ConvBNReLU(out_channels, out_channels, 3)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, out, H, W)."""
        size = spatial_size(x)
        pooled = [resize(stage(x), size) for stage in self.stages]
        return self.conv_out(sum(pooled[1:], pooled[0]))


class FlexibleLightweightDecoder(nn.Layer):
    """Fuse context and backbone features from coarse to fine."""

    def __init__(
        self,
        feature_channels: Sequence[int],
        out_channels: Sequence[int],
        *,
        bin_sizes: Sequence[int],
        context_channels: int,
        arm_type: str,
        resize_mode: str,
    ) -> None:
        super().__init__()
        fusion, separable = _FUSIONS[arm_type]
        self.cm = SimplePyramidPooling(feature_channels[-1], context_channels, bin_sizes)
        coarse_channels = [*out_channels[1:], context_channels]
        self.arm_list = nn.LayerList(
            [
                fusion(fine, coarse, out, resize_mode=resize_mode, separable=separable)
                for fine, coarse, out in zip(
                    feature_channels, coarse_channels, out_channels, strict=True
                )
            ]
        )

    def forward(self, features: Sequence[Any]) -> list[Any]:
        """Map features, finest first, to as many fused ones of the same sizes."""
        coarse = self.cm(features[-1])
        fused = []
        # without strict, which Paddle's tracing of zip does not know
        for feature, fuse in zip(reversed(features), reversed(list(self.arm_list))):  # noqa: B905
            coarse = fuse(feature, coarse)
            fused.append(coarse)
        return fused[::-1]


class SegmentationHead(nn.Layer):
    """Turn a fused feature into logits."""

    def __init__(self, in_channels: int, mid_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, mid_channels, 3, bias=False)
        self.conv_out = nn.Conv2D(mid_channels, num_classes, 1, bias_attr=False)

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to logits (N, num_classes, H, W)."""
        return self.conv_out(self.conv(x))


class PPLiteSeg(nn.Layer):
    """Segment images of any size of at least 1 x 1 pixel.

    `backbone_indices` chooses the features that are fused, finest first; the other lists have one
    number for each of them. `cm_bin_sizes` and `cm_out_ch` shape the context, `arm_out_chs` the
    fused features, `seg_head_inter_chs` the heads. `arm_type` is one of UAFM, UAFM_SpAtten,
    UAFM_SpAtten_S, UAFM_ChAtten, UAFM_ChAtten_S, UAFMMobile and UAFMMobile_SpAtten. Raises
    ConfigError for an index that the backbone does not have.
    """

    size_divisor = 1

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        backbone_indices: Sequence[int] = (2, 3, 4),
        arm_type: str = "UAFM_SpAtten",
        cm_bin_sizes: Sequence[int] = (1, 2, 4),
        cm_out_ch: int = 128,
        arm_out_chs: Sequence[int] = (64, 96, 128),
        seg_head_inter_chs: Sequence[int] = (64, 64, 64),
        resize_mode: str = "bilinear",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.backbone_indices = tuple(backbone_indices)
        self.ppseg_head = FlexibleLightweightDecoder(
            backbone.channels_at(backbone_indices),
            arm_out_chs,
            bin_sizes=cm_bin_sizes,
            context_channels=cm_out_ch,
            arm_type=arm_type,
            resize_mode=resize_mode,
        )
        self.seg_heads = nn.LayerList(
            [
                SegmentationHead(channels, mid_channels, num_classes)
                for channels, mid_channels in zip(arm_out_chs, seg_head_inter_chs, strict=True)
            ]
        )

    def forward(self, images: Any) -> list[Any]:
        """Give logits (N, num_classes, H, W) for images (N, in_channels, H, W).

        In eval mode the list holds one tensor. In training there is one for each fused feature,
        finest first, all in the size of the images, and each is to be supervised.
        """
        size = spatial_size(images)
        features = self.backbone(images)
        fused = self.ppseg_head([features[index] for index in self.backbone_indices])
        if not self.training:
            fused = fused[:1]
        logits = [head(x) for head, x in zip(self.seg_heads, fused)]  # noqa: B905 - eval uses one
        return [resize(x, size) for x in logits]


def build_pp_liteseg(
    num_classes: int, *, backbone: str, in_channels: int = 3, **options: Any
) -> PPLiteSeg:
    """Build PP-LiteSeg on the named backbone; `options` are the keywords of `PPLiteSeg`.

    Raises UnknownNameError when there is no such backbone, ConfigError when it has too few
    features.
    """
    return PPLiteSeg(num_classes, build_backbone(backbone, in_channels=in_channels), **options)
