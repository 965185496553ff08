"""DeepLabv3 and DeepLabv3+ for segcore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore_deeplab.trainable import DeepLabv3p

__all__ = ["DeepLabv3p"]


def __getattr__(name: str) -> Any:
    if name != "DeepLabv3p":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segcore_deeplab.trainable import DeepLabv3p

    return DeepLabv3p
