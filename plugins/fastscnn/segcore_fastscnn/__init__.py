"""Fast-SCNN for segcore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore_fastscnn.trainable import FastSCNN

__all__ = ["FastSCNN"]


def __getattr__(name: str) -> Any:
    if name != "FastSCNN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segcore_fastscnn.trainable import FastSCNN

    return FastSCNN
