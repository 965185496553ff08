"""The options of the PP-LiteSeg models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["PPLiteSegBOptions", "PPLiteSegOptions", "PPLiteSegTOptions"]

Positive = Annotated[int, Field(ge=1)]
Positives = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
Indices = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=2)]


class PPLiteSegOptions(BaseModel):
    """What all PP-LiteSeg models have; the defaults differ by model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    backbone: str = Field(description="Name of the backbone, from any plugin")
    in_channels: Positive = Field(3, description="Channels of the images")
    backbone_indices: Indices = Field(
        (2, 3, 4), description="Features of the backbone that are fused, finest first"
    )
    arm_type: Literal[
        "UAFM",
        "UAFM_SpAtten",
        "UAFM_SpAtten_S",
        "UAFM_ChAtten",
        "UAFM_ChAtten_S",
        "UAFMMobile",
        "UAFMMobile_SpAtten",
    ] = Field("UAFM_SpAtten", description="How features are fused")
    cm_bin_sizes: Positives = Field((1, 2, 4), description="Sizes that the context is pooled to")
    cm_out_ch: Positive = Field(128, description="Channels of the context")
    arm_out_chs: Positives = Field((64, 96, 128), description="Channels of each fused feature")
    seg_head_inter_chs: Positives = Field((64, 64, 64), description="Channels within each head")
    resize_mode: Literal["bilinear", "nearest"] = Field(
        "bilinear", description="How coarse features are resized"
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> PPLiteSegOptions:
        count = len(self.backbone_indices)
        for name in ("arm_out_chs", "seg_head_inter_chs"):
            if len(getattr(self, name)) != count:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} numbers, but backbone_indices chooses "
                    f"{count} features: give one for each"
                )
        return self


class PPLiteSegTOptions(PPLiteSegOptions):
    """PP-LiteSeg-T, the tiny one: STDC1 and a narrow decoder."""

    backbone: str = Field("STDC1", description="Name of the backbone, from any plugin")
    arm_out_chs: Positives = Field((32, 64, 128), description="Channels of each fused feature")
    seg_head_inter_chs: Positives = Field((32, 64, 64), description="Channels within each head")


class PPLiteSegBOptions(PPLiteSegOptions):
    """PP-LiteSeg-B, the base one: STDC2 and a wider decoder."""

    backbone: str = Field("STDC2", description="Name of the backbone, from any plugin")
