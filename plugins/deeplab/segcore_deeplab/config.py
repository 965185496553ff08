"""The options of the DeepLab models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "DeepLabMobileNetV2x0p5Options",
    "DeepLabMobileNetV2x0p25Options",
    "DeepLabMobileNetV2x1p0Options",
    "DeepLabMobileNetV2x1p5Options",
    "DeepLabMobileNetV2x2p0Options",
    "DeepLabMobileNetV3Options",
    "DeepLabOptions",
    "DeepLabPlusR50Options",
    "DeepLabPlusR101Options",
    "DeepLabR50Options",
    "DeepLabR101Options",
    "DeepLabXception41Options",
    "DeepLabXception65Options",
]

Positive = Annotated[int, Field(ge=1)]
Positives = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
Size = Annotated[tuple[Positive, Positive], Field(strict=False)]
Grid = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]
Indices = Annotated[tuple[int, ...], Field(strict=False, min_length=1, max_length=2)]


class DeepLabOptions(BaseModel):
    """What all DeepLab models have; the defaults are those of DeepLabv3+."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    backbone: str = Field(description="Name of the backbone, from any plugin")
    in_channels: Positive = Field(3, description="Channels of the images")
    output_stride: Literal[8, 16, 32] | None = Field(
        None, description="Stride of the backbone's last feature; null is the backbone's default"
    )
    multi_grid: Grid | None = Field(
        None,
        description="Factors of the dilation within the backbone's last stage; "
        "null is 1, 2, 4 where the backbone has them",
    )
    backbone_indices: Indices | None = Field(
        None,
        description="Features for the decoder and the encoder; without decoder the last counts; "
        "null is the first one of stride 4 or more, and the last one",
    )
    aspp_ratios: Positives | None = Field(
        None,
        description="Dilations of the encoder's branches; null is 1, 12, 24, 36 for features of "
        "stride 8 or less, and 1, 6, 12, 18 for others",
    )
    aspp_out_channels: Positive = Field(256, description="Channels of the encoder's output")
    aspp_with_sep_conv: bool = Field(
        True, description="Whether the encoder's dilated convolutions are separable"
    )
    decoder_use_sep_conv: bool = Field(
        True, description="Whether the decoder's convolutions are separable"
    )
    encoder_with_aspp: bool = Field(
        True, description="Whether there is an encoder (atrous spatial pyramid pooling)"
    )
    enable_decoder: bool = Field(
        True, description="Whether a decoder brings in a finer feature (DeepLabv3+)"
    )
    pooling_crop_size: Size | None = Field(
        None,
        description="Size of the training crops, [width, height]: the encoder then averages over "
        "windows of that size instead of the whole image",
    )

    @model_validator(mode="after")
    def _decoder_has_its_feature(self) -> DeepLabOptions:
        if self.enable_decoder and self.backbone_indices and len(self.backbone_indices) < 2:
            raise ValueError(
                f"backbone_indices {list(self.backbone_indices)} has one number, but the decoder "
                "needs a feature, too: give two, finest first, or set enable_decoder to false"
            )
        return self


class _DeepLabV3Options(DeepLabOptions):
    """DeepLabv3, the one without decoder."""

    aspp_with_sep_conv: bool = Field(
        False, description="Whether the encoder's dilated convolutions are separable"
    )
    enable_decoder: bool = Field(
        False, description="Whether a decoder brings in a finer feature (DeepLabv3+)"
    )


class DeepLabR50Options(_DeepLabV3Options):
    """Deeplabv3-R50."""

    backbone: str = Field("ResNet50_vd", description="Name of the backbone, from any plugin")


class DeepLabR101Options(_DeepLabV3Options):
    """Deeplabv3-R101."""

    backbone: str = Field("ResNet101_vd", description="Name of the backbone, from any plugin")


class DeepLabPlusR50Options(DeepLabOptions):
    """Deeplabv3_Plus-R50."""

    backbone: str = Field("ResNet50_vd", description="Name of the backbone, from any plugin")


class DeepLabPlusR101Options(DeepLabOptions):
    """Deeplabv3_Plus-R101."""

    backbone: str = Field("ResNet101_vd", description="Name of the backbone, from any plugin")


class DeepLabXception41Options(DeepLabOptions):
    """DeepLabv3p-Xception41."""

    backbone: str = Field("Xception41", description="Name of the backbone, from any plugin")


class DeepLabXception65Options(DeepLabOptions):
    """DeepLabv3p-Xception65."""

    backbone: str = Field("Xception65", description="Name of the backbone, from any plugin")


class DeepLabMobileNetV2x0p25Options(DeepLabOptions):
    """DeepLabv3p-MobileNetV2_x0.25."""

    backbone: str = Field("MobileNetV2_x0.25", description="Name of the backbone, from any plugin")


class DeepLabMobileNetV2x0p5Options(DeepLabOptions):
    """DeepLabv3p-MobileNetV2_x0.5."""

    backbone: str = Field("MobileNetV2_x0.5", description="Name of the backbone, from any plugin")


class DeepLabMobileNetV2x1p0Options(DeepLabOptions):
    """DeepLabv3p-MobileNetV2_x1.0."""

    backbone: str = Field("MobileNetV2_x1.0", description="Name of the backbone, from any plugin")


class DeepLabMobileNetV2x1p5Options(DeepLabOptions):
    """DeepLabv3p-MobileNetV2_x1.5."""

    backbone: str = Field("MobileNetV2_x1.5", description="Name of the backbone, from any plugin")


class DeepLabMobileNetV2x2p0Options(DeepLabOptions):
    """DeepLabv3p-MobileNetV2_x2.0."""

    backbone: str = Field("MobileNetV2_x2.0", description="Name of the backbone, from any plugin")


class DeepLabMobileNetV3Options(DeepLabOptions):
    """DeepLabv3p-MobileNetV3_large_x1_0."""

    backbone: str = Field(
        "MobileNetV3_large_x1_0", description="Name of the backbone, from any plugin"
    )
