"""train.log: what a training said, besides the terminal."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segcore.errors import OutputError
from segcore.filesystem import exists, is_file

__all__ = ["is_log", "logging_to"]

_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


def is_log(head: bytes) -> bool:
    """Say whether a file that begins so is a log of a training, or has nothing in it."""
    return not head or _LINE.match(head) is not None


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append what segcore logs to the file `path` as well, while the block runs.

    Raises OutputError where no such file can be written.
    """
    try:
        if exists(path) and not is_file(path):  # opening a pipe would wait for a reader
            raise OutputError(f"{path}: is no regular file. Remove it, or choose another output.")
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}).") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("segcore")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
