"""HRNet-FCN and OCRNet for segcore, and HRNet as a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore_hrnet.trainable import HRNet

__all__ = ["HRNet"]


def __getattr__(name: str) -> Any:
    if name != "HRNet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segcore_hrnet.trainable import HRNet

    return HRNet
