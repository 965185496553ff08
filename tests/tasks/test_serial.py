"""Threads take turns at a session, and a fork waits for its turn as well."""

import os
import threading
import warnings

import numpy as np
import pytest

from segcore.errors import RequestError
from segcore.tasks.serial import SerialSession


def fork():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork
        return os.fork()


class Meeting:
    """A session that waits in each run until another thread is in a run as well."""

    def __init__(self):
        self.both = threading.Barrier(2)
        self.met = 0

    def run(self, inputs):
        try:
            self.both.wait(0.05)
            self.met += 1
        except threading.BrokenBarrierError:
            self.both.reset()
        return list(inputs.values())


@pytest.mark.parametrize(("wrap", "met"), [(SerialSession, 0), (lambda session: session, 2)])
def test_no_two_threads_are_inside(wrap, met):
    meeting = Meeting()
    session = wrap(meeting)
    threads = [threading.Thread(target=session.run, args=({},)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meeting.met == met


class Waiting:
    """A session whose run ends when `go_on` is set."""

    def __init__(self):
        self.is_inside, self.go_on = threading.Event(), threading.Event()
        self.is_running = False

    def run(self, inputs):
        self.is_running = True
        self.is_inside.set()
        self.go_on.wait()
        self.is_running = False
        return list(inputs.values())


def test_a_child_finds_the_session_at_rest():
    waiting = Waiting()
    session = SerialSession(waiting)
    thread = threading.Thread(target=session.run, args=({},))
    thread.start()
    waiting.is_inside.wait()
    threading.Timer(0.05, waiting.go_on.set).start()
    child = fork()
    if child == 0:
        session.run({})  # nobody holds the lock here
        os._exit(7 if waiting.is_running else 0)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    session.run({})


def test_what_cannot_be_used_after_a_fork_is_refused_there():
    session = SerialSession(Meeting(), survives_fork=False)
    child = fork()
    if child == 0:
        try:
            session.run({})
        except RequestError as error:
            os._exit(0 if "spawn" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    array = np.ones(3)
    assert session.run({"x": array}) == [array]
