"""The format of `.pdparams`, `.pdopt`, `.pdema`, `.pdstates`: a pickle, read and written safely.

What `paddle.save` writes is a pickled dictionary of arrays by name, with a few conventions of its
own, all of them undone here:

- `StructuredToParameterName@@` is a dictionary from the names of the network to Paddle's own names;
- protocols 2 and 3 split an array above 1 GiB into slices `name@@.0`, `name@@.1`, ..., listed under
  `UnpackBigParamInfor@@`;
- in a nested checkpoint a tensor is the pair (Paddle's name, array);
- bfloat16 is stored as uint16 of the same bits, indistinguishable from real uint16, so that such
  arrays stay uint16 here and are converted where somebody says so (`segcore.checkpoint.weights`).

Reading never runs anything (see `segcore.checkpoint.unpickler`). Writing produces a plain pickle of
protocol 4 that `paddle.load` of 2.6 and 3.x reads and that depends on the content alone: equal
content gives equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np

from segcore.checkpoint.unpickler import ArrayCell, Limits, run
from segcore.errors import WeightsError
from segcore.filesystem import NotRegularError, read_regular
from segcore.integer_key import KEY_LIMIT, is_integer_key

__all__ = ["Array", "Limits", "StateFile", "decode", "encode", "read_bytes"]

Array: TypeAlias = np.ndarray[Any, Any]

_NAME_TABLE = "StructuredToParameterName@@"
_SLICE_TABLE = "UnpackBigParamInfor@@"  # spelt like this in the files

_MAGIC = {
    b"PK\x03\x04": "a zip archive, perhaps of PyTorch; convert it to .safetensors first",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"<!DO": "a web page, so the download went wrong",
    b"<htm": "a web page, so the download went wrong",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with git lfs pull",
}


@dataclass(frozen=True)
class StateFile:
    """What a file of weights or of training state holds.

    `tree` is its content: dictionaries, lists, tuples, numbers, text and arrays (C order, native
    byte order). `names` gives Paddle's own name of an array by its dotted key, where the file does.
    """

    tree: dict[str | int, Any]
    names: dict[str, str] = field(default_factory=dict)
    source: str = "weights"

    def arrays(self) -> dict[str, Array]:
        """Give the arrays by name. Raises WeightsError when anything else is in the file."""
        flat: dict[str, Array] = {}
        for key, value in self.tree.items():
            if not isinstance(value, np.ndarray):
                groups = [str(k) for k, v in self.tree.items() if isinstance(v, dict)]
                hint = f"; it is a checkpoint of several parts ({', '.join(groups[:5])})"
                raise WeightsError(
                    f"{self.source}: {str(key)!r:.80} is a {type(value).__name__} and not an array"
                    f"{hint if groups else ''}. Give a file that holds the weights alone."
                )
            flat[str(key)] = value
        return flat


def read_bytes(path: Path, limits: Limits | None = None) -> bytes:
    """Read a whole file. Raises WeightsError: no regular file, too large, or unreadable."""
    limits = limits or Limits()
    try:
        return read_regular(path, limits.max_bytes)
    except NotRegularError as error:
        raise WeightsError(
            f"{path}: is {error.strerror}. Give the file of weights itself."
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}). Check the path and its rights."
        ) from error


def decode(
    data: bytes | Path, limits: Limits | None = None, *, source: str | None = None
) -> StateFile:
    """Read what `paddle.save` of any version wrote, from a file or from its bytes.

    `source` names the bytes in messages. Raises WeightsError, and nothing else, whatever the bytes.
    """
    limits = limits or Limits()
    if isinstance(data, Path):
        source = source or str(data)
        data = read_bytes(data, limits)
    source = source or "weights"
    if len(data) > limits.max_bytes:
        raise WeightsError(f"{source}: has {len(data)} bytes, more than {limits.max_bytes}.")
    _refuse_other_formats(data, source)
    harvest = _Harvest(source, limits)
    tree = harvest.collect(run(data, source, limits))
    if not isinstance(tree, dict):
        harvest.refuse(f"holds a {type(tree).__name__} where a dictionary belongs")
    _join_slices(tree, harvest)
    return StateFile(tree, harvest.names | _take_name_table(tree, harvest), source)


def _refuse_other_formats(data: bytes, source: str) -> None:
    if not data:
        raise WeightsError(f"{source}: is empty. Get the file again from where it came from.")
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise WeightsError(f"{source}: is not a file of Paddle weights but {what}.")
    if data[0] != 0x80:
        raise WeightsError(
            f"{source}: is not a file of Paddle weights (it begins with {data[:4].hex(' ')}). "
            "Give a .pdparams or a .safetensors file."
        )


class _Harvest:
    """Walk the unpickled value once, with bounds, and keep arrays and plain containers only.

    A few bytes can describe a structure that contains itself, or the same list a thousand times
    over on every level: depth and number of visits are what bounds both.
    """

    def __init__(self, source: str, limits: Limits) -> None:
        self.names: dict[str, str] = {}
        self._source = source
        self._limits = limits
        self._visits = 0

    def refuse(self, reason: str) -> NoReturn:
        raise WeightsError(
            f"{self._source}: {reason}. The file is damaged or is no file of weights; get it again "
            "from where it came from."
        )

    def collect(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        self._visits += 1
        if self._visits > self._limits.max_values:
            self.refuse(f"holds more than {self._limits.max_values} values")
        if len(path) > self._limits.max_depth:
            self.refuse(f"is nested more than {self._limits.max_depth} levels deep")
        if value is None or type(value) in (bool, int, float, complex, str):
            return value
        if type(value) is ArrayCell:
            if value.array is None:
                self.refuse(f"holds an array without content {self._where(path)}")
            return value.array
        if type(value) is dict:
            return {key: self.collect(inner, (*path, str(key))) for key, inner in value.items()}
        if type(value) is tuple and list(map(type, value)) == [str, ArrayCell]:
            self.names[".".join(path)] = value[0]
            return self.collect(value[1], path)
        if type(value) in (list, tuple):
            inner = [self.collect(v, (*path, str(i))) for i, v in enumerate(value)]
            return tuple(inner) if type(value) is tuple else inner
        return self.refuse(f"holds something that is no array, number or text {self._where(path)}")

    def _where(self, path: tuple[str, ...]) -> str:
        return f"at {'.'.join(path)!r:.120}" if path else "at the top"


def _join_slices(tree: dict[str | int, Any], harvest: _Harvest) -> None:
    """Put arrays together that protocols 2 and 3 had to split."""
    table = tree.pop(_SLICE_TABLE, {})
    if not isinstance(table, dict):
        harvest.refuse(f"{_SLICE_TABLE} is not a dictionary")
    for key, described in table.items():
        entry = described if isinstance(described, dict) else {}
        shape, parts = entry.get("OriginShape"), entry.get("slices")
        if not isinstance(shape, tuple) or not isinstance(parts, list) or key in tree:
            harvest.refuse(f"{_SLICE_TABLE} has no proper entry for {key!r:.80}")
        # Popping makes sure that no slice is used twice, which would multiply memory.
        found = [tree.pop(part, None) if type(part) is str else None for part in parts]
        arrays = [part for part in found if isinstance(part, np.ndarray) and part.ndim == 1]
        if len(arrays) != len(found) or len({part.dtype for part in arrays}) != 1:
            harvest.refuse(f"the slices of {key!r:.80} are missing or do not belong together")
        if not all(type(n) is int and n >= 0 for n in shape):
            harvest.refuse(f"{key!r:.80} has no proper shape")
        try:
            tree[key] = np.concatenate(arrays).reshape(shape)
        except (ValueError, OverflowError):
            harvest.refuse(f"the slices of {key!r:.80} do not make up its shape")


def _take_name_table(tree: dict[str | int, Any], harvest: _Harvest) -> dict[str, str]:
    table = tree.pop(_NAME_TABLE, {})
    if not isinstance(table, dict) or not all(
        type(key) is str and type(name) is str for key, name in table.items()
    ):
        harvest.refuse(f"{_NAME_TABLE} is not a dictionary of names")
    return table


# -- writing -------------------------------------------------------------------------------------

_ARRAY_HEAD = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
_KINDS = "biufc"


def encode(tree: Mapping[str, Any], names: Mapping[str, str] | None = None) -> bytes:
    """Give the bytes of a file that `paddle.load` and `decode` read.

    `tree` holds arrays, numbers, text, None and lists, tuples and dictionaries of such, by name.
    With `names`, Paddle's own names of the arrays at the top, the table of names is written, as
    `paddle.save` does for a network; Paddle then turns only the arrays that are in it into tensors,
    so that it has to list all of them. Raises WeightsError for a value that the format cannot hold.
    """
    content: dict[str, Any] = dict(tree)
    if names is not None:
        unnamed = {k for k, v in tree.items() if isinstance(v, np.ndarray)} ^ set(names)
        if unnamed:
            raise WeightsError(
                f"the table of names and the arrays differ in {', '.join(sorted(unnamed)[:5])}; "
                "it has to name every array of the file, and nothing else"
            )
        content[_NAME_TABLE] = dict(names)
    pieces: list[bytes | memoryview] = [b"\x80\x04"]
    _write(content, pieces, ())
    pieces.append(b".")
    return b"".join(pieces)


def _write(value: Any, pieces: list[bytes | memoryview], path: tuple[str, ...]) -> None:
    if len(path) > Limits.max_depth:
        raise WeightsError(f"{'.'.join(path)[:120]!r}: is nested too deep to be written")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        _write_array(value, pieces, path)
    elif isinstance(value, Mapping):
        pieces.append(b"}(")
        for key, inner in value.items():
            if not (type(key) is str or is_integer_key(key)):
                raise WeightsError(
                    f"{'.'.join(path)!r}: key {key!r} is neither text nor a number below "
                    f"{KEY_LIMIT}"
                )
            _write(key, pieces, path)
            _write(inner, pieces, (*path, str(key)))
        pieces.append(b"u")
    elif isinstance(value, (list, tuple)):
        pieces.append(b"](" if isinstance(value, list) else b"(")
        for index, inner in enumerate(value):
            _write(inner, pieces, (*path, str(index)))
        pieces.append(b"e" if isinstance(value, list) else b"t")
    else:
        pieces.append(_atom(value, path))


def _atom(value: Any, path: tuple[str, ...]) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return struct.pack("<ci", b"J", value)
        size = value.bit_length() // 8 + 1
        if size < 256:
            return bytes([0x8A, size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return struct.pack(">cd", b"G", value)
    if isinstance(value, str):
        try:
            text = value.encode()
        except UnicodeEncodeError as error:
            raise WeightsError(f"{'.'.join(path)!a}: text {value!a:.80} is not UTF-8") from error
        return struct.pack("<cI", b"X", len(text)) + text
    raise WeightsError(
        f"{'.'.join(path)!r}: a {type(value).__name__} cannot be written; convert it to an array, "
        "a number or text"
    )


def _write_array(value: Array, pieces: list[bytes | memoryview], path: tuple[str, ...]) -> None:
    if value.dtype.kind not in _KINDS or value.dtype.itemsize > (
        16 if value.dtype.kind == "c" else 8
    ):
        raise WeightsError(f"{'.'.join(path)!r}: an array of {value.dtype} cannot be written")
    dtype = value.dtype.newbyteorder("<")
    order = b"|" if dtype.itemsize == 1 else b"<"
    pieces.append(_ARRAY_HEAD)
    _write(tuple(int(n) for n in value.shape), pieces, path)
    code = f"{dtype.kind}{dtype.itemsize}".encode()
    pieces.append(b"cnumpy\ndtype\nX" + struct.pack("<I", len(code)) + code + b"\x89\x88\x87R")
    pieces.append(
        b"(K\x03X\x01\x00\x00\x00" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    content = np.ascontiguousarray(value, dtype).reshape(-1).view(np.uint8).data
    size = len(content)
    head = struct.pack("<cI", b"B", size) if size < 2**32 else struct.pack("<cQ", b"\x8e", size)
    pieces.extend((b"\x89", head, content, b"tb"))
