"""train.log: what a training said, besides the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segcore.errors import OutputError
from segcore.filesystem import exists, is_file

__all__ = ["logging_to"]


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
