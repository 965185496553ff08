"""A data worker: a process of its own that reads batches, without paddle, until its parent is gone.

It is started afresh (not forked, since Paddle's threads do not survive a fork) and runs nothing of
the parent's main script.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from segcore import errors
from segcore.data.channel import Channel, ChannelClosedError
from segcore.data.reader import Answer, Job, Reader

__all__ = ["STACK_SIGNAL", "Done", "Failed", "Reading", "Ready", "main"]

STACK_SIGNAL = signal.SIGUSR1
"""Asks a worker to write its stacks, also when it hangs inside a library."""


@dataclass(frozen=True)
class Ready:
    """The worker is set up."""


@dataclass(frozen=True)
class Reading:
    """The worker is about to read the sample `index`."""

    index: int


@dataclass(frozen=True)
class Done:
    """The batch that was asked for under `ticket`."""

    ticket: int
    answer: Answer


@dataclass(frozen=True)
class Failed:
    """The error that came instead: the name of its class in `segcore.errors`, and its text."""

    ticket: int | None
    kind: str
    message: str
    trace: str

    @classmethod
    def of(cls, error: errors.SegcoreError, ticket: int | None = None) -> Failed:
        """Describe `error`, whose class may be a plugin's, by its nearest class of segcore."""
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        return cls(ticket, kind, str(error), "".join(traceback.format_exception(error)))


def main(connection: int, stacks: int) -> None:
    """Serve the socket with descriptor `connection`; write stacks to the descriptor `stacks`."""
    # Ctrl-C is for the parent to handle: it saves its state first, then hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The standard output belongs to the parent's results, which may be JSON.
    with suppress(OSError):
        os.dup2(2, 1)
    faulthandler.enable(file=stacks)
    faulthandler.register(STACK_SIGNAL, file=stacks)
    channel = Channel(socket.socket(fileno=connection))
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    try:
        reader = _set_up(channel)
        while reader is not None:
            ticket, job = channel.receive()
            answer = _serve(reader, ticket, job, channel)
            try:
                channel.send(answer)
            except errors.ExhaustedError as error:
                channel.send(Failed.of(error, ticket))
    except ChannelClosedError:
        pass


def _end_with_parent(connection: int) -> None:
    """Wait until the parent hangs up or dies, and end this process whatever it is doing."""
    # The stack that is asked for is the main thread's.
    signal.pthread_sigmask(signal.SIG_BLOCK, {STACK_SIGNAL})
    poll = select.poll()
    poll.register(connection, 0)  # hang-ups are reported even so
    poll.poll()
    os._exit(0)


def _set_up(channel: Channel) -> Reader | None:
    """Receive the reader; None when it cannot be rebuilt here, which the parent is told."""
    import cv2

    # One process each is parallel enough; nested threads would fight over the cores.
    cv2.setNumThreads(1)
    try:
        reader: Reader = channel.receive()
    except (AttributeError, ImportError) as error:
        problem = errors.DataError(
            f"the data set or a transform cannot be rebuilt in a data worker: {error}; define it "
            "in an importable module instead of the main script, or set train.num_workers=0"
        )
        problem.__cause__ = error
        channel.send(Failed.of(problem))
        return None
    channel.send(Ready())
    return reader


def _serve(reader: Reader, ticket: int, job: Job, channel: Channel) -> Any:
    try:
        answer = reader.read(job, lambda index: channel.send(Reading(index)))
    except errors.SegcoreError as error:
        return Failed.of(error, ticket)
    return Done(ticket, answer)
