"""The kit for runtimes passes segcore's own, and catches what breaks the contract."""

import os

import numpy as np
import pytest

from segcore.errors import CheckFailed
from segcore.inference.paddle import PaddleInference
from segcore.protocols import ModelSource
from segcore.testing.runtime import RuntimeSubject, runtime_checks, untrained_run

NAMES = [
    "repeats_itself",
    "gives_each_thread_its_own_answer",
    "gives_each_session_its_own_answer",
    "keeps_inputs_and_earlier_answers",
    "answers_or_refuses_after_a_fork",
    "says_what_it_cannot_run",
]


@pytest.fixture(scope="module")
def _run(tmp_path_factory):
    return tmp_path_factory.mktemp("untrained") / "run"


@pytest.fixture
def run(_run, toys):
    return _run if _run.exists() else untrained_run("Toy", _run)


def check(name, subject):
    (found,) = [each for each in runtime_checks(subject) if each.name == name]
    found()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("runtime", ["paddle", "eager"])
def test_own_runtimes_conform(run, runtime, name):
    check(name, RuntimeSubject(runtime, run))


@pytest.mark.parametrize("name", NAMES[1:2])
@pytest.mark.parametrize("runtime", ["paddle", "eager"])
def test_own_runtimes_conform_with_objects(toys, tmp_path, runtime, name):
    check(name, RuntimeSubject(runtime, untrained_run("Toy-Boxes", tmp_path / "run")))


def test_all_checks_are_there(run):
    assert [each.name for each in runtime_checks(RuntimeSubject("paddle", run))] == NAMES


class Session:
    """Gives the mean of each row of its input; the ways to break it are subclasses."""

    def run(self, inputs):
        (array,) = inputs.values()
        return [array.mean(axis=3)]


class Keeping(Session):
    """Keeps its input between two steps of a run."""

    def run(self, inputs):
        (self.array,) = inputs.values()
        self.array = np.sort(self.array, axis=3)
        return [self.array.max(axis=3) - self.array.min(axis=3)]


class SharedBetweenSessions(Session):
    shared = {}

    def run(self, inputs):
        (self.shared["x"],) = inputs.values()
        return [np.sort(self.shared["x"], axis=3).max(axis=3) - self.shared["x"].min(axis=3)]


class Reusing(Session):
    """Gives the same array each time, with other content."""

    def __init__(self):
        self.output = None

    def run(self, inputs):
        (answer,) = super().run(inputs)
        if self.output is None:
            self.output = np.empty_like(answer)
        self.output[...] = answer
        return [self.output]


class InPlace(Session):
    def run(self, inputs):
        (array,) = inputs.values()
        array *= 2
        return [array.mean(axis=3)]


class Restless(Session):
    count = 0

    def run(self, inputs):
        Restless.count += 1
        return [super().run(inputs)[0] + self.count]


class Blind(Session):
    def run(self, inputs):
        return [np.zeros(3)]


class Dying(Session):
    def __init__(self):
        self.process = os.getpid()

    def run(self, inputs):
        if os.getpid() != self.process:
            os.abort()
        return super().run(inputs)


class OtherAfterFork(Dying):
    def run(self, inputs):
        return [super(Dying, self).run(inputs)[0] + (os.getpid() != self.process)]


class Runtime(PaddleInference):
    """Gives a session of the class that a test wants."""

    session = Session

    def refusal(self, source):
        return None

    def load(self, source, device, index):
        return type(self).session()


class Subject(RuntimeSubject):
    def engine(self):
        return Runtime()


BROKEN = [
    (Keeping, "gives_each_thread_its_own_answer", "those of another thread"),
    (SharedBetweenSessions, "gives_each_session_its_own_answer", "on sessions of their own"),
    (Reusing, "keeps_inputs_and_earlier_answers", "give copies"),
    (InPlace, "keeps_inputs_and_earlier_answers", "changes its inputs"),
    (Restless, "repeats_itself", "differ when asked for again"),
    (Blind, "repeats_itself", "a mix-up could not be seen"),
    (Dying, "answers_or_refuses_after_a_fork", "a child ends with -6"),
    (OtherAfterFork, "answers_or_refuses_after_a_fork", "another answer after a fork"),
    (Session, "says_what_it_cannot_run", "says nothing against"),
]


@pytest.mark.parametrize(("session", "name", "problem"), BROKEN)
def test_what_breaks_the_contract_is_caught(run, monkeypatch, session, name, problem):
    monkeypatch.setattr(Runtime, "session", session)
    with pytest.raises(CheckFailed, match=problem):
        check(name, Subject("broken", run))


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_session_that_keeps_nothing_conforms(run, monkeypatch, name):
    monkeypatch.setattr(Runtime, "session", Session)
    check(name, Subject("sound", run))


def test_own_runtimes_refuse_a_source_without_files():
    assert PaddleInference().refusal(ModelSource())
