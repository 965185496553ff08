"""train.log: what a training said, besides the terminal."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segcore.errors import OutputError
from segcore.filesystem import exists, is_file

__all__ = ["is_log", "logging_to"]

log = logging.getLogger(__name__)

_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


def is_log(head: bytes) -> bool:
    """Say whether a file that begins so is a log of a training, or has nothing in it."""
    return not head or _LINE.match(head) is not None


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append what segcore logs to the file `path` as well, while the block runs.

    Raises OutputError where no such file can be written. Lines for which the disk has no room later
    are lost, which is said once.
    """
    try:
        if exists(path) and not is_file(path):  # opening a pipe would wait for a reader
            raise OutputError(f"{path}: is no regular file. Remove it, or choose another output.")
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
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


class _LogFile(logging.FileHandler):
    """A file that nothing ends for, since what matters stands elsewhere, too."""

    _is_told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True  # before it is told, to this file as well
            log.warning(
                "%s: cannot be written (%s), and lacks lines from here on",
                self.baseFilename,
                error.strerror,
            )

    def close(self) -> None:
        with suppress(OSError):  # what was not written until now
            super().close()
