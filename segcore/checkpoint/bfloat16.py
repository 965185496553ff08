"""bfloat16, for which NumPy has no type: converted from and to the uint16 of the same bits."""

from __future__ import annotations

import numpy as np

from segcore.checkpoint.pdparams import Array

__all__ = ["bfloat16_bits", "bfloat16_to_float32"]


def bfloat16_to_float32(bits: Array) -> Array:
    """Widen bfloat16, given as uint16 of the same bits, to float32: exact."""
    widened: Array = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return widened


def bfloat16_bits(values: Array) -> Array:
    """Round finite floats to bfloat16, to nearest and ties to even, and give the bits as uint16."""
    bits = np.ascontiguousarray(values, np.float32).reshape(values.shape).view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded: Array = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    return rounded
