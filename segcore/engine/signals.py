"""Requests to stop: the first one lets the step end and the state be saved, a second one does not."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType

from segcore.errors import Interrupted

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

    def __enter__(self) -> StopSignals:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            try:
                self._previous[signum] = signal.signal(signum, self._handle)
            except ValueError:  # not the main thread: whoever runs that one decides
                break
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
        assert self.caught is not None
        return Interrupted(
            f"stopped by {self.caught.name} after step {step}; the state is saved, "
            "go on with --resume",
            self.caught,
        )
