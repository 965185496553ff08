"""Requests to stop: the first lets the step end and the state be saved, a second does not."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from segcore.errors import Interrupted

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["StopSignals"]

_IMPATIENCE_S = 2.0


class StopSignals:
    """Catch SIGINT, SIGTERM and SIGHUP while the block runs.

    The loop asks `caught` between steps. A second signal within two seconds ends the process at
    once: nothing is damaged, since files only appear whole, but what was not yet saved is lost.
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self._caught_at = 0.0
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        # Python hands signals to the main thread only; elsewhere whoever runs that one decides
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.caught is not None and now - self._caught_at < _IMPATIENCE_S:
            os._exit(128 + signum)
        self.caught = signal.Signals(signum)
        self._caught_at = now

    def interruption(self, step: int) -> Interrupted:
        """Describe the interruption after `step` steps were saved."""
        signum = self.caught or signal.SIGINT
        return Interrupted(
            f"stopped by {signum.name} after step {step}; the state is saved, go on with --resume",
            signum,
        )
