"""U-Net for segcore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore_unet.trainable import UNet

__all__ = ["UNet"]


def __getattr__(name: str) -> Any:
    if name != "UNet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segcore_unet.trainable import UNet

    return UNet
