"""Messages between the loader and its workers: pickles through a socket, arrays through memory.

The arrays of a message are written to an anonymous memory file, whose descriptor goes with the
message, and are mapped, not copied, by the receiver. So nothing is left in /dev/shm, whose size
containers limit, and the memory ends with the last process that maps it. Only processes that the
loader started hold the other end of the socket, so the pickles are its own.
"""

from __future__ import annotations

import array
import io
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from segcore.errors import ExhaustedError

__all__ = ["Channel", "ChannelClosedError", "DescriptorLostError"]

_HEADER = struct.Struct("=QQ")
_ALIGNMENT = 64
"""Bytes to which arrays are aligned, as NumPy and BLAS like them: one cache line."""


class ChannelClosedError(Exception):
    """The other side is gone."""


class DescriptorLostError(Exception):
    """The memory of a message could not be received: too many open files."""


class Channel:
    """One end of a connection between two processes on this machine."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fileno(self) -> int:
        """Give the descriptor of the socket, for polling."""
        return self._socket.fileno()

    def set_timeout(self, seconds: float) -> None:
        """Let sending and receiving raise TimeoutError when nothing moves for `seconds`."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, message: Any) -> None:
        """Send a picklable object.

        Raises ChannelClosedError, ExhaustedError before anything is sent, and what pickling raises.
        """
        payload, buffers = _pickle(message)
        descriptors = [_write_memory(buffers)] if buffers else []
        sizes = struct.pack(f"={len(buffers)}Q", *(buffer.nbytes for buffer in buffers))
        try:
            header = _HEADER.pack(len(payload), len(buffers))
            # A socket takes a descriptor together with the first bytes, and in one go.
            socket.send_fds(self._socket, [header], descriptors)
            self._socket.sendall(sizes)
            self._socket.sendall(payload)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosedError from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def receive(self) -> Any:
        """Receive an object; its arrays are writable.

        Raises ChannelClosedError, DescriptorLostError, and what rebuilding the object raises.
        """
        header, descriptor = self._receive_header()
        try:
            length, count = _HEADER.unpack(header)
            sizes = struct.unpack(f"={count}Q", self._receive_exactly(8 * count))
            payload = self._receive_exactly(length)
            if count == 0:
                return ForkingPickler.loads(payload)
            if descriptor is None:
                raise DescriptorLostError
            return ForkingPickler.loads(payload, buffers=_map_memory(descriptor, sizes))
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _receive_header(self) -> tuple[bytes, int | None]:
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            header, ancillary, _, _ = self._socket.recvmsg(
                _HEADER.size, space, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError as error:
            raise ChannelClosedError from error
        if not header:
            raise ChannelClosedError
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data[: descriptors.itemsize])
        header += self._receive_exactly(_HEADER.size - len(header))
        return header, descriptors[0] if descriptors else None

    def _receive_exactly(self, count: int) -> bytearray:
        received = bytearray(count)
        rest = memoryview(received)
        while rest:
            try:
                size = self._socket.recv_into(rest)
            except ConnectionResetError as error:
                raise ChannelClosedError from error
            if size == 0:
                raise ChannelClosedError
            rest = rest[size:]
        return received


class _Pickler(ForkingPickler):
    """Keeps the arrays apart from the pickle, also those that `Normalize` gives.

    They are (H, W, C) views of (C, H, W) memory, which plain pickling would copy twice.
    """

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray and obj.ndim == 3 and not obj.flags.forc:
            planes = obj.transpose(2, 0, 1)
            if planes.flags.c_contiguous:
                return np.transpose, (planes, (1, 2, 0))
        return NotImplemented


def _pickle(message: Any) -> tuple[memoryview, list[memoryview]]:
    stream = io.BytesIO()
    buffers: list[Any] = []
    # Protocol 5, whose last argument takes over the arrays
    _Pickler(stream, 5, True, buffers.append).dump(message)
    return stream.getbuffer(), [buffer.raw() for buffer in buffers]


def _offsets(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Give the place of each buffer in the memory, and the size of the whole."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
    return offsets, max(end, _ALIGNMENT)


def _write_memory(buffers: Sequence[memoryview]) -> int:
    """Write `buffers` to a new memory file and give its descriptor. Raises ExhaustedError."""
    offsets, total = _offsets([buffer.nbytes for buffer in buffers])
    try:
        return _fill_memory(buffers, offsets, total)
    except OSError as error:
        raise ExhaustedError(
            f"{total} bytes cannot be handed over between a data worker and its parent: "
            f"{error.strerror}. Take smaller batches, raise the limit (see `ulimit -a`), or set "
            "train.num_workers=0"
        ) from error


def _fill_memory(buffers: Sequence[memoryview], offsets: Sequence[int], total: int) -> int:
    descriptor = os.memfd_create("segcore-batch", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, total)
        for buffer, offset in zip(buffers, offsets, strict=True):
            written = 0
            while written < buffer.nbytes:
                written += os.pwrite(descriptor, buffer[written:], offset + written)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _map_memory(descriptor: int, sizes: Sequence[int]) -> list[memoryview]:
    offsets, total = _offsets(sizes)
    # Populated at once: a page fault for every 4 KiB would cost more than the copy saved.
    memory = memoryview(mmap.mmap(descriptor, total, mmap.MAP_SHARED | mmap.MAP_POPULATE))
    return [memory[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]
