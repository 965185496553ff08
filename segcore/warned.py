"""What is warned while a block runs."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["warned"]

_turn = threading.RLock()


@contextmanager
def warned() -> Iterator[list[Warning | str]]:
    """Give the list that fills with what this thread warns inside the block; it is not shown.

    `warnings.catch_warnings` replaces filters of the whole process, so that two threads inside of
    it at once would leave them changed for good. One thread after the other enters here, and what
    others warn meanwhile is shown as ever.
    """
    caught: list[Warning | str] = []
    owner = threading.get_ident()
    with _turn, warnings.catch_warnings():
        show_others = warnings.showwarning

        def show(message: Warning | str, *where: Any, **more: Any) -> None:
            if threading.get_ident() == owner:
                caught.append(message)
            else:
                show_others(message, *where, **more)

        warnings.showwarning = show
        warnings.simplefilter("always")
        yield caught
