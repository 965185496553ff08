"""Mask R-CNN for segcore: instance segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore_maskrcnn.trainable import MaskRCNN

__all__ = ["MaskRCNN"]


def __getattr__(name: str) -> Any:
    if name != "MaskRCNN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segcore_maskrcnn.trainable import MaskRCNN

    return MaskRCNN
