"""NumPy's `.npy` files as images: what their headers say, and their values.

Headers are Python literals. They are read here, bounded and without `eval`, so that nothing in a
file is executed and no size in it is believed before it is compared with the file's.
"""

from __future__ import annotations

import ast
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NPY_SIGNATURE", "NpyHeader", "decode_npy", "read_npy_header"]

NPY_SIGNATURE = b"\x93NUMPY"
_MAX_HEADER = 4096  # NumPy writes some 120 bytes; bounds what is parsed of a hostile file
_KINDS = {"u": "unsigned", "i": "signed", "f": "float"}


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


def read_npy_header(data: bytes) -> NpyHeader:
    """Read the header of a `.npy` file of numbers. Raises struct.error where it is none."""
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
    is_shape = isinstance(shape, tuple) and all(type(n) is int and n > 0 for n in shape)
    if not is_shape or len(shape) not in (2, 3):
        raise struct.error("no image (H, W) or (H, W, C)")
    if not isinstance(descr, str) or len(descr) < 3 or descr[1] not in _KINDS:
        raise struct.error("values that are no numbers")
    if descr[0] not in "<>|=" or descr[2:] not in ("1", "2", "4", "8"):
        raise struct.error("numbers of an unknown size")
    return NpyHeader(shape, descr, bool(order), offset)


def decode_npy(data: bytes) -> np.ndarray:
    """Give the values (H, W) or (H, W, C) of a complete file, in the machine's byte order."""
    import numpy as np

    header = read_npy_header(data)
    flat = np.frombuffer(data, np.dtype(header.descr), prod(header.shape), header.offset)
    array = flat.reshape(header.shape, order="F" if header.fortran_order else "C")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
