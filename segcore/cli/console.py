"""What segcore logs, on the terminal: on stderr, above any progress bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from segcore.cli.messages import printable

__all__ = ["console_logging"]


class _ConsoleHandler(logging.Handler):
    """Write lines through tqdm, so that bars stay whole."""

    def emit(self, record: logging.LogRecord) -> None:
        import sys

        from tqdm import tqdm

        tqdm.write(printable(self.format(record)), file=sys.stderr)


@contextmanager
def console_logging() -> Iterator[None]:
    """Show what segcore logs at level INFO and above while the block runs."""
    handler = _ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("segcore")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # Paddle gives the root logger a handler of its own, which would say everything again
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.setLevel(level)
        logger.removeHandler(handler)
