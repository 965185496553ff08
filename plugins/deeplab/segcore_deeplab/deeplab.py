"""DeepLabv3 and DeepLabv3+: look at one coarse feature through windows of several widths.

The encoder (ASPP) runs convolutions of several dilations, and a global mean, beside each other
over the backbone's last feature. DeepLabv3 classifies what comes out; DeepLabv3+ first brings it to
the size of a feature of stride 4, whose edges are sharper, and mixes both. Papers: Chen et al.,
"Rethinking Atrous Convolution for Semantic Image Segmentation", https://arxiv.org/abs/1706.05587,
and "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
https://arxiv.org/abs/1802.02611

Names of layers are those of PaddleSeg's weights. Encoder and decoder may each be left out, and be
made of plain or separable convolutions; with the defaults of the models published weights fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.build import backbone_option_names, build_backbone
from segcore.nn.conv import ConvBNReLU, SeparableConvBNReLU
from segcore.nn.resize import resize, spatial_size

__all__ = ["DeepLab", "build_deeplab"]


class WindowMean(nn.Layer):
    """Average over windows of `size` (H, W) pixels, or over all pixels where there are fewer.

    Images of the size that the network was trained on then have the same mean in training as
    within a larger image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Any) -> Any:
        """Map (N, C, H, W) to (N, C, max(H - size + 1, 1), max(W - size + 1, 1))."""
        # each axis by itself; windows begin at every pixel, and those that end outside are cut off
        for axis, length in zip((2, 3), self.size):  # noqa: B905 - Paddle cannot trace strict
            kernel = (length, 1) if axis == 2 else (1, length)
            padding = [0, length - 1, 0, 0] if axis == 2 else [0, 0, 0, length - 1]
            count = paddle.clip(paddle.shape(x)[axis] - length + 1, min=1)
            x = functional.avg_pool2d(x, kernel, stride=1, padding=padding, exclusive=True)
            x = paddle.slice(x, [axis], [0], [count])
        return x


