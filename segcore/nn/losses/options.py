"""The options of losses, light: they are shown and checked without importing Paddle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BCELossOptions",
    "CrossEntropyLossOptions",
    "DiceLossOptions",
    "FocalLossOptions",
    "LossOptions",
    "LovaszHingeLossOptions",
    "LovaszSoftmaxLossOptions",
    "MultiClassFocalLossOptions",
    "OhemCrossEntropyLossOptions",
]

Weights = Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(strict=False, min_length=1)]
Classes = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)]


class LossOptions(BaseModel):
    """What all losses have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    ignore_index: int | None = Field(
        None, ge=0, description="Label value that does not count; null takes data.ignore_index"
    )


class CrossEntropyLossOptions(LossOptions):
    """Options of CrossEntropyLoss."""

    weight: Weights | Literal["dynamic"] | None = Field(
        None,
        description="One weight a class, or dynamic: the inverse of its frequency in the batch",
    )
    top_k_percent_pixels: float = Field(
        1.0, gt=0, le=1, description="Share of the pixels that count, those with the largest loss"
    )
    avg_non_ignore: bool = Field(
        True, description="Average over the pixels that are not ignored, else over all"
    )


class OhemCrossEntropyLossOptions(LossOptions):
    """Options of OhemCrossEntropyLoss."""

    thresh: float = Field(
        0.7, ge=0, le=1, description="Probability of the own class below which a pixel is hard"
    )
    min_kept: int = Field(10000, ge=0, description="Pixels of a batch that count at the least")
    weight: Weights | None = Field(None, description="One weight a class")


class BCELossOptions(LossOptions):
    """Options of BCELoss."""

    weight: Literal["dynamic"] | None = Field(
        None, description="dynamic: weigh positives and negatives by each other's share"
    )
    pos_weight: Annotated[float, Field(gt=0)] | Literal["dynamic"] | None = Field(
        None, description="Weight of positives, or dynamic: twice the share of the negatives"
    )


class DiceLossOptions(LossOptions):
    """Options of DiceLoss."""

    weight: Weights | None = Field(None, description="One weight a class")
    smooth: float = Field(1.0, gt=0, description="Added to both sides of the fraction")


class LovaszSoftmaxLossOptions(LossOptions):
    """Options of LovaszSoftmaxLoss."""

    classes: Literal["present", "all"] | Classes = Field(
        "present", description="Classes that are averaged: present in the labels, all, or a list"
    )


class LovaszHingeLossOptions(LossOptions):
    """Options of LovaszHingeLoss."""


class FocalLossOptions(LossOptions):
    """Options of FocalLoss."""

    alpha: float = Field(
        0.25, ge=0, le=1, description="Weight of positives; negatives have 1-alpha"
    )
    gamma: float = Field(2.0, ge=0, description="Exponent that fades out easy pixels")


class MultiClassFocalLossOptions(LossOptions):
    """Options of MultiClassFocalLoss."""

    alpha: float = Field(1.0, gt=0, description="Factor of the loss")
    gamma: float = Field(2.0, ge=0, description="Exponent that fades out easy pixels")
