"""Read the part of pickle that files of weights are made of, and run nothing.

A pickle is a program for a small stack machine, and Python's own machine imports and calls whatever
the program names. The machine here knows some forty of pickle's opcodes and the few names
that Paddle writes, and builds numbers, text, containers and arrays by itself: nothing that a file
says is ever looked up or called. Checking and building are one pass, so there is no scanner that
could be shown another program than the one that is executed.

Memory and time are bounded by the size of the file: declared sizes are compared with what is left
of it before anything is allocated, arrays take no more bytes than the file has, and the number of
opcodes is limited. Sharing and nesting are bounded by whoever walks the result
(`segcore.checkpoint.pdparams`), because only a walk is able to multiply them.

Opcodes are as in PEP 307, PEP 3154 and the standard library's `pickletools`; the shapes of the
arrays' and dtypes' states are those of NumPy's `ndarray.__reduce__` and `dtype.__reduce__`.
"""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from segcore.errors import WeightsError
from segcore.integer_key import KEY_LIMIT, is_integer_key

__all__ = ["ArrayCell", "Limits", "run"]


@dataclass(frozen=True)
class Limits:
    """How much one file may ask for; the defaults leave room for any published network.

    `max_bytes` is the size of the file, `max_opcodes` the length of its program, `max_values` the
    number of values that a walk over its content meets (shared ones count each time), `max_depth`
    how deep containers stand in each other.
    """

    max_bytes: int = 8 << 30
    max_opcodes: int = 5_000_000
    max_values: int = 1_000_000
    max_depth: int = 20


class _Role(enum.Enum):
    """What a name that Paddle's files ask for stands for; never the thing itself."""

    RECONSTRUCT = enum.auto()
    ARRAY = enum.auto()
    DTYPE = enum.auto()
    SCALAR = enum.auto()
    ENCODE = enum.auto()
    BYTES = enum.auto()
    TUPLE = enum.auto()
    DICT = enum.auto()
    EVAL = enum.auto()


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Role.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Role.RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _Role.SCALAR,
    ("numpy._core.multiarray", "scalar"): _Role.SCALAR,
    ("numpy", "ndarray"): _Role.ARRAY,
    ("numpy", "dtype"): _Role.DTYPE,
    ("_codecs", "encode"): _Role.ENCODE,  # how protocol 2 spells bytes
    ("__builtin__", "bytes"): _Role.BYTES,  # how protocol 2 spells no bytes
    ("builtins", "bytes"): _Role.BYTES,
    ("__builtin__", "tuple"): _Role.TUPLE,  # Paddle spells a tensor tuple((name, array))
    ("builtins", "tuple"): _Role.TUPLE,
    ("collections", "OrderedDict"): _Role.DICT,
    ("__builtin__", "eval"): _Role.EVAL,  # a static-graph tensor is eval('data', {'data': array})
    ("builtins", "eval"): _Role.EVAL,
}

_DTYPES = frozenset(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
)
_MAX_DIMENSIONS = 32  # NumPy 1's own limit


