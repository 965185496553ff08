"""The options of HRNet as a backbone, and of the models on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "FCNOptions",
    "FCNW18Options",
    "FCNW18SmallV1Options",
    "FCNW30Options",
    "FCNW32Options",
    "FCNW40Options",
    "FCNW44Options",
    "FCNW48Options",
    "FCNW60Options",
    "FCNW64Options",
    "HRNetOptions",
    "OCRNetOptions",
    "OCRNetW18Options",
    "OCRNetW48Options",
]

Positive = Annotated[int, Field(ge=1)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    in_channels: Positive = Field(3, description="Channels of the images")


class HRNetOptions(_Options):
    """What every width of the backbone has."""

    variant: Literal["segmentation", "detection"] = Field(
        "segmentation",
        description="One feature of stride 4 as in PaddleSeg, or four as in PaddleDetection",
    )


class _ModelOptions(_Options):
    backbone: str = Field(description="Name of the backbone, from any plugin")
    align_corners: bool = Field(
        False, description="Whether logits are resized with the corner pixels in place"
    )


class FCNOptions(_ModelOptions):
    """What all HRNet-FCN models have; the backbone differs by model."""

    backbone_indices: Annotated[
        tuple[int, ...], Field(strict=False, min_length=1, max_length=1)
    ] = Field((-1,), description="The feature of the backbone that is used; -1 is the last")
    channels: Positive | None = Field(
        None, description="Channels within the head; null for as many as the feature has"
    )
    bias: bool = Field(True, description="Whether the convolutions of the head have biases")


class OCRNetOptions(_ModelOptions):
    """What all OCRNet models have; the backbone differs by model."""

    backbone_indices: Annotated[
        tuple[int, ...], Field(strict=False, min_length=1, max_length=2)
    ] = Field((0,), description="Features for coarse and final segmentation, or one for both")
    ocr_mid_channels: Positive = Field(512, description="Channels of pixels and object regions")
    ocr_key_channels: Positive = Field(256, description="Channels that both are compared in")


def _backbone(name: str) -> Any:
    return Field(name, description="Name of the backbone, from any plugin")


class FCNW18SmallV1Options(FCNOptions):
    """HRNet-FCN-W18_Small_V1: 16 channels at stride 4, and few blocks."""

    backbone: str = _backbone("HRNet_W18_Small_V1")


class FCNW18Options(FCNOptions):
    """HRNet-FCN-W18: 18 channels at stride 4; the others accordingly."""

    backbone: str = _backbone("HRNet_W18")


class FCNW30Options(FCNOptions):
    """HRNet-FCN-W30."""

    backbone: str = _backbone("HRNet_W30")


class FCNW32Options(FCNOptions):
    """HRNet-FCN-W32."""

    backbone: str = _backbone("HRNet_W32")


class FCNW40Options(FCNOptions):
    """HRNet-FCN-W40."""

    backbone: str = _backbone("HRNet_W40")


class FCNW44Options(FCNOptions):
    """HRNet-FCN-W44."""

    backbone: str = _backbone("HRNet_W44")


class FCNW48Options(FCNOptions):
    """HRNet-FCN-W48."""

    backbone: str = _backbone("HRNet_W48")


class FCNW60Options(FCNOptions):
    """HRNet-FCN-W60."""

    backbone: str = _backbone("HRNet_W60")


class FCNW64Options(FCNOptions):
    """HRNet-FCN-W64."""

    backbone: str = _backbone("HRNet_W64")


class OCRNetW18Options(OCRNetOptions):
    """OCRNet_HRNet-W18."""

    backbone: str = _backbone("HRNet_W18")


class OCRNetW48Options(OCRNetOptions):
    """OCRNet_HRNet-W48."""

    backbone: str = _backbone("HRNet_W48")
