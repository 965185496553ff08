"""U-Net: an encoder that halves the resolution four times, and a decoder that brings it back.

At each step of the way up the feature of the same resolution from the way down is concatenated, so
that position survives. Paper: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical
Image Segmentation", https://arxiv.org/abs/1505.04597

Names of layers are those of the published weights. As in PaddleSeg, and other than in the paper,
convolutions pad (logits have the size of the image), batches are normalised, and the coarsest
feature has 512 channels. Other than PaddleSeg's, UNet-deconv takes sizes that are no multiples of
16: pooling leaves out the last row or column of an odd size, so the transposed convolution's last
one is repeated, which leaves all others in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.errors import DataError
from segcore.nn.conv import ConvBNReLU
from segcore.nn.resize import resize, spatial_size

__all__ = ["UNet", "build_unet_bilinear", "build_unet_deconv"]

ENCODER_CHANNELS = (64, 128, 256, 512, 512)
DECODER_CHANNELS = (256, 128, 64, 64)


def two_convs(in_channels: int, out_channels: int) -> list[nn.Layer]:
    """Give the two convolutions that stand at every resolution, down and up."""
    return [ConvBNReLU(in_channels, out_channels, 3), ConvBNReLU(out_channels, out_channels, 3)]


def extend(x: Any, size: Any) -> Any:
    """Repeat the last row and column of (N, C, H, W) where `size` (H, W) has one more."""
    if paddle.in_dynamic_mode() and list(x.shape[2:]) == list(size):
        return x
    # a graph for any size cannot ask which side lacks a pixel: it adds both and cuts
    return functional.pad(x, [0, 1, 0, 1], mode="replicate")[:, :, : size[0], : size[1]]


class Encoder(nn.Layer):
    """Halve the resolution four times."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(*two_convs(in_channels, ENCODER_CHANNELS[0]))
        self.down_sample_list = nn.LayerList(
            [
                nn.Sequential(nn.MaxPool2D(kernel_size=2, stride=2), *two_convs(fine, coarse))
                for fine, coarse in pairwise(ENCODER_CHANNELS)
            ]
        )

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in, H, W) to five features, finest first: H, H/2, H/4, H/8, H/16 rounded down."""
        features = [self.double_conv(images)]
        for down_sample in self.down_sample_list:
            features.append(down_sample(features[-1]))
        return features


class BilinearUpSampling(nn.Layer):
    """Resize a coarse feature to a fine one of as many channels, and fuse the two."""

    def __init__(self, channels: int, out_channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.double_conv = nn.Sequential(*two_convs(2 * channels, out_channels))

    def forward(self, coarse: Any, fine: Any) -> Any:
        """Map (N, channels, H/2, W/2) and (N, channels, H, W) to (N, out, H, W)."""
        x = resize(coarse, spatial_size(fine), align_corners=self.align_corners)
        return self.double_conv(paddle.concat([x, fine], axis=1))


class DeconvUpSampling(nn.Layer):
    """Double a coarse feature by a transposed convolution, and fuse it with a fine one."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.deconv = nn.Conv2DTranspose(channels, out_channels // 2, kernel_size=2, stride=2)
        self.double_conv = nn.Sequential(*two_convs(channels + out_channels // 2, out_channels))

    def forward(self, coarse: Any, fine: Any) -> Any:
        """Map (N, channels, H/2, W/2) and (N, channels, H, W) to (N, out, H, W)."""
        x = extend(self.deconv(coarse), spatial_size(fine))
        return self.double_conv(paddle.concat([x, fine], axis=1))


class Decoder(nn.Layer):
    """Go up one resolution with each of `steps`, which come coarsest first."""

    def __init__(self, steps: Sequence[nn.Layer]) -> None:
        super().__init__()
        self.up_sample_list = nn.LayerList(list(steps))

    def forward(self, features: Sequence[Any]) -> Any:
        """Map the encoder's features to one of the finest resolution."""
        x = features[-1]
        for index, up_sample in enumerate(self.up_sample_list):
            x = up_sample(x, features[-2 - index])
        return x


class UNet(nn.Layer):
    """Segment images of any size of at least 16 x 16 pixels; `steps` go up, coarsest first."""

    size_divisor = 1
    minimum_size = 16

    def __init__(self, num_classes: int, steps: Sequence[nn.Layer], *, in_channels: int) -> None:
        super().__init__()
        self.encode = Encoder(in_channels)
        self.decode = Decoder(steps)
        # two names for one layer, since the published weights have it twice
        self.cls = self.conv = nn.Conv2D(DECODER_CHANNELS[-1], num_classes, 3, padding=1)

    def forward(self, images: Any) -> list[Any]:
        """Give one tensor of logits (N, num_classes, H, W) for images (N, in_channels, H, W).

        Raises DataError for images that are too small to be halved four times.
        """
        self._check_size(images)
        return [self.cls(self.decode(self.encode(images)))]

    def _check_size(self, images: Any) -> None:
        if paddle.in_dynamic_mode() and min(images.shape[2:]) < self.minimum_size:
            height, width = images.shape[2:]
            raise DataError(
                f"images of {width} x {height} pixels are too small for U-Net, which halves them "
                f"four times: give it {self.minimum_size} x {self.minimum_size} or more, for "
                "example with predict.target_size, or in training with train.crop_size"
            )


def build_unet_bilinear(
    num_classes: int, *, in_channels: int = 3, align_corners: bool = False
) -> UNet:
    """Build U-Net with interpolation on the way up."""
    pairs = zip(reversed(ENCODER_CHANNELS[:-1]), DECODER_CHANNELS, strict=True)
    steps = [BilinearUpSampling(channels, out, align_corners) for channels, out in pairs]
    return UNet(num_classes, steps, in_channels=in_channels)


def build_unet_deconv(num_classes: int, *, in_channels: int = 3) -> UNet:
    """Build U-Net with transposed convolutions on the way up."""
    pairs = zip(reversed(ENCODER_CHANNELS[:-1]), DECODER_CHANNELS, strict=True)
    steps = [DeconvUpSampling(channels, out) for channels, out in pairs]
    return UNet(num_classes, steps, in_channels=in_channels)
