"""The boundary to libraries that read what strangers wrote.

A decoder or a parser raises whatever it likes on bytes that its authors did not think of, and
other things in its next version. Each reader calls its library within `foreign_errors`, and nothing
else there, so that what is wrong with a file is never taken for a defect of segcore, nor the other
way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segcore.errors import SegcoreError

__all__ = ["foreign_errors", "reason_of"]


@contextmanager
def foreign_errors(refusal: Callable[[str], Exception]) -> Iterator[None]:
    """Raise `refusal(reason)` for whatever a library raises in the block.

    A lack of memory is no fault of the file, and passes.
    """
    try:
        yield
    except (SegcoreError, MemoryError):
        raise
    # the boundary itself: which errors a library has is not known
    except Exception as error:
        raise refusal(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """Give the last line of what a library said, or else the name of its error."""
    if isinstance(error, RecursionError):
        return "nests too deeply"
    lines = str(error).strip().splitlines()
    return f"{lines[-1]:.200}" if lines else type(error).__name__
