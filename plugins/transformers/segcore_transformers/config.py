"""The options of SegFormer and SeaFormer, and of their backbones."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "MiTOptions",
    "SeaFormerBackboneOptions",
    "SeaFormerBaseOptions",
    "SeaFormerLargeOptions",
    "SeaFormerOptions",
    "SeaFormerSmallOptions",
    "SeaFormerTinyOptions",
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
EmbedDims = Annotated[
    tuple[Positive, ...],
    Field(strict=False, description="Channels after each feature but the first is fused in"),
]
Indices = Annotated[
    tuple[Index, ...],
    Field(strict=False, min_length=2, description="Features that are fused, finest first"),
]
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


class SeaFormerBackboneOptions(Options):
    """What all SeaFormer backbones have."""

    drop_path_rate: Rate = Field(
        0.1, description="Probability that the last block of a stage drops a branch in training"
    )


class SeaFormerOptions(Options):
    """What all SeaFormer models have; the defaults differ by model."""

    backbone: BackboneName
    backbone_indices: Indices = (0, 1, 2)
    embed_dims: EmbedDims = (128, 160)
    is_dw: bool = Field(True, description="Whether the last fusion treats each channel by itself")
    dropout_ratio: Rate = Field(
        0.1, description="Probability that a channel is dropped in training"
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> SeaFormerOptions:
        coarse = len(self.backbone_indices) - 1
        if len(self.embed_dims) != coarse:
            raise ValueError(
                f"embed_dims has {len(self.embed_dims)} numbers, but backbone_indices chooses "
                f"{coarse} features behind the first: give one for each"
            )
        return self


class SeaFormerTinyOptions(SeaFormerOptions):
    """SeaFormer_tiny."""

    backbone: BackboneName = "SeaFormer_tiny"
    embed_dims: EmbedDims = (64, 96)


class SeaFormerSmallOptions(SeaFormerOptions):
    """SeaFormer_small."""

    backbone: BackboneName = "SeaFormer_small"
    embed_dims: EmbedDims = (96, 128)


class SeaFormerBaseOptions(SeaFormerOptions):
    """SeaFormer_base."""

    backbone: BackboneName = "SeaFormer_base"


class SeaFormerLargeOptions(SeaFormerOptions):
    """SeaFormer_large, which fuses four features."""

    backbone: BackboneName = "SeaFormer_large"
    backbone_indices: Indices = (0, 1, 2, 3)
    embed_dims: EmbedDims = (128, 160, 192)