class ASPP(nn.Layer):
    """Atrous spatial pyramid pooling: a convolution for each of `ratios`, and a mean of all pixels.

    Ratio 1 is a 1x1 convolution, any other the dilation of a 3x3 one, separable where asked for.
    `pooling_size` is that of the windows of the mean, (H, W) in pixels of the feature.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ratios: Sequence[int],
        *,
        separable: bool,
        pooling_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        dilated = SeparableConvBNReLU if separable else ConvBNReLU
        self.aspp_blocks = nn.LayerList(
            [
                ConvBNReLU(in_channels, out_channels, 1)
                if ratio == 1
                else dilated(in_channels, out_channels, 3, dilation=ratio)
                for ratio in ratios
            ]
        )
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2D(1) if pooling_size is None else WindowMean(pooling_size),
            ConvBNReLU(in_channels, out_channels, 1, bias=False),
        )
        self.conv_bn_relu = ConvBNReLU(out_channels * (len(ratios) + 1), out_channels, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        branches = [block(x) for block in self.aspp_blocks]
        branches.append(resize(self.global_avg_pool(x), spatial_size(x)))
        return self.dropout(self.conv_bn_relu(paddle.concat(branches, axis=1)))


class Decoder(nn.Layer):
    """Mix a coarse feature with a fine one, and classify."""

    fine_width = 48
    width = 256

    def __init__(
        self, num_classes: int, fine_channels: int, coarse_channels: int, *, separable: bool
    ) -> None:
        super().__init__()
        conv = SeparableConvBNReLU if separable else ConvBNReLU
        self.conv_bn_relu1 = ConvBNReLU(fine_channels, self.fine_width, 1)
        self.conv_bn_relu2 = conv(coarse_channels + self.fine_width, self.width, 3)
        self.conv_bn_relu3 = conv(self.width, self.width, 3)
        self.conv = nn.Conv2D(self.width, num_classes, 1)

    def forward(self, fine: Any, coarse: Any) -> Any:
        """Map (N, fine, H, W) and (N, coarse, H', W') to logits (N, num_classes, H, W)."""
        fine = self.conv_bn_relu1(fine)  # (N, 48, H, W)
        coarse = resize(coarse, spatial_size(fine))
        x = paddle.concat([coarse, fine], axis=1)
        return self.conv(self.conv_bn_relu3(self.conv_bn_relu2(x)))


class DeepLabHead(nn.Layer):
    """Encode a coarse feature where there is `aspp`, then decode it with a finer one or classify.

    `last` gives the logits: a `Decoder`, or a convolution.
    """

    def __init__(self, aspp: ASPP | None, last: Decoder | nn.Conv2D) -> None:
        super().__init__()
        self.aspp = aspp
        self.decodes = isinstance(last, Decoder)
        if self.decodes:
            self.decoder = last
        else:
            self.cls = last

    def forward(self, fine: Any, coarse: Any) -> Any:
        """Give logits in the size of `fine` with a decoder, of `coarse` without."""
        if self.aspp is not None:
            coarse = self.aspp(coarse)
        return self.decoder(fine, coarse) if self.decodes else self.cls(coarse)


class DeepLab(nn.Layer):
    """Segment images of any size of at least 1 x 1 pixel.

    `backbone_indices` are those of a fine and a coarse feature; by default the first one of
    stride 4 or more, and the last one. `aspp_ratios` default to 1, 12, 24, 36 for a coarse feature
    of stride 8 or less, else to half of it. `pooling_crop_size` is in pixels of the image (W, H).
    Raises ConfigError for an index that the backbone does not have.
    """

    size_divisor = 1

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        backbone_indices: Sequence[int] | None = None,
        aspp_ratios: Sequence[int] | None = None,
        aspp_out_channels: int = 256,
        aspp_with_sep_conv: bool = True,
        decoder_use_sep_conv: bool = True,
        encoder_with_aspp: bool = True,
        enable_decoder: bool = True,
        pooling_crop_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        indices = _default_indices(backbone) if backbone_indices is None else backbone_indices
        self.fine_index, self.coarse_index = indices[0], indices[-1]
        fine_channels, channels = backbone.channels_at([self.fine_index, self.coarse_index])
        stride = backbone.feature_strides[self.coarse_index]
        self.backbone = backbone
        aspp = None
        if encoder_with_aspp:
            aspp = ASPP(
                channels,
                aspp_out_channels,
                _default_ratios(stride) if aspp_ratios is None else aspp_ratios,
                separable=aspp_with_sep_conv,
                pooling_size=_feature_size(pooling_crop_size, stride),
            )
            channels = aspp_out_channels
        last: Decoder | nn.Conv2D
        if enable_decoder:
            last = Decoder(num_classes, fine_channels, channels, separable=decoder_use_sep_conv)
        else:
            last = nn.Conv2D(channels, num_classes, 1)
        self.head = DeepLabHead(aspp, last)

    def forward(self, images: Any) -> list[Any]:
        """Give [logits (N, num_classes, H, W)] for images (N, in_channels, H, W)."""
        features = self.backbone(images)
        logits = self.head(features[self.fine_index], features[self.coarse_index])
        return [resize(logits, spatial_size(images))]


def _default_indices(backbone: Backbone) -> tuple[int, int]:
    strides = backbone.feature_strides
    fine = next((index for index, stride in enumerate(strides) if stride >= 4), 0)
    return fine, len(strides) - 1


def _default_ratios(stride: int) -> tuple[int, ...]:
    # the same pixels of the image are looked at: see section 4.1 of the DeepLabv3 paper
    return (1, 12, 24, 36) if stride <= 8 else (1, 6, 12, 18)


def _feature_size(crop_size: Sequence[int] | None, stride: int) -> tuple[int, int] | None:
    if crop_size is None:
        return None
    width, height = crop_size
    return -(-height // stride), -(-width // stride)


def build_deeplab(
    num_classes: int,
    *,
    backbone: str,
    in_channels: int = 3,
    output_stride: int | None = None,
    multi_grid: Sequence[int] | None = None,
    **options: Any,
) -> DeepLab:
    """Build DeepLab on the named backbone; `options` are the keywords of `DeepLab`.

    `multi_grid` defaults to 1, 2, 4 where the backbone has that option, `output_stride` to the
    backbone's own. Raises UnknownNameError when there is no such backbone, ConfigError when it
    does not have an option or a feature that is asked for.
    """
    known = backbone_option_names(backbone)
    chosen: dict[str, Any] = {}
    # a stranger's backbone may leave the option out; it then takes three channels
    if in_channels != 3 or "in_channels" in known:
        chosen["in_channels"] = in_channels
    if output_stride is not None:
        chosen["output_stride"] = output_stride
    if multi_grid is not None:
        chosen["multi_grid"] = multi_grid
    elif "multi_grid" in known:
        chosen["multi_grid"] = (1, 2, 4)
    return DeepLab(num_classes, build_backbone(backbone, **chosen), **options)
