"""A data worker as the loader sees it: started, asked, watched and ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from segcore import errors
from segcore.data.channel import Channel, ChannelClosedError, DescriptorLostError
from segcore.data.reader import Answer, Job, Reader
from segcore.data.worker import STACK_SIGNAL, Failed, Reading, Ready
from segcore.errors import WorkerError

__all__ = ["WorkerProcess"]

# Given to the interpreter with -c, so that the worker finds modules where this process does, and
# so that nothing in the current folder shadows a module on the way there.
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from segcore.data.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Have the C library keep the memory of images instead of returning it to the system after each
    # one: asking for it anew is half of the time of the transforms (thresholds in bytes).
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 2.0


class WorkerTracebackError(Exception):
    """The traceback of an error in a data worker, as text."""


class WorkerProcess:
    """Worker `number`, reading with `reader`; silent for `timeout_s` seconds means hung.

    Raises OSError when the process cannot be started.
    """

    def __init__(self, number: int, reader: Reader, timeout_s: float) -> None:
        self._number = number
        self._reader = reader
        self._timeout_s = timeout_s
        self._doing = "starting"
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        try:
            self._stacks, stacks = os.pipe()
        except OSError:
            ours.close()
            theirs.close()
            raise
        try:
            self._process = _start(theirs.fileno(), stacks)
        except OSError:
            ours.close()
            os.close(self._stacks)
            raise
        finally:
            theirs.close()
            os.close(stacks)
        self._channel.set_timeout(max(timeout_s, _START_TIMEOUT_S))
        self._is_set_up = False

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def submit(self, ticket: int, job: Job) -> None:
        """Ask for a batch under the number `ticket`. Raises WorkerError."""
        try:
            if not self._is_set_up:
                # Only now: all workers of a loader start while the first one is being set up.
                self._is_set_up = True
                self._channel.send(self._reader)
            self._channel.send((ticket, job))
        except ChannelClosedError:
            raise self._death() from None
        except TimeoutError:
            raise self._hang() from None

    def receive(self, ticket: int) -> Answer:
        """Wait for the batch of `ticket`, passing over older ones that nobody wants any more.

        Raises what reading it raised in the worker, and WorkerError when the worker died or hangs.
        """
        while True:
            try:
                message = self._channel.receive()
            except ChannelClosedError:
                raise self._death() from None
            except TimeoutError:
                raise self._hang() from None
            except DescriptorLostError:
                raise WorkerError(
                    f"{self._name()} could not hand over a batch: too many open files; raise the "
                    "limit (ulimit -n) or lower train.num_workers"
                ) from None
            if isinstance(message, Ready):
                self._doing = "waiting for work"
                self._channel.set_timeout(self._timeout_s)
            elif isinstance(message, Reading):
                self._doing = f"reading {self._reader.dataset.describe(message.index)}"
            elif isinstance(message, Failed) and message.ticket in (ticket, None):
                error: errors.SegcoreError = getattr(errors, message.kind)(message.message)
                raise error from WorkerTracebackError(f"in {self._name()}:\n{message.trace}")
            else:
                self._doing = "waiting for work"
                if message.ticket == ticket:
                    answer: Answer = message.answer
                    return answer

    def hang_up(self) -> None:
        """Let the worker end, without waiting for it."""
        self._channel.close()

    def close(self) -> None:
        """End the worker and wait until it is gone."""
        self.hang_up()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            os.close(self._stacks)

    def _death(self) -> WorkerError:
        try:
            status = self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return WorkerError(f"{self._name()} closed its connection while {self._doing}")
        how, remedy = f"ended with status {status}", "its last words are above"
        if status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
            remedy = "mend or remove the file if it happens there again"
        if status == -signal.SIGKILL:
            remedy = "the kernel does so when memory runs out: lower train.num_workers or crop_size"
        stack = self._read_stack(0.0)
        return WorkerError(f"{self._name()} {how} while {self._doing}; {remedy}{stack}")

    def _hang(self) -> WorkerError:
        with suppress(ProcessLookupError):
            os.kill(self.pid, STACK_SIGNAL)
        stack = self._read_stack(_END_TIMEOUT_S) or " (it shows no stack: is it stopped?)"
        self._process.kill()
        return WorkerError(
            f"{self._name()} was silent for {self._timeout_s:g} s (data.timeout_s)"
            f" while {self._doing}; mend the file or the storage, or raise the limit{stack}"
        )

    def _name(self) -> str:
        return f"data worker {self._number} (pid {self.pid})"

    def _read_stack(self, wait_s: float) -> str:
        """Give what the worker's fault handler writes within `wait_s`, on lines of its own."""
        text = b""
        while select.select([self._stacks], [], [], wait_s)[0]:
            part = os.read(self._stacks, 1 << 16)
            if not part:
                break
            text, wait_s = text + part, 0.2  # the rest of a dump follows at once
        _, mark, main_thread = text.decode(errors="replace").rpartition("Current thread")
        frames = main_thread.partition("\n\nExtension modules")[0]
        return f"\n{mark}{frames}".rstrip() if mark else ""


def _start(connection: int, stacks: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _START, str(connection), str(stacks), *sys.path],
        stdin=subprocess.DEVNULL,
        pass_fds=(connection, stacks),
        env={**os.environ, **_ENVIRONMENT},
        # Signals to the terminal's process group are for the parent alone.
        start_new_session=True,
    )
