"""INT, TERM and HUP: a command ends at once, a training first saves its state.

Every file appears whole or not at all, so a process may end at any moment, and a command does:
`end_on_signals` is the first thing that it calls. No exception is raised for that, since whatever
happens to run, such as the import of a library, could swallow it. Where the main thread does not
come back from a long call into a library, a thread of its own ends the process for it.

A training has a state to lose. `StopSignals` therefore takes the signals over while it runs, in
commands and in programs of users alike, and gives them back afterwards.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from segcore.errors import Interrupted

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "SIGNALS",
    "StopRequested",
    "StopSignals",
    "end_on_signals",
    "finishing",
    "resumable",
]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_ANSWER_S = 2.0  # that the main thread has to answer
_IMPATIENCE_S = 2.0
# `timeout` and some shells send one signal to the process and to its group: that is one request
_TOGETHER_S = 0.02
_SAVED = "the state is saved, go on with --resume"

_Item = TypeVar("_Item")


class StopRequested(BaseException):
    """A signal came where nothing is lost by leaving; no Exception, so that nobody contains it."""


class StopSignals:
    """Catch SIGINT, SIGTERM and SIGHUP while the block runs, unless they are ignored.

    The loop asks `caught` between steps. A second signal within two seconds ends the process at
    once: nothing is damaged, since files only appear whole, but what was not yet saved is lost.
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self.is_saved = False
        self._is_waiting = False
        self._caught_at = 0.0
        self._previous: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        # Python hands signals to the main thread only; elsewhere whoever runs that one decides
        if threading.current_thread() is threading.main_thread():
            for signum in _heeded():
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
        passed_s = now - self._caught_at
        if self.caught is not None and passed_s < _IMPATIENCE_S:
            if passed_s < _TOGETHER_S:
                return
            _end(signum)
        self.caught = signal.Signals(signum)
        self._caught_at = now
        if self.is_saved and _ender is not None:
            _end(signum)
        if self.is_saved or self._is_waiting:
            raise StopRequested

    @contextmanager
    def saved(self) -> Iterator[None]:
        """Have a signal end the block wherever it is: the state is saved.

        Raises StopRequested, at once where a signal was caught before.
        """
        with _turned_on(self, "is_saved"), resumable():
            if self.caught is not None:
                raise StopRequested
            yield

    def waiting_for(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Give `items`; a signal ends the wait for one. Raises StopRequested."""
        rest = iter(items)
        while True:
            with _turned_on(self, "_is_waiting"):
                if self.caught is not None:
                    raise StopRequested
                try:
                    item = next(rest)
                except StopIteration:
                    return
            yield item

    def interruption(self, step: int) -> Interrupted:
        """Describe the interruption after `step` steps were saved."""
        signum = self.caught or signal.SIGINT
        return Interrupted(f"stopped by {signum.name} after step {step}; {_SAVED}", signum)


@contextmanager
def _turned_on(signals: StopSignals, name: str) -> Iterator[None]:
    setattr(signals, name, True)
    try:
        yield
    finally:
        setattr(signals, name, False)


def end_on_signals() -> None:
    """End this process at the first signal, with one line and 128 plus its number.

    For programs that are segcore's alone. Signals that are ignored, as under nohup, stay ignored.
    """
    global _ender  # noqa: PLW0603  signals belong to the process, and there is one
    _ender = _Ender()


@contextmanager
def finishing() -> Iterator[None]:
    """Let the block, which takes no time, end before a signal ends the process."""
    if _ender is None:
        yield
        return
    _ender.is_held = True
    try:
        yield
    finally:
        _ender.release()


@contextmanager
def resumable() -> Iterator[None]:
    """Let the line that says what ended this process say that the training can go on."""
    if _ender is None:
        yield
        return
    _ender.advice = f"; {_SAVED}"
    try:
        yield
    finally:
        _ender.advice = ""


class _Ender:
    """Ends the process: in the main thread, or in a thread that watches when that one is busy."""

    def __init__(self) -> None:
        self.is_held = False
        self.advice = ""
        self._held_back: int | None = None
        self._ending = threading.Lock()
        self._requests, notes = os.pipe()
        os.set_blocking(notes, False)
        signal.set_wakeup_fd(notes, warn_on_full_buffer=False)
        for signum in _heeded():
            signal.signal(signum, self._handle)
        # while the interpreter takes itself apart it is too late to be interrupted
        atexit.register(_ignore_signals)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.is_held:
            self._held_back = signum
        else:
            self.end(signum)

    def release(self) -> None:
        """Answer what came meanwhile."""
        self.is_held = False
        if self._held_back is not None:
            self.end(self._held_back)

    def end(self, signum: int) -> NoReturn:
        """Remove unfinished files, say why, and end the process."""
        if not self._ending.acquire(blocking=False):
            time.sleep(_ANSWER_S)  # the other thread is at it
            self._leave(signum)  # what is left behind is removed by the next start
        _remove_unfinished()
        with suppress(OSError, ValueError, RuntimeError):
            sys.stdout.flush()
        self._leave(signum)

    def _leave(self, signum: int) -> NoReturn:
        line = f"segcore: stopped by {signal.Signals(signum).name}{self.advice}\n"
        with suppress(OSError):
            # the cursor of a terminal may stand behind a progress bar
            os.write(2, (f"\n{line}" if os.isatty(2) else line).encode())
        os._exit(128 + signum)

    def _watch(self) -> None:
        """End the process where the main thread does not do so in time."""
        signum, since = 0, 0.0
        while True:
            rest_s = None if not signum else max(0.0, since + _ANSWER_S - time.monotonic())
            if not select.select([self._requests], [], [], rest_s)[0]:
                if not _is_something_at_stake(signum):
                    self.end(signum)
                signum = 0
                continue
            for number in os.read(self._requests, 64):
                now = time.monotonic()
                if not self._is_for_us(number) or (signum and now - since < _TOGETHER_S):
                    continue
                if signum:
                    self.end(number)
                signum, since = number, now

    def _is_for_us(self, number: int) -> bool:
        if number not in SIGNALS:
            return False
        handler = signal.getsignal(number)
        return handler == self._handle or _training_of(handler) is not None


_ender: _Ender | None = None
_Handler = Callable[[int, FrameType | None], object] | int | None


def _heeded() -> list[signal.Signals]:
    """Give the signals that are not ignored, and are not handled outside of Python."""
    return [s for s in SIGNALS if signal.getsignal(s) not in (signal.SIG_IGN, None)]


def _ignore_signals() -> None:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def _training_of(handler: _Handler) -> StopSignals | None:
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, StopSignals) else None


def _is_something_at_stake(signum: int) -> bool:
    training = _training_of(signal.getsignal(signum))
    return training is not None and not training.is_saved


def _remove_unfinished() -> None:
    # where it was not imported, nothing was written; importing it now could wait for ever
    files = sys.modules.get("segcore.checkpoint.files")
    remove = getattr(files, "remove_own_leftovers", None)
    if remove is not None:
        remove()


def _end(signum: int) -> NoReturn:
    if _ender is not None:
        _ender.end(signum)
    os._exit(128 + signum)
