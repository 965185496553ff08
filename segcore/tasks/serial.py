"""Sessions that several threads may use at once, because they let them in one by one."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

from segcore.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from segcore.protocols import InferenceSession

__all__ = ["SerialSession"]


class SerialSession:
    """Run `session` for one thread at a time, so that none gets the answer to another's images.

    A process is forked between two runs and never amid one, so that the child finds the session at
    rest. Where a device or an engine cannot be used on both sides of a fork, which `survives_fork`
    says, `run` raises RequestError in the child.
    """

    def __init__(self, session: InferenceSession, *, survives_fork: bool = True) -> None:
        self.session = session
        self._survives_fork = survives_fork
        self._process = os.getpid()
        self.turn = threading.RLock()
        with _registering:
            _sessions.add(self)

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """Run the model on arrays by input name and give its outputs in order."""
        if not self._survives_fork and os.getpid() != self._process:
            raise RequestError(
                "the model was loaded before this process was forked, and what it runs on cannot "
                "be used on both sides of a fork: load it in the child, or start processes by "
                'multiprocessing.get_context("spawn")'
            )
        with self.turn:
            return self.session.run(inputs)


def _wait_for_all() -> None:
    _registering.acquire()
    for session in _sessions:
        session.turn.acquire()
        _held.append(session)


def _release_all() -> None:
    while _held:
        _held.pop().turn.release()
    _registering.release()


_sessions: WeakSet[SerialSession] = WeakSet()
_registering = threading.RLock()
_held: list[SerialSession] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_wait_for_all, after_in_parent=_release_all, after_in_child=_release_all
    )
