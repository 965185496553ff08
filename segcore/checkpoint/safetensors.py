"""Weights as safetensors: a format without code, for exchange with other frameworks.

The optional package `safetensors` checks header, offsets and sizes; the conversion to NumPy is done
here, because the package's own one needs ml_dtypes for bfloat16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segcore.checkpoint.bfloat16 import bfloat16_to_float32
from segcore.checkpoint.pdparams import Array
from segcore.errors import PackageMissingError, WeightsError
from segcore.foreign import foreign_errors

__all__ = ["decode_safetensors", "encode_safetensors"]

# What safetensors calls its types. BF16 has no NumPy type and is widened when it is read.
_TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def _package() -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise PackageMissingError(
            "reading and writing .safetensors needs the package safetensors, which is not "
            "installed: pip install safetensors"
        ) from error
    return safetensors


def decode_safetensors(data: bytes, source: str = "weights") -> dict[str, Array]:
    """Read the arrays of a safetensors file, by name. Raises WeightsError, PackageMissingError."""
    package = _package()

    def refuse(reason: str) -> WeightsError:
        return WeightsError(
            f"{source}: is no sound safetensors file ({reason}). Get it again from its source."
        )

    with foreign_errors(refuse):
        entries = package.deserialize(data)
    arrays: dict[str, Array] = {}
    for name, entry in entries:
        kind, shape, content = entry["dtype"], entry["shape"], entry["data"]
        if kind == "BF16":
            arrays[name] = bfloat16_to_float32(_array(content, "<u2", shape, name, source))
        elif kind in _TYPES:
            stored = _array(content, _TYPES[kind], shape, name, source)
            arrays[name] = np.array(stored, stored.dtype.newbyteorder("="))
        else:
            raise WeightsError(
                f"{source}: {name!r:.80} is of type {kind}; known are BF16, "
                f"{', '.join(_TYPES)}. Convert the file to one of these."
            )
    return arrays


def _array(content: bytes, code: str, shape: Sequence[int], name: str, source: str) -> Array:
    try:
        return np.frombuffer(content, code).reshape(shape)
    except (ValueError, OverflowError) as error:
        # an empty array whose other axes multiply to more than NumPy counts
        shown = "x".join(map(str, shape[:8]))
        raise WeightsError(
            f"{source}: {name!r:.80} has the impossible shape {shown}. Get the file again."
        ) from error


def encode_safetensors(arrays: Mapping[str, Array]) -> bytes:
    """Give the bytes of a safetensors file. Raises WeightsError, PackageMissingError."""
    _package()
    from safetensors.numpy import save

    known = {np.dtype(code) for code in _TYPES.values()}
    native: dict[str, Array] = {}
    for name, value in arrays.items():
        dtype = value.dtype.newbyteorder("=")
        if dtype not in known:
            raise WeightsError(f"{name!r:.80}: {value.dtype} has no place in a .safetensors file")
        # Written from memory as it lies there: any other order would scramble the values.
        native[name] = np.array(value, dtype, order="C")
    return bytes(save(native))
