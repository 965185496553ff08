"""The options of the U-Net models."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["UNetBilinearOptions", "UNetDeconvOptions"]


class UNetDeconvOptions(BaseModel):
    """UNet-deconv: the way up is learnt."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    in_channels: int = Field(3, ge=1, description="Channels of the images")


class UNetBilinearOptions(UNetDeconvOptions):
    """UNet-bilinear: the way up is interpolated."""

    align_corners: bool = Field(
        False, description="Resize so that the centres of corner pixels stay, not the image's edges"
    )
