"""metrics.jsonl: one JSON object a line, cut back to the checkpoint when a training goes on.

A checkpoint notes how long the history was and its digest, so that lines which were lost, changed
or taken from another run are noticed, and new ones are never glued to them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segcore.checkpoint.files import DISK, append, storage_errors, write_atomic
from segcore.errors import CheckpointError
from segcore.filesystem import exists, is_file

__all__ = ["History", "read_records"]

log = logging.getLogger(__name__)


class History:
    """The lines of `path`, in order of steps; none at first.

    `size_bytes` and `sha256` describe the lines of this training so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Digest of all lines."""
        return self._digest.hexdigest()

    def flaw(self, size_bytes: int, sha256: str | None, step: int) -> str | None:
        """Say how the file differs from what the checkpoint of `step` noted; None if it does not.

        Checkpoints of older versions noted no digest; then the lines themselves must make sense.
        Raise CheckpointError where the file can neither be read nor written.
        """
        data = self._read()
        if data is None:
            return f"had {size_bytes} bytes, is missing" if size_bytes else None
        if len(data) < size_bytes:
            return f"had {size_bytes} bytes, has {len(data)}"
        counted = data[:size_bytes]
        if sha256 is None:
            is_same = len(_sound_lines(counted, step)) == size_bytes
        else:
            is_same = hashlib.sha256(counted).hexdigest() == sha256
        return None if is_same else f"its first {size_bytes} bytes are not those of this training"

    def cut(self, size_bytes: int) -> None:
        """Go on after the first `size_bytes`; what was written after the checkpoint is dropped."""
        data = self._read() or b""
        self._keep(data[:size_bytes], data[size_bytes:])

    def mend(self, step: int) -> None:
        """Go on after the whole lines up to `step`, in order, which the file begins with."""
        data = self._read() or b""
        kept = _sound_lines(data, step)
        self._keep(kept, data[len(kept) :])

    def add(self, record: Mapping[str, Any]) -> None:
        """Append `record` as one line."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        append(self._path, line)
        self._count(line)

    def flush(self) -> None:
        """Make what was added survive a power cut."""
        if exists(self._path):
            with storage_errors(self._path):
                DISK.sync(self._path)

    def _keep(self, kept: bytes, dropped: bytes) -> None:
        if dropped:
            lines = len(dropped.splitlines())
            log.warning(
                "%s: %d lines (%d bytes) from after the checkpoint are dropped",
                *(self._path, lines, len(dropped)),
            )
            write_atomic(self._path, kept)
        self._digest, self.size_bytes = hashlib.sha256(), 0
        self._count(kept)

    def _count(self, data: bytes) -> None:
        self._digest.update(data)
        self.size_bytes += len(data)

    def _read(self) -> bytes | None:
        if not os.path.lexists(self._path):
            return None
        if not is_file(self._path) or not os.access(self._path, os.R_OK | os.W_OK):
            raise CheckpointError(f"{self._path}: cannot be read and written; mend that")
        try:
            return DISK.read(self._path)
        except OSError as error:
            raise CheckpointError(f"{self._path}: cannot be read: {error.strerror}") from error


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a history, up to the first line that is none."""
    if is_file(path):
        for line, _ in _whole_lines(DISK.read(path)):
            yield json.loads(line)


def _sound_lines(data: bytes, step: int) -> bytes:
    """Return the beginning of `data` that consists of whole records in order, up to `step`."""
    size = last = 0
    for line, at in _whole_lines(data):
        if not last <= at <= step:
            break
        size, last = size + len(line), at
    return data[:size]


def _whole_lines(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield lines with the step that they are of, up to the first that is no record."""
    for line in data.splitlines(keepends=True):
        try:
            step = json.loads(line.decode())["step"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if not line.endswith(b"\n") or type(step) is not int:
            return
        yield line, step
