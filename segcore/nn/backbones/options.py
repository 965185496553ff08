"""The options of the backbones that come with segcore, light: no Paddle is imported here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["BackboneOptions", "MobileNetOptions", "ResNetVdOptions", "XceptionOptions"]

OutputStride = Literal[8, 16, 32]
Dilation = Annotated[int, Field(ge=1)]
MultiGrid = Annotated[tuple[Dilation, Dilation, Dilation], Field(strict=False)]


class BackboneOptions(BaseModel):
    """What every backbone has."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    in_channels: int = Field(3, ge=1, description="Channels of the images")


class ResNetVdOptions(BackboneOptions):
    """What ResNet_vd has besides."""

    output_stride: OutputStride = Field(
        8, description="Stride of the last feature; smaller ones are reached by dilation"
    )
    multi_grid: MultiGrid = Field(
        (1, 1, 1), description="Factors of the dilation of the last stage's blocks"
    )


class XceptionOptions(BackboneOptions):
    """What Xception has besides."""

    output_stride: OutputStride = Field(
        16, description="Stride of the last feature; smaller ones are reached by dilation"
    )


class MobileNetOptions(BackboneOptions):
    """What MobileNets have besides."""

    output_stride: OutputStride = Field(
        32, description="Stride of the last feature; smaller ones are reached by dilation"
    )
