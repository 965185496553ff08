"""NumPy's `.npy` files as images: what their headers say, and their values.

Headers are Python literals. They are read here, bounded and without `eval`, so that nothing in a
file is executed and no size in it is believed before it is compared with the file's.
"""

from __future__ import annotations

import ast
import re
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NPY_SIGNATURE", "NotImageError", "NpyHeader", "decode_npy", "read_npy_header"]

NPY_SIGNATURE = b"\x93NUMPY"
_MAX_HEADER = 4096  # NumPy writes some 120 bytes; bounds what is parsed of a hostile file
_NUMBER = re.compile(r"[<>|=](?:[ui][1248]|f[248])\Z")


@dataclass(frozen=True)
class NpyHeader:
    """What precedes the values, which begin at byte `offset`.

    `shape` is (H, W) or (H, W, C); `descr` is NumPy's code of the type, such as `<f4`.
    """

    shape: tuple[int, ...]
    descr: str
    fortran_order: bool
    offset: int

    @property
    def kind(self) -> str:
        """One of u, i and f: unsigned, signed, float."""
        return self.descr[1]

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return int(self.descr[2:])

    @property
    def end(self) -> int:
        """Where the values end, in bytes from the beginning of the file."""
        return self.offset + prod(self.shape) * self.itemsize


class NotImageError(ValueError):
    """A sound `.npy` file whose values are no image; the message says what they are."""


def read_npy_header(data: bytes) -> NpyHeader:
    """Read the header of a `.npy` file of numbers.

    Raises struct.error where it is none, and NotImageError where it is of something else.
    """
    major = data[6]
    form = "<H" if major == 1 else "<I"
    (length,) = struct.unpack_from(form, data, 8)
    offset = 8 + struct.calcsize(form) + length
    if major not in (1, 2, 3) or length > _MAX_HEADER or offset > len(data):
        raise struct.error("no header of a known version")
    try:
        fields = ast.literal_eval(data[offset - length : offset].decode("utf-8").strip())
        shape, descr, order = fields["shape"], fields["descr"], fields["fortran_order"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise struct.error("no literal of the three fields") from error
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise struct.error("no shape")
    if not isinstance(descr, str | list):
        raise struct.error("no type of values")
    if len(shape) not in (2, 3) or 0 in shape:
        raise NotImageError(f"an array of shape {shape!r:.100} instead of (H, W) or (H, W, C)")
    if not (isinstance(descr, str) and _NUMBER.match(descr)):
        raise NotImageError(f"values of type {descr!r:.100} instead of integers or floats")
    return NpyHeader(shape, descr, bool(order), offset)


def decode_npy(data: bytes) -> np.ndarray:
    """Give the values (H, W) or (H, W, C) of a complete file, in the machine's byte order."""
    import numpy as np

    header = read_npy_header(data)
    flat = np.frombuffer(data, np.dtype(header.descr), prod(header.shape), header.offset)
    array = flat.reshape(header.shape, order="F" if header.fortran_order else "C")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
