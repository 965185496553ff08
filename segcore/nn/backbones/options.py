"""The options of the backbones that come with segcore, light: no Paddle is imported here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["BackboneOptions"]


class BackboneOptions(BaseModel):
    """What every backbone has."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    in_channels: int = Field(3, ge=1, description="Channels of the images")
