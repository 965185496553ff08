"""Change the size of feature maps."""

from __future__ import annotations

from typing import Any

import paddle
from paddle.nn import functional

__all__ = ["resize", "spatial_size"]


def spatial_size(x: Any) -> Any:
    """Give (H, W) of a tensor (N, C, H, W): integers, or a tensor while a graph is being traced.

    Exported graphs take images of any size, so they must ask for the size when they run.
    """
    return x.shape[2:] if paddle.in_dynamic_mode() else paddle.shape(x)[2:]


# align_corners is no keyword-only argument: Paddle 3.1 forgets their defaults when it traces
def resize(x: Any, size: Any, mode: str = "bilinear", align_corners: bool = False) -> Any:
    """Resize (N, C, H, W) to `size` (H, W).

    The edges of the image stay in place, or with `align_corners` (bilinear only) the centres of
    its outermost pixels. Where the size is right already, which all of them leave exactly as it
    is, nothing is done.
    """
    if paddle.in_dynamic_mode() and list(x.shape[2:]) == list(size):
        return x
    return functional.interpolate(x, size, mode=mode, align_corners=align_corners)
