"""The options of FastSCNN."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["FastSCNNOptions"]

Weights = Annotated[
    tuple[Annotated[float, Field(ge=0)], ...], Field(strict=False, min_length=1, max_length=3)
]


class FastSCNNOptions(BaseModel):
    """FastSCNN with one to three branches."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    in_channels: int = Field(3, ge=1, description="Channels of the images")
    multi_loss_weight: Weights = Field(
        (1.0, 0.4),
        description="Branches that are trained, and what their losses weigh: the fused features, "
        "then the detail at stride 8, then the context at stride 32",
    )
    align_corners: bool = Field(
        False, description="Resize so that the centres of corner pixels stay, not the image's edges"
    )

    @field_validator("multi_loss_weight")
    @classmethod
    def _learns_what_it_predicts(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if weights[0] == 0:
            raise ValueError("the first weight is 0, but predictions come from that branch")
        return weights
