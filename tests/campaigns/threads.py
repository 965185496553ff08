"""One model, asked from many sides at once: threads, tasks of asyncio, generators and processes.

    python -m tests.campaigns.threads --count 10000

The model finds the strongest colour of each pixel, so that numpy knows every answer. Negative
control: the same threads on a predictor of Paddle without a lock.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np

from segcore.testing.site import Site
from tests import strongest_colour

RUNTIMES = ("paddle", "eager")
THREADS = 8
ROOT = Path(__file__).parents[2]
CONTROL_LIMIT_S = 120
SIZES = ((32, 48), (64, 64), (48, 80), (96, 64))


def image(number: int) -> np.ndarray:
    """Draw image `number`, in which no two channels of a pixel are alike."""
    generator = np.random.default_rng(number)
    base = generator.integers(0, 80, (*SIZES[number % len(SIZES)], 3), dtype=np.uint8)
    order = generator.permuted(np.broadcast_to([0, 80, 160], base.shape), axis=2)
    return base + order.astype(np.uint8)


def is_right(model, number: int) -> bool:
    """Ask the model about image `number`, and say whether the answer is the one to it."""
    picture = image(number)
    (result,) = model.predict(picture)
    return np.array_equal(result.label_map, picture.argmax(axis=2))


def by_threads(model, numbers: Iterable[int]) -> list[bool]:
    """Ask from eight threads at once."""
    with ThreadPoolExecutor(THREADS) as executor:
        return list(executor.map(partial(is_right, model), numbers))


def by_tasks(model, numbers: Iterable[int]) -> list[bool]:
    """Ask from tasks of asyncio, which run in threads."""

    async def ask() -> list[bool]:
        return await asyncio.gather(
            *(asyncio.to_thread(is_right, model, number) for number in numbers)
        )

    return asyncio.run(ask())


def by_generators(model, numbers: Iterable[int]) -> list[bool]:
    """Take results from three predictions in turn, in one thread."""
    parts = [list(numbers)[first::3] for first in range(3)]
    predictions = [
        zip(part, model.predict([image(number) for number in part]), strict=True) for part in parts
    ]
    return [
        np.array_equal(pair[1].label_map, image(pair[0]).argmax(axis=2))
        for turn in zip_longest(*predictions)
        for pair in turn
        if pair is not None
    ]


def by_children(model, numbers: Iterable[int]) -> list[bool]:
    """Ask from four children that are forked while a thread of this process asks, too."""
    numbers, stop = list(numbers), threading.Event()

    def ask_on() -> list[bool]:
        answers = all_of(model, numbers[4::5])
        while not stop.is_set():
            answers[0] &= is_right(model, numbers[4])
        return answers

    with ThreadPoolExecutor(1) as executor:
        asked = executor.submit(ask_on)
        children = [_fork(model, numbers[first::5]) for first in range(4)]
        found = [right for child in children for right in _answers_of(*child)]
        stop.set()
        found += asked.result()
    return found


def _fork(model, numbers: list[int]) -> tuple[int, int, int]:
    """Fork a child that asks; give its id, where it writes its answers, and their number."""
    source, end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork
        child = os.fork()
    if child == 0:
        os.write(end, bytes(all_of(model, numbers)))
        os._exit(0)
    os.close(end)
    return child, source, len(numbers)


def _answers_of(child: int, source: int, count: int) -> list[bool]:
    """Wait for a child and give its answers; those that it did not come to are wrong."""
    with open(source, "rb") as file:
        found = [bool(byte) for byte in file.read()]
    os.waitpid(child, 0)
    return found + [False] * (count - len(found))


def by_processes(method: str, model, numbers: Iterable[int]) -> list[bool]:
    """Ask from two workers, to which the model travels by pickle."""
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            numbers = list(numbers)
            parts = [numbers[first::2] for first in range(2)]
            found = executor.map(partial(all_of, model), parts)
            return [right for part in found for right in part]


def all_of(model, numbers: Iterable[int]) -> list[bool]:
    """Ask about several images in one process."""
    return [is_right(model, number) for number in numbers]


WAYS: dict[str, tuple[Callable[..., list[bool]], float]] = {
    "threads": (by_threads, 0.4),
    "tasks": (by_tasks, 0.2),
    "generators": (by_generators, 0.1),
    "forked children": (by_children, 0.1),
    "forked workers": (partial(by_processes, "fork"), 0.1),
    "spawned workers": (partial(by_processes, "spawn"), 0.1),
}


def control(run: Path, count: int) -> int:
    """Count the answers that are wrong, or fail, without the lock, in a process of its own.

    Two threads in one predictor may well end the process, or keep it from ending: then none counts.
    """
    path = os.pathsep.join((str(ROOT), *sys.path))
    command = [sys.executable, "-m", "tests.campaigns.threads", "--unlocked", str(run)]
    process = subprocess.Popen(
        [*command, "--count", str(count)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=CONTROL_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    words = said.split()
    if words[:1] != ["ready"]:
        raise RuntimeError("the negative control did not begin")
    return int(words[1]) if len(words) == 2 else count


def ask_unlocked(run: Path, count: int) -> int:
    """Count what is wrong, or fails, on a model without the lock around its session."""
    from segcore import create_model

    model = create_model(model_dir=run, device="cpu", runtime="paddle")
    assert is_right(model, 0)
    print("ready", flush=True)
    model.session = model.session.session

    def ask(number: int) -> bool:
        try:
            return is_right(model, number)
        except Exception:  # a graph that finds half of an input fails in many ways
            return False

    with ThreadPoolExecutor(THREADS) as executor:
        return list(executor.map(ask, range(count))).count(False)


def prepare(folder: Path) -> Path:
    """Install the model, and give a run folder of it."""
    from segcore.devices.framework import require_paddle
    from segcore.discovery.catalogue import get_catalogue

    site = Site(folder / "site")
    strongest_colour.install(site)
    sys.path.insert(0, str(site.folder))  # spawned workers get the same path
    require_paddle()
    strongest_colour.write_run(folder / "run", get_catalogue())
    return folder / "run"


def main() -> None:
    from segcore import create_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--unlocked", type=Path, metavar="RUN", help="the negative control alone")
    options = parser.parse_args()
    if options.unlocked is not None:
        print(ask_unlocked(options.unlocked, options.count))
        sys.stdout.flush()
        os._exit(0)
    total = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        run = prepare(Path(folder))
        for runtime in RUNTIMES:
            model = create_model(model_dir=run, device="cpu", runtime=runtime)
            for way, (ask, share) in WAYS.items():
                numbers = range(total, total + round(options.count * share / len(RUNTIMES)))
                answers = ask(model, numbers)
                print(f"{runtime}, {way}: {answers.count(False)} of {len(answers)} wrong")
                total, wrong = total + len(answers), wrong + answers.count(False)
        tried = max(200, options.count // 10)
        caught = control(run, tried)
    print(
        f"{total} answers over {', '.join(RUNTIMES)}: {wrong} wrong; negative control: "
        f"{caught} of {tried} wrong without the lock"
    )
    sys.stdout.flush()
    os._exit(0 if not wrong and caught else 1)


if __name__ == "__main__":
    main()
