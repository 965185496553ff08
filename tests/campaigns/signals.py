"""INT, TERM and HUP at random moments of every command, from the start of its process on.

    python -m tests.campaigns.signals --count 100    signals a command

Each must end the process within three seconds with its code and one line, or, where a training
saves its state, with the line that says so; nothing half written is found, no child lives on, and
the command, given again, succeeds and leaves nothing over. In a program of a user it is Python that
answers signals, but for those that come while it trains. Negative control: a command that answers
no signal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segcore.checkpoint.process import birth
from tests.campaigns.commands import COMMANDS, READERS, Bench, Command, choose

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LIMIT_S = 3.0
LINE = re.compile(r"segcore: stopped by (SIGINT|SIGTERM|SIGHUP)([ ;].*)?$")
DEAF = Command(
    "deaf",
    (),
    writes=False,
    script=f"""
import signal, time
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), lambda *_: time.sleep({LIMIT_S + 1}))
time.sleep(1)
""",
)


@dataclass(frozen=True)
class Ending:
    """How a process ended after a signal."""

    signum: signal.Signals
    code: int
    seconds: float
    out: str
    err: str
    was_ours: bool
    orphans: tuple[int, ...]


def heed() -> None:
    """Take back that signals are ignored, as under nohup, since children inherit that."""
    for signum in SIGNALS:
        if signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)


def interrupt(bench: Bench, command: Command, signum: signal.Signals, delay_s: float) -> Ending:
    """Start `command`, send the signal after `delay_s`, and say how it ended."""
    bench.begin()
    out, err = bench.root / "out", bench.root / "err"
    # into files: a pipe that nobody reads is full after 64 KiB, and then no answer can be whole
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, *command.program],
            cwd=bench.work,
            env={**bench.site.environment(), "TMPDIR": str(bench.temporary)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(delay_s)
    children = _children(child.pid)
    was_ours = _answers(child.pid, signum)
    begun = time.monotonic()
    child.send_signal(signum)
    try:
        child.wait(10 * LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    seconds = time.monotonic() - begun
    deadline = time.monotonic() + LIMIT_S
    while any(map(birth, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    orphans = tuple(filter(birth, children))
    said = out.read_text(), err.read_text()
    return Ending(signum, child.returncode, seconds, *said, was_ours, orphans)


def faults_of(
    bench: Bench, command: Command, ending: Ending, limit_s: float = LIMIT_S
) -> Iterator[str]:
    """Say what is wrong with an ending, and with what it left."""
    if ending.code == 0:
        pass  # the work was done before
    elif command.script and ending.code == -ending.signum:
        pass  # as Python answers
    elif ending.was_ours or ending.code > 0:
        if ending.code != 128 + ending.signum:
            yield f"ends with {ending.code}: {ending.err[-300:]}"
        lines = [line for line in ending.err.splitlines() if line]
        last = LINE.match(lines[-1]) if lines else None
        if last is None or last[1] != ending.signum.name:
            yield f"does not say what stopped it: {ending.err[-300:]!r}"
        if sum(LINE.match(line) is not None for line in lines) > 1:
            yield f"says it twice: {ending.err[-300:]!r}"
    if ending.seconds > limit_s:
        yield f"took {ending.seconds:.1f} s"
    if "Traceback" in ending.err and not (command.script and ending.code == -signal.SIGINT):
        yield f"shows a trace: {ending.err[-300:]}"
    if "--json" in command.arguments and ending.out and not _is_json(ending.out):
        yield f"half of JSON: ...{ending.out[-60:]!r}"
    if ending.orphans:
        yield f"children live on: {ending.orphans}"
    yield from (f"left in TMPDIR: {name}" for name in bench.temporary.iterdir())
    if command.writes:
        yield from bench.faults_after(command)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _answers(pid: int, signum: signal.Signals) -> bool:
    """Say whether segcore answers the signal by now; before, it is Python that begins."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                # Python itself catches INT, and nothing else, so the others tell
                return bool(int(line.split()[1], 16) >> (signal.SIGHUP - 1) & 1)
    return False


def run_campaign(
    bench: Bench,
    command: Command,
    count: int,
    rng: random.Random,
    limit_s: float = LIMIT_S,
) -> tuple[Counter[str], float, list[str]]:
    """Send `count` signals to `command`; give how they ended, the slowest answer, the faults."""
    usual_s = _usual_seconds(bench, command)
    seen, slowest_s = Counter[str](), 0.0
    faults: list[str] = []
    for number in range(count):
        delay_s = rng.uniform(0, usual_s)
        ending = interrupt(bench, command, SIGNALS[number % 3], delay_s)
        before = not command.script and not ending.was_ours and ending.code != 0
        seen["finished" if ending.code == 0 else "before" if before else "stopped"] += 1
        if before:
            continue  # Python had not come to our first line
        slowest_s = max(slowest_s, ending.seconds)
        where = f"{command.name}, {ending.signum.name} after {delay_s:.2f} s"
        faults += [f"{where}: {fault}" for fault in faults_of(bench, command, ending, limit_s)]
    return seen, slowest_s, faults


def _usual_seconds(bench: Bench, command: Command) -> float:
    bench.begin()
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command.program],
        cwd=bench.work,
        env=bench.site.environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr  # doctor and checks may say no
    return time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="signals a command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="names of commands, with commas")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for an answer")
    options = parser.parse_args()
    commands = choose((*READERS, *COMMANDS), options.only)
    heed()
    rng, total, slowest_s, faulty = random.Random(options.seed), Counter[str](), 0.0, 0
    with tempfile.TemporaryDirectory(prefix="segcore-signals-") as folder:
        bench = Bench(Path(folder) / "bench")
        for command in commands:
            seen, seconds, faults = run_campaign(bench, command, options.count, rng, options.limit)
            total, faulty = total + seen, faulty + len(faults)
            slowest_s = max(slowest_s, seconds)
            what = f"{command.name}: {dict(seen)}, answered within {seconds:.1f} s"
            print(f"{what}, {len(faults)} faults", *faults[:8], sep="\n  ", flush=True)
        few = min(options.count, 3)
        _, _, caught = run_campaign(bench, DEAF, few, rng)
    print(
        f"{options.count} signals to each of {len(commands)} commands: {total['stopped']} stopped, "
        f"{total['finished']} too late, {total['before']} before our first line, the slowest "
        f"answer after {slowest_s:.1f} s, {faulty} faults; "
        f"negative control: {len(caught)} faults in {few} signals to a command that answers none"
    )
    return int(faulty > 0 or not caught)


if __name__ == "__main__":
    raise SystemExit(main())
