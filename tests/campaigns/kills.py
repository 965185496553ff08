"""SIGKILL before and after every change of the disk that every command makes.

    python -m tests.campaigns.kills               at every change
    python -m tests.campaigns.kills --count 20    at 20 changes a command, spread evenly
    python -m tests.campaigns.kills --random 200  at random moments, of programs of their own

Changes are counted below all code of segcore, in the functions of the system that Python offers, so
code that goes past the seam of the disk is killed as well. Negative control: a command that writes
its files in place.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.campaigns.commands import COMMANDS, Bench, Command, choose

CHANGES = (
    *("write", "replace", "rename", "unlink", "remove", "mkdir", "rmdir"),
    *("ftruncate", "truncate", "link", "symlink", "fsync"),
)
_FOR_WRITING = os.O_WRONLY | os.O_RDWR


class Changes:
    """Counts the changes of the disk that this process makes, and kills it around the `n`-th."""

    def __init__(self, n: int = 0, when: str = "before", report: Path | None = None) -> None:
        self.n = n
        self.when = when
        self.report = report
        self.count = 0

    def watch(self) -> None:
        """Put this before the functions of the system."""
        self.original = {name: getattr(os, name) for name in ("open", *CHANGES)}
        for name in CHANGES:
            setattr(os, name, partial(self._around, name))
        os.sync = lambda: None  # a kill, unlike a power cut, leaves what was not flushed
        os.open = self._open
        builtins.open = io.open = partial(self._open_file, io.open)

    def _around(self, name: str, *args: Any, **options: Any) -> Any:
        call = self.original[name]
        if name == "write" and args[0] < 3:
            return call(*args)
        if name == "fsync":
            call = lambda *_: None  # noqa: E731
        return self._strike(partial(call, *args, **options))

    def _open(self, path: Any, flags: int, *args: Any, **options: Any) -> Any:
        call = partial(self.original["open"], path, flags, *args, **options)
        if not flags & _FOR_WRITING or str(path).startswith(("/dev/", "/proc/")):
            return call()
        return self._strike(call)

    def _open_file(self, call: Callable[..., Any], file: Any, mode: str = "r", *args: Any,
                   **options: Any) -> Any:  # fmt: skip
        call = partial(call, file, mode, *args, **options)
        if not set(mode) & set("wax+") or str(file).startswith(("/dev/", "/proc/")):
            return call()
        return self._strike(call)

    def _strike(self, call: Callable[[], Any]) -> Any:
        self.count += 1
        if self.report is not None:
            descriptor = self.original["open"](self.report, os.O_WRONLY | os.O_CREAT, 0o666)
            self.original["write"](descriptor, b"%9d" % self.count)
            os.close(descriptor)
        if self.count != self.n:
            return call()
        if self.when == "after":
            with contextlib.suppress(OSError):
                call()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process outlived SIGKILL")


def count_changes(bench: Bench, command: Command, spoil: Callable[[], object]) -> int:
    """Give the number of changes that `command` makes."""
    report = bench.root / "count"
    report.unlink(missing_ok=True)
    bench.begin()

    def prepare() -> None:
        spoil()
        Changes(report=report).watch()

    assert bench.run(command, prepare=prepare) == 0, bench.said()
    return int(report.read_text())


def kill_at_changes(
    bench: Bench, command: Command, most: int | None = None, spoil: Callable[[], object] = int
) -> Iterator[list[str]]:
    """Kill `command` around its changes, all or `most` of them; give the faults of each time."""
    bench.reference(command)
    total = count_changes(bench, command, spoil)
    points = [(n, when) for n in range(1, total + 1) for when in ("before", "after")]
    if most is not None and most < len(points):
        points = [points[int(i * len(points) / most)] for i in range(most)]
    for n, when in points:
        bench.begin()

        def prepare(n: int = n, when: str = when) -> None:
            spoil()
            Changes(n, when).watch()

        status = bench.run(command, prepare=prepare)
        where = f"{command.name}, {when} change {n} of {total}"
        if status != -signal.SIGKILL:
            yield [f"{where}: was not killed but ended with {status}: {bench.said()[-300:]}"]
            continue
        yield [f"{where}: {fault}" for fault in bench.faults_after(command)]


def kill_at_random(
    bench: Bench, command: Command, rng: random.Random, usual_s: float
) -> tuple[bool, list[str]]:
    """Kill a program of its own at a random moment; say whether it was killed, and the faults."""
    bench.begin()
    child = start(bench, command)
    time.sleep(rng.uniform(0, usual_s))  # the fault itself, not a wait for something
    child.kill()
    child.communicate()
    faults = [f"{command.name}: {fault}" for fault in bench.faults_after(command)]
    return child.returncode == -signal.SIGKILL, faults


def start(bench: Bench, command: Command) -> subprocess.Popen[bytes]:
    """Start `command` as a program of its own."""
    return subprocess.Popen(
        [sys.executable, *command.program],
        cwd=bench.work,
        env=bench.site.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def usual_seconds(bench: Bench, command: Command) -> float:
    """Measure how long `command` takes as a program of its own."""
    bench.begin()
    begun = time.monotonic()
    start(bench, command).communicate()
    return time.monotonic() - begun


def write_in_place() -> None:
    """Negative control: write files under their own names."""
    from segcore.checkpoint import ownership

    def in_place(path: Path, data: bytes, *_: Any) -> None:
        with Path(path).open("wb", buffering=0) as file:
            step = len(data) // 8 + 1  # in pieces, so that most kills meet half of a file
            for begin in range(0, len(data), step):
                os.write(file.fileno(), data[begin : begin + step])

    ownership.write_atomic = in_place


def spoilt(bench: Bench, most: int | None) -> tuple[int, int]:
    """Kill the negative control; give how many kills were caught, and how many there were."""
    command = next(command for command in COMMANDS if command.name == "demo")
    found = list(kill_at_changes(bench, command, most, write_in_place))
    return sum(bool(faults) for faults in found), len(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="kills a command; at every change if not given")
    parser.add_argument("--random", type=int, help="kills at random moments, of all commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="names of commands, with commas")
    options = parser.parse_args()
    commands = choose(COMMANDS, options.only)
    with tempfile.TemporaryDirectory(prefix="segcore-kills-") as folder:
        bench = Bench(Path(folder) / "bench")
        if options.random is not None:
            return _at_random(bench, commands, options.random, options.seed)
        kills = faulty = 0
        for command in commands:
            found = list(kill_at_changes(bench, command, options.count))
            bad = [faults for faults in found if faults]
            kills, faulty = kills + len(found), faulty + len(bad)
            shown = [line for faults in bad for line in faults][:8]
            print(f"{command.name}: {len(found)} kills, {len(bad)} with faults", *shown,
                  sep="\n  ", flush=True)  # fmt: skip
        caught, of = spoilt(bench, options.count and max(options.count, 16))
    print(
        f"{kills} kills at changes of {len(commands)} commands: {faulty} with faults; "
        f"negative control: {caught} of {of} kills of a command that writes in place were noticed"
    )
    return int(faulty > 0 or caught == 0)


def _at_random(bench: Bench, commands: list[Command], count: int, seed: int) -> int:
    rng = random.Random(seed)
    usual = {command.name: usual_seconds(bench, command) for command in commands}
    killed = faulty = 0
    for number in range(count):
        command = commands[number % len(commands)]
        was_killed, faults = kill_at_random(bench, command, rng, usual[command.name])
        killed, faulty = killed + was_killed, faulty + bool(faults)
        print(*faults, sep="\n", end="\n" if faults else "", flush=True)
    print(
        f"{count} starts of {len(commands)} commands, {killed} killed at a random moment: "
        f"{faulty} with faults"
    )
    return int(faulty > 0 or killed == 0)


if __name__ == "__main__":
    raise SystemExit(main())
