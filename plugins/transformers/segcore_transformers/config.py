"""The options of SegFormer and of its backbones, MiT."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "MiTOptions",
    "SegFormerB0Options",
    "SegFormerB1Options",
    "SegFormerB2Options",
    "SegFormerB3Options",
    "SegFormerB4Options",
    "SegFormerB5Options",
    "SegFormerOptions",
]

Positive = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]
BackboneName = Annotated[str, Field(description="Name of the backbone, from any plugin")]
Width = Annotated[int, Field(ge=1, description="Channels that all features are brought to")]


class Options(BaseModel):
    """What everything that sees images has."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    in_channels: Positive = Field(3, description="Channels of the images")


class MiTOptions(Options):
    """What all MiT backbones have."""

    drop_path_rate: Rate = Field(
        0.1, description="Probability that the last block drops a residual branch in training"
    )


class SegFormerOptions(Options):
    """What all SegFormer models have; the defaults differ by model."""

    backbone: BackboneName
    embedding_dim: Width = 768
    backbone_indices: Annotated[tuple[Index, Index, Index, Index], Field(strict=False)] = Field(
        (0, 1, 2, 3), description="Features of the backbone that are fused, finest first"
    )


class SegFormerB0Options(SegFormerOptions):
    """SegFormer-B0, for small devices: a narrow backbone and a narrow head."""

    backbone: BackboneName = "MiT-B0"
    embedding_dim: Width = 256


class SegFormerB1Options(SegFormerOptions):
    """SegFormer-B1: a wider backbone under the narrow head."""

    backbone: BackboneName = "MiT-B1"
    embedding_dim: Width = 256


class SegFormerB2Options(SegFormerOptions):
    """SegFormer-B2, with the wide head that all larger ones have."""

    backbone: BackboneName = "MiT-B2"


class SegFormerB3Options(SegFormerOptions):
    """SegFormer-B3."""

    backbone: BackboneName = "MiT-B3"


class SegFormerB4Options(SegFormerOptions):
    """SegFormer-B4."""

    backbone: BackboneName = "MiT-B4"


class SegFormerB5Options(SegFormerOptions):
    """SegFormer-B5, the largest."""

    backbone: BackboneName = "MiT-B5"