class ArrayCell:
    """An array that the program has asked for; `array` is None until its state has arrived."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: np.ndarray[Any, Any] | None = None


class _DTypeCell:
    """A dtype that the program has asked for; its byte order arrives later."""

    __slots__ = ("dtype",)

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)


def run(data: bytes, source: str, limits: Limits) -> Any:
    """Execute the pickle `data` and give the value that it describes.

    The value consists of None, bool, int, float, str, bytes, list, tuple, dict and `ArrayCell`, and
    of the machine's own marks where a file leaves such a thing lying about: check the types.
    Containers may be shared and even contain themselves. Raises WeightsError, and nothing else,
    that names `source` and the position.
    """
    return _Machine(data, source, limits).run()


class _Machine:
    def __init__(self, data: bytes, source: str, limits: Limits) -> None:
        self._data = memoryview(data)
        self._source = source
        self._limits = limits
        self._at = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._built_bytes = 0

    def run(self) -> Any:
        for _ in range(self._limits.max_opcodes):
            opcode = self.take(1)[0]
            if opcode == ord("."):
                return self.stop()
            operation = _OPERATIONS.get(opcode)
            if operation is None:
                self.refuse(
                    f"opcode 0x{opcode:02x} is not one that files of weights (pickle protocol 2 "
                    "to 4) are made of"
                )
            operation(self)
        return self.refuse(f"has more than {self._limits.max_opcodes} opcodes")

    def refuse(self, reason: str) -> NoReturn:
        raise WeightsError(
            f"{self._source}: byte {self._at}: {reason}. The file is damaged, was not written by "
            "Paddle, or is an attack; get it again from where it came from."
        )

    # -- reading the program ---------------------------------------------------------------------

    def take(self, size: int) -> memoryview:
        end = self._at + size
        if end > len(self._data):
            left = len(self._data) - self._at
            self.refuse(f"ends early: {size} bytes are announced and {left} are left")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def take_number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def take_text(self, size: int) -> str:
        try:
            return str(self.take(size), "utf-8")
        except UnicodeDecodeError:
            self.refuse("text is not UTF-8")

    def take_line(self) -> str:
        # Names are short; a bounded search keeps a file without line ends from being copied.
        window = bytes(self._data[self._at : self._at + 256])
        size = window.find(b"\n")
        if size < 0:
            self.refuse("a name has no end")
        text = self.take_text(size)
        self._at += 1
        return text

    # -- the stack -------------------------------------------------------------------------------

    def pop(self, kind: type | None = None) -> Any:
        floor = self._marks[-1] if self._marks else 0
        if len(self._stack) <= floor:
            self.refuse("takes from an empty stack")
        value = self._stack.pop()
        if kind is not None and type(value) is not kind:
            self.refuse(f"finds {_describe(value)} where {kind.__name__} belongs")
        return value

    def top(self, kind: type) -> Any:
        value = self.pop(kind)
        self._stack.append(value)
        return value

    def pop_to_mark(self) -> list[Any]:
        if not self._marks:
            self.refuse("lacks a mark")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop_many(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(count)]))

    def stop(self) -> Any:
        value = self.pop()
        if self._stack or self._marks:
            self.refuse("ends with values left over")
        if self._at != len(self._data):
            self.refuse(f"has {len(self._data) - self._at} bytes after its end")
        return value

    # -- operations ------------------------------------------------------------------------------

    def proto(self) -> None:
        version = self.take_number("<B")
        if not 2 <= version <= 4:
            self.refuse(f"is of pickle protocol {version}; Paddle writes 2, 3 and 4")

    def frame(self) -> None:
        size = self.take_number("<Q")
        if size > len(self._data) - self._at:
            self.refuse(f"a frame of {size} bytes exceeds the file")

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def long1(self) -> None:
        self.push(int.from_bytes(self.take(self.take_number("<B")), "little", signed=True))

    def append(self) -> None:
        value = self.pop()
        self.top(list).append(value)

    def appends(self) -> None:
        values = self.pop_to_mark()
        self.top(list).extend(values)

    def setitem(self) -> None:
        key, value = self.pop_many(2)
        self.set_items([key, value])

    def set_items(self, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            self.refuse("a dictionary has a key without a value")
        target = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Hashing anything else could recurse without end or compare arrays.
            if type(key) not in (str, int):
                self.refuse(f"a dictionary has {_describe(key)} as a key")
            if type(key) is int and not is_integer_key(key):
                self.refuse(f"a dictionary has a number beyond {KEY_LIMIT} as a key")
            if key in target:
                self.refuse(f"a dictionary has the key {key!r:.80} twice")
            target[key] = value

    def put(self, index: int) -> None:
        if not self._stack:
            self.refuse("remembers a value that is not there")
        if index > len(self._memo):  # Python counts them; its own machine allocates up to `index`
            self.refuse(f"numbers a value {index} where {len(self._memo)} are remembered")
        self._memo[index] = self._stack[-1]

    def count_memo(self) -> int:
        return len(self._memo)

    def get(self, index: int) -> None:
        if index not in self._memo:
            self.refuse(f"recalls value {index}, which was never remembered")
        self.push(self._memo[index])

    def find_line_name(self) -> None:
        module = self.take_line()
        self.push_role(module, self.take_line())

    def find_stack_name(self) -> None:
        name = self.pop(str)
        self.push_role(self.pop(str), name)

    def push_role(self, module: str, name: str) -> None:
        role = _NAMES.get((module, name))
        if role is None:
            raise WeightsError(
                f"{self._source}: byte {self._at}: contains code: it asks for "
                f"{ascii(f'{module}.{name}')[1:-1]:.120}, and weights need nothing but arrays. "
                "Nothing was run. Do not open the file with paddle.load, which would run it; get "
                "the weights from a source that you trust, or as .safetensors."
            )
        self.push(role)

    def reduce(self) -> None:
        arguments = self.pop(tuple)
        role = self.pop(_Role)
        build = _CALLS.get(role)
        if build is None:
            self.refuse(f"calls {role.name.lower()}")
        self.push(build(self, arguments))

    def build(self) -> None:
        state = self.pop(tuple)
        target = self.pop()
        if type(target) is _DTypeCell:
            self.order_bytes(target, state)
        elif type(target) is ArrayCell:
            self.fill(target, state)
        else:
            self.refuse(f"sets the state of {_describe(target)}")
        self.push(target)

    # -- arrays ----------------------------------------------------------------------------------

    def spend(self, size: int) -> None:
        # Every byte of an array stands in the file once; more means that a piece is used twice.
        self._built_bytes += size
        if self._built_bytes > 2 * len(self._data):
            self.refuse("asks for more memory than the file is large")

    def make_array(self, arguments: tuple[Any, ...]) -> ArrayCell:
        if len(arguments) != 3 or arguments[0] is not _Role.ARRAY:
            self.refuse("creates an array in an unknown way")
        return ArrayCell()

    def make_dtype(self, arguments: tuple[Any, ...]) -> _DTypeCell:
        code = arguments[0] if arguments else None
        if type(code) is not str or code not in _DTYPES:
            shown = ascii(code) if type(code) is str else _describe(code)
            self.refuse(f"has an array of dtype {shown:.40}; weights are of plain numbers")
        return _DTypeCell(code)

    def order_bytes(self, cell: _DTypeCell, state: tuple[Any, ...]) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags): the middle and
        # the end are set for structured and object dtypes only.
        plain = (
            len(state) == 8
            and state[2:5] == (None, None, None)
            and state[5:] == (-1, -1, 0)
            and type(state[1]) is str
            and state[1] in ("<", ">", "|", "=")
        )
        if not plain:
            self.refuse("has an array of a structured or object dtype")
        if state[1] in ("<", ">"):
            cell.dtype = cell.dtype.newbyteorder(state[1])

    def fill(self, cell: ArrayCell, state: tuple[Any, ...]) -> None:
        kinds = [type(part) for part in state[1:4]]
        if len(state) != 5 or kinds != [tuple, _DTypeCell, bool] or cell.array is not None:
            self.refuse("sets the state of an array in an unknown way")
        shape, dtype, content = state[1], state[2].dtype, self.as_buffer(state[4])
        if len(shape) > _MAX_DIMENSIONS or any(
            type(n) is not int or not 0 <= n < 2**48 for n in shape
        ):
            self.refuse("has an array without a proper shape")
        if math.prod(shape) * dtype.itemsize != len(content):
            self.refuse(f"has {len(content)} bytes for an array {shape} of {dtype}")
        self.spend(len(content))
        try:
            view = np.ndarray(shape, dtype, content, order="F" if state[3] else "C")
            cell.array = np.array(view, dtype.newbyteorder("="), order="C", copy=True)
        except ValueError:  # an empty array whose other axes multiply to more than NumPy counts
            self.refuse(f"has an array of impossible shape {shape}")

    def as_buffer(self, value: Any) -> memoryview | bytes:
        if type(value) is str:  # Python 2 wrote bytes as text of Latin-1
            return self.latin1(value)
        if type(value) not in (memoryview, bytes):
            self.refuse(f"has {_describe(value)} as the content of an array")
        content: memoryview | bytes = value
        return content

    def latin1(self, text: str) -> bytes:
        self.spend(len(text))
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            self.refuse("has bytes beyond 255")

    # -- the other calls -------------------------------------------------------------------------

    def make_scalar(self, arguments: tuple[Any, ...]) -> Any:
        if len(arguments) != 2 or type(arguments[0]) is not _DTypeCell:
            self.refuse("creates a number in an unknown way")
        cell = ArrayCell()
        self.fill(cell, (1, (), arguments[0], False, arguments[1]))
        assert cell.array is not None  # noqa: S101 - _fill has set it or raised
        return cell.array.item()

    def make_encoded(self, arguments: tuple[Any, ...]) -> bytes:
        if (
            len(arguments) != 2
            or type(arguments[0]) is not str
            or type(arguments[1]) is not str
            or arguments[1] not in ("latin1", "latin-1")
        ):
            self.refuse("encodes something other than bytes")
        return self.latin1(arguments[0])

    def make_tuple(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(arguments) != 1 or type(arguments[0]) is not tuple:
            self.refuse("creates a tuple in an unknown way")
        return arguments[0]  # not a copy: copies could be multiplied

    def make_empty(self, arguments: tuple[Any, ...], kind: type) -> Any:
        if arguments:
            self.refuse(f"creates {kind.__name__} in an unknown way")
        return kind()

    def make_evaluated(self, arguments: tuple[Any, ...]) -> ArrayCell:
        # The one expression that Paddle writes; it is compared with, never evaluated.
        if (
            len(arguments) != 2
            or type(arguments[0]) is not str
            or arguments[0] != "data"
            or type(arguments[1]) is not dict
            or list(arguments[1]) != ["data"]
            or type(arguments[1]["data"]) is not ArrayCell
        ):
            raise WeightsError(
                f"{self._source}: byte {self._at}: contains code: it asks for eval of an "
                "expression. Nothing was run; get the weights from a source that you trust."
            )
        return arguments[1]["data"]


def _describe(value: Any) -> str:
    """Name the type of a value in the words of a message; never print the value itself."""
    if isinstance(value, _Role):
        return f"the name {value.name.lower()}"
    names = {ArrayCell: "an array", _DTypeCell: "a dtype", memoryview: "bytes"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


_CALLS: dict[_Role, Callable[[_Machine, tuple[Any, ...]], Any]] = {
    _Role.RECONSTRUCT: _Machine.make_array,
    _Role.DTYPE: _Machine.make_dtype,
    _Role.SCALAR: _Machine.make_scalar,
    _Role.ENCODE: _Machine.make_encoded,
    _Role.BYTES: lambda machine, arguments: machine.make_empty(arguments, bytes),
    _Role.DICT: lambda machine, arguments: machine.make_empty(arguments, dict),
    _Role.TUPLE: _Machine.make_tuple,
    _Role.EVAL: _Machine.make_evaluated,
}

_OPERATIONS: dict[int, Callable[[_Machine], None]] = {
    0x80: _Machine.proto,
    0x95: _Machine.frame,
    ord("("): _Machine.mark,
    # numbers and the like
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("J"): lambda m: m.push(m.take_number("<i")),
    ord("K"): lambda m: m.push(m.take_number("<B")),
    ord("M"): lambda m: m.push(m.take_number("<H")),
    0x8A: _Machine.long1,
    ord("G"): lambda m: m.push(m.take_number(">d")),
    # text and bytes; "T" and "U" are text of Python 2, in which arrays hid their bytes as well
    ord("X"): lambda m: m.push(m.take_text(m.take_number("<I"))),
    0x8C: lambda m: m.push(m.take_text(m.take_number("<B"))),
    ord("T"): lambda m: m.push(str(m.take(m.take_number("<I")), "latin-1")),
    ord("U"): lambda m: m.push(str(m.take(m.take_number("<B")), "latin-1")),
    ord("B"): lambda m: m.push(m.take(m.take_number("<I"))),
    ord("C"): lambda m: m.push(m.take(m.take_number("<B"))),
    0x8E: lambda m: m.push(m.take(m.take_number("<Q"))),
    # containers
    ord(")"): lambda m: m.push(()),
    0x85: lambda m: m.push(m.pop_many(1)),
    0x86: lambda m: m.push(m.pop_many(2)),
    0x87: lambda m: m.push(m.pop_many(3)),
    ord("t"): lambda m: m.push(tuple(m.pop_to_mark())),
    ord("]"): lambda m: m.push([]),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord("}"): lambda m: m.push({}),
    ord("s"): _Machine.setitem,
    ord("u"): lambda m: m.set_items(m.pop_to_mark()),
    # the memo
    ord("q"): lambda m: m.put(m.take_number("<B")),
    ord("r"): lambda m: m.put(m.take_number("<I")),
    0x94: lambda m: m.put(m.count_memo()),
    ord("h"): lambda m: m.get(m.take_number("<B")),
    ord("j"): lambda m: m.get(m.take_number("<I")),
    # names, and the calls that stand for arrays
    ord("c"): _Machine.find_line_name,
    0x93: _Machine.find_stack_name,
    ord("R"): _Machine.reduce,
    ord("b"): _Machine.build,
}
