"""Check that an inference runtime keeps its contract (`segcore.protocols`); for authors of plugins.

def test_my_runtime_conforms(tmp_path):
run = untrained_run("Some-Model", tmp_path / "run")  # or the folder of one of yours
for check in runtime_checks(RuntimeSubject("My-Runtime", run)):
check()
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle

from segcore.errors import RequestError
from segcore.protocols import ModelSource
from segcore.testing.conformance import Check, require

if TYPE_CHECKING:
    from segcore.protocols import InferenceSession, Runtime

__all__ = ["RuntimeSubject", "runtime_checks", "untrained_run"]

Arrays = Sequence[np.ndarray]

_THREADS = 8
_ROUNDS = 6
_CHILD_LIMIT_S = 120.0
_AT_ODDS = 3  # how a child ends whose answer is another one


@dataclass(frozen=True)
class RuntimeSubject:
    """A runtime by name, and a model for it to run: what `create_model` takes as `model_dir`.

    `size` (H, W) is that of the images, which are noise. `tolerance` bounds how far an answer may
    move when it is asked for again, relative to the largest value in it.
    """

    runtime: str
    model_dir: Path
    device: str = "cpu"
    size: tuple[int, int] = (64, 96)
    tolerance: float = 1e-3

    def engine(self) -> Runtime:
        """Build the runtime."""
        from segcore.discovery.catalogue import get_catalogue

        engine: Runtime = get_catalogue().runtimes.find(self.runtime).load_target()()
        return engine

    def load(self) -> InferenceSession:
        """Load the model as `create_model` does."""
        from segcore.devices.select import select_device
        from segcore.discovery.catalogue import get_catalogue
        from segcore.inference.source import find_model

        choice = select_device(self.device, get_catalogue())
        source = find_model(self.model_dir).source
        return self.engine().load(source, choice.device, choice.indices[0])

    def inputs(self) -> list[dict[str, np.ndarray]]:
        """Draw the inputs of one run for each thread, all different."""
        from segcore.inference.eager import create_task
        from segcore.inference.source import find_model

        found = find_model(self.model_dir)
        task = create_task(found.config, found.class_names, found.task)
        example = task.example_inputs(self.size)
        generators = map(np.random.default_rng, range(_THREADS))
        return [
            {
                name: generator.normal(size=array.shape).astype(array.dtype)
                if array.ndim == 4
                else array
                for name, array in example.items()
            }
            for generator in generators
        ]

    def same(self, one: Arrays, other: Arrays) -> bool:
        """Say whether two answers are the same but for rounding."""
        return len(one) == len(other) and all(
            a.shape == b.shape
            and bool((np.abs(a - b) <= self.tolerance * np.abs(a).max(initial=0)).all())
            for a, b in zip(map(_signed, one), map(_signed, other), strict=True)
        )


def runtime_checks(subject: RuntimeSubject) -> list[Check]:
    """List the checks of `subject`, none of them run yet."""
    return [Check(name, partial(function, subject)) for name, function in _CHECKS.items()]


def untrained_run(
    model: str, folder: Path, num_classes: int = 3, options: Mapping[str, Any] | None = None
) -> Path:
    """Write what a training of `model` leaves into `folder`, with weights as they were drawn."""
    from segcore.checkpoint.files import make_folders
    from segcore.checkpoint.ownership import Guard
    from segcore.checkpoint.weights import write_weights
    from segcore.config.render import render_config
    from segcore.config.resolve import resolve_config
    from segcore.discovery.catalogue import get_catalogue
    from segcore.export.write import write_export
    from segcore.inference.eager import create_task

    catalogue = get_catalogue()
    settings = {"data.num_classes": num_classes, "model.options": dict(options or {})}
    config = resolve_config(model, None, (), settings, catalogue).config
    paddle.seed(0)
    network = catalogue.build_model(catalogue.models.find(model), num_classes, options)
    Guard().write_file(folder / "config.yaml", render_config(config).encode())
    make_folders(folder / "best_model")
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_weights(folder / "best_model" / "model.pdparams", weights)
    write_export(network, create_task(config, None), folder / "best_model" / "inference")
    return folder


def _repeats_itself(subject: RuntimeSubject) -> None:
    session, inputs = subject.load(), subject.inputs()
    _alone(subject, session, inputs)


def _gives_each_thread_its_own_answer(subject: RuntimeSubject) -> None:
    session, inputs = subject.load(), subject.inputs()
    alone = _alone(subject, session, inputs)
    _compare(subject, alone, _at_once([partial(_run, session, given) for given in inputs]))


def _gives_each_session_its_own_answer(subject: RuntimeSubject) -> None:
    inputs = subject.inputs()
    alone = _alone(subject, subject.load(), inputs)
    loaded: list[InferenceSession] = []
    failures = _together([lambda: loaded.append(subject.load()) for _ in inputs])
    require(not failures, f"loading in {_THREADS} threads at once: {failures[:1]}")
    work = [partial(_run, own, given) for own, given in zip(loaded, inputs, strict=True)]
    _compare(subject, alone, _at_once(work), "sessions of their own")


def _keeps_inputs_and_earlier_answers(subject: RuntimeSubject) -> None:
    session, inputs = subject.load(), subject.inputs()
    given = {name: array.copy() for name, array in inputs[0].items()}
    first = _run(session, inputs[0])
    then = [array.copy() for array in first]
    for other in inputs[1:]:
        session.run(other)
    require(
        all(np.array_equal(a, b) for a, b in zip(first, then, strict=True)),
        "a later run changes the arrays that an earlier one gave: give copies",
    )
    changed = [name for name, array in given.items() if not np.array_equal(array, inputs[0][name])]
    require(not changed, f"a run changes its inputs: {changed}")


def _answers_or_refuses_after_a_fork(subject: RuntimeSubject) -> None:
    if not hasattr(os, "fork"):
        return
    session, inputs = subject.load(), subject.inputs()
    alone = _run(session, inputs[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of threads, as it should
        child = os.fork()
    if child == 0:
        try:
            answered = subject.same(alone, _run(session, inputs[0]))
            os._exit(0 if answered else _AT_ODDS)
        except RequestError:
            os._exit(0)
        finally:
            os._exit(1)
    code = _end_of(child)
    require(code is not None, f"a child does not answer within {_CHILD_LIMIT_S:.0f} s after a fork")
    require(code != _AT_ODDS, "a child gives another answer after a fork")
    require(
        code == 0,
        f"a child ends with {code} after a fork: refuse to run there with RequestError, as "
        "SerialSession(session, survives_fork=False) does",
    )


def _says_what_it_cannot_run(subject: RuntimeSubject) -> None:
    reason = subject.engine().refusal(ModelSource())
    require(bool(reason), "refusal() says nothing against a source without any files")


_CHECKS: dict[str, Callable[[RuntimeSubject], None]] = {
    function.__name__.lstrip("_"): function
    for function in (
        _repeats_itself,
        _gives_each_thread_its_own_answer,
        _gives_each_session_its_own_answer,
        _keeps_inputs_and_earlier_answers,
        _answers_or_refuses_after_a_fork,
        _says_what_it_cannot_run,
    )
}


def _run(session: InferenceSession, inputs: Mapping[str, np.ndarray]) -> Arrays:
    return session.run(inputs)


def _alone(
    subject: RuntimeSubject, session: InferenceSession, inputs: Sequence[Mapping[str, np.ndarray]]
) -> list[Arrays]:
    """Give the answers of a session that has nothing else to do; they must tell inputs apart."""
    first, second = ([_run(session, given) for given in inputs] for _ in range(2))
    same = [subject.same(one, again) for one, again in zip(first, second, strict=True)]
    require(all(same), f"{same.count(False)} of {len(same)} answers differ when asked for again")
    others = [subject.same(first[number - 1], first[number]) for number in range(len(first))]
    require(
        not any(others),
        "different images get the same answer, so that a mix-up could not be seen: give a model "
        "that tells them apart",
    )
    return first


def _at_once(work: Sequence[Callable[[], Arrays]]) -> list[list[Arrays | str]]:
    """Do each piece of work several times, all in threads at once; give answers, or failures."""
    answers: list[list[Arrays | str]] = [[] for _ in work]

    def repeat(number: int) -> None:
        with _yielding():
            answers[number].append(_answer(work[number]))
        answers[number] += [_answer(work[number]) for _ in range(_ROUNDS - 1)]

    _together([partial(repeat, number) for number in range(len(work))])
    return answers


def _answer(work: Callable[[], Arrays]) -> Arrays | str:
    try:
        return work()
    # the plugin boundary: a runtime is a stranger's code and may raise anything
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def _together(work: Sequence[Callable[[], object]]) -> list[str]:
    """Do all the work at once, a thread each, which change often; give what was raised."""
    start = threading.Barrier(len(work))
    failures: list[str] = []

    def begin(piece: Callable[[], object]) -> None:
        start.wait()
        try:
            piece()
        # the plugin boundary, as above
        except Exception as error:  # noqa: BLE001
            failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=begin, args=(piece,)) for piece in work]
    with _changing_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return failures


@contextmanager
def _yielding() -> Iterator[None]:
    """Let other threads in after each line of Python, where a mix-up would otherwise be rare."""
    before = sys.gettrace()

    def let_others_in(*_: object) -> Any:
        time.sleep(0)
        return let_others_in

    sys.settrace(let_others_in)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def _changing_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _compare(
    subject: RuntimeSubject,
    alone: Sequence[Arrays],
    answers: Sequence[Sequence[Arrays | str]],
    what: str = "one session",
) -> None:
    """Raise CheckFailed unless all answers are those that were given alone."""
    failed = [answer for own in answers for answer in own if isinstance(answer, str)]
    wrong = [
        answer
        for expected, own in zip(alone, answers, strict=True)
        for answer in own
        if not isinstance(answer, str) and not subject.same(expected, answer)
    ]
    swapped = sum(any(subject.same(other, answer) for other in alone) for answer in wrong)
    count = sum(map(len, answers))
    problems = []
    if wrong:
        problems.append(f"{len(wrong)} are wrong, {swapped} of them those of another thread")
    if failed:
        problems.append(f"{len(failed)} raise, such as {failed[0]}")
    require(
        not problems,
        f"of {count} answers to {len(alone)} threads at once on {what}, {' and '.join(problems)}: "
        "keep what a run needs out of the session and of what sessions share, or put the session "
        "behind segcore.tasks.serial.SerialSession",
    )


def _end_of(child: int) -> int | None:
    """Wait for the exit code of a child; None where it had to be killed."""
    deadline = time.monotonic() + _CHILD_LIMIT_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def _signed(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)
