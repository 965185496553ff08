"""metrics.jsonl: one JSON object a line, cut back to the checkpoint when a training goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segcore.checkpoint.files import DISK, append, storage_errors, truncate
from segcore.filesystem import exists

__all__ = ["History"]

log = logging.getLogger(__name__)


class History:
    """The lines of `path`, in order of steps."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def cut(self, size_bytes: int) -> None:
        """Drop what was written after the checkpoint that noted `size_bytes`."""
        if exists(self._path):
            truncate(self._path, size_bytes)
        elif size_bytes:
            log.warning("%s is gone; it begins anew", self._path)

    def add(self, record: Mapping[str, Any]) -> None:
        """Append `record` as one line."""
        append(self._path, json.dumps(record, allow_nan=False).encode() + b"\n")

    def flush(self) -> int:
        """Make what was added survive a power cut, and count its bytes."""
        if not exists(self._path):
            return 0
        with storage_errors(self._path):
            DISK.sync(self._path)
        return self._path.stat().st_size
