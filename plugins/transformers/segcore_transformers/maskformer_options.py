"""The options of MaskFormer, its backbones and its loss."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from segcore.nn.losses.options import LossOptions

__all__ = [
    "MaskFormerLossOptions",
    "MaskFormerSmallOptions",
    "MaskFormerTinyOptions",
    "SwinOptions",
]

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Indices = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=2)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    in_channels: Positive = Field(3, description="Channels of the images")


class SwinOptions(_Options):
    """What all Swin backbones have."""

    drop_path_rate: Rate = Field(
        0.3, description="Probability that the last block drops a residual branch"
    )


class MaskFormerTinyOptions(_Options):
    """What all MaskFormer models have; the backbone differs by model."""

    backbone: str = Field("Swin-T", description="Name of the backbone, from any plugin")
    backbone_indices: Indices = Field(
        (0, 1, 2, 3), description="Features of the backbone that are used, finest first"
    )
    drop_path_rate: Rate | None = Field(
        None, description="Stochastic depth of the backbone; null leaves it at its default"
    )
    num_queries: Positive = Field(100, description="Most segments that an image can have")
    dropout: Rate = Field(0.1, description="Dropout within the transformer decoder")


class MaskFormerSmallOptions(MaskFormerTinyOptions):
    """MaskFormer on the deeper backbone."""

    backbone: str = Field("Swin-S", description="Name of the backbone, from any plugin")


class MaskFormerLossOptions(LossOptions):
    """Options of MaskFormerLoss."""

    eos_coef: float = Field(0.1, ge=0, le=1, description="Weight of segments that match nothing")
    mask_weight: float = Field(20.0, ge=0, description="Factor of the focal loss of masks")
    dice_weight: float = Field(1.0, ge=0, description="Factor of the Dice loss of masks")
