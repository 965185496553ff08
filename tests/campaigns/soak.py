"""A training under random kills, signals, full disks and second starts, until it is complete.

    python -m tests.campaigns.soak --minutes 30

It is begun again with `--resume` after each fault; when it is complete, the next one begins, with
more steps and another seed. Each kind of fault has its turn before one comes again, and the last
line says how many of each ended a training. The run folder is on a disk of its own, a few megabytes
large, which other files fill up; where none may be mounted that fault is left out, and the last
line says so. Its weights, its best model and its history must be those of the same training without
any fault, byte for byte, and nothing may be left over. Negative control: a run of which one
checkpoint was changed meanwhile ends in other weights, or is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from segcore.testing.site import Site
from tests import toy
from tests.campaigns.commands import LEFTOVER
from tests.campaigns.signals import LINE, heed

FULL_DISK = "full disk"
FAULTS = (
    *("kill", "SIGINT", "SIGTERM", "SIGHUP", "impatience", "short files", FULL_DISK),
    *("second start", "none"),
)
SETTINGS = (
    *("train.batch_size=4", "train.crop_size=[48, 48]", "train.eval_interval=7"),
    *("train.save_interval=5", "train.ema_decay=0.9", "train.optimizer.clip_norm=5.0"),
    *("train.log_interval=1",),
)
OCCUPIED = "works in this run folder"
SMALL_FILE_BYTES = 4096  # less than a checkpoint's files, so that one of them does not fit
DISK_BYTES = 4 << 20  # a run takes a tenth of it
CLONE_NEWNS, MS_PRIVATE, MS_REC, MNT_DETACH = 1 << 17, 1 << 18, 1 << 14, 2  # of <linux/>


class Soak:
    """One place with a dataset and the Toy plugin, in which trainings are disturbed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.rng = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self.faults: list[str] = []
        self.disk = root / "disk"
        self.disk.mkdir()
        self.kinds = [kind for kind in FAULTS if kind != FULL_DISK or mount_disk(self.disk)]
        self._to_come: list[str] = []
        self.site = Site(root / "site")
        self.site.install("toy", toy.PLUGIN)
        self.site.write(self.site.folder / "toy_network.py", toy.NETWORK)
        self._run(["data", "demo", "data", "--kind", "shapes", "--images", "20", "--size", "64"])

    def arguments(self, run: str, steps: int, seed: int) -> list[str]:
        """Give the command that trains in `run`, or goes on there."""
        settings = (*SETTINGS, f"train.iters={steps}", f"train.seed={seed}")
        command = ["train", "Toy", "--resume", "--device", "cpu", "--data", "data"]
        command += ["--output", run, "-o", f"train.num_workers={self.rng.choice((0, 0, 1))}"]
        return command + [text for setting in settings for text in ("-o", setting)]

    def start(
        self, arguments: list[str], limit: Callable[[], object] | None = None
    ) -> subprocess.Popen[str]:
        """Start `segcore` as a program of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "segcore", *arguments],
            cwd=self.root,
            env=self.site.environment(OMP_NUM_THREADS="1", TMPDIR=str(self.root)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,  # noqa: PLW1509  this process has no other threads
        )

    def _run(self, arguments: list[str]) -> None:
        child = self.start(arguments)
        _, said = child.communicate()
        assert child.returncode == 0, said

    def disturb(self, arguments: list[str]) -> bool:
        """Start the training, do something bad to it, and say whether it is complete."""
        if not self._to_come:
            self._to_come = self.rng.sample(self.kinds, len(self.kinds))
        fault = self._to_come.pop()
        child = self.start(arguments, _limit_files if fault == "short files" else None)
        if fault not in ("short files", "none"):
            self._wait(child)
            if fault == "kill":
                child.kill()
            elif fault == FULL_DISK:
                fill_disk(self.disk, self.rng.choice((0, 3000, 12_000, 40_000)))
            elif fault == "second start":
                self._start_second(arguments, child)
                child.send_signal(signal.SIGTERM)
            elif fault == "impatience":
                for pause_s in (0.1, 0):
                    child.send_signal(signal.SIGINT)
                    time.sleep(pause_s)
            else:
                child.send_signal(getattr(signal, fault))
        _, said = child.communicate()
        (self.disk / "filler").unlink(missing_ok=True)
        self.seen[fault] += 1
        self.struck[fault] += child.returncode != 0
        allowed = {
            "kill": {-signal.SIGKILL}, "SIGINT": {130}, "SIGTERM": {143}, "SIGHUP": {129},
            "impatience": {130}, "short files": {2, 4}, FULL_DISK: {2, 4},
            "second start": {143}, "none": set(),
        }[fault]  # fmt: skip
        if fault == "second start" and OCCUPIED in said:
            allowed = {2}  # the second start was the first to take the folder
        if child.returncode not in allowed | {0}:
            # before our first line it is Python that answers signals
            before = child.returncode in (-1, -2, -15) or "segcore" not in said
            if not before:
                self.faults.append(f"{fault}: ended with {child.returncode}: {said[-400:]}")
        elif "this is a defect" in said or (
            child.returncode > 128 and not any(map(LINE.match, said.splitlines()))
        ):
            self.faults.append(f"{fault}: said {said[-400:]}")
        return child.returncode == 0

    def _wait(self, child: subprocess.Popen[str]) -> None:
        """Wait until the moment of the fault: any time, or once the training is under way."""
        if self.rng.random() < 0.7:
            for line in child.stderr or ():
                if line.startswith(("going on", "training Toy")):
                    break
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(self.rng.uniform(0, 2.5))  # the fault itself, not a wait for something

    def _start_second(self, arguments: list[str], first: subprocess.Popen[str]) -> None:
        lock = self.disk / "run/run.lock"
        holds = json.loads(lock.read_text() or "{}") if lock.exists() else {}
        second = self.start([*arguments, "--no-check"])
        _, said = second.communicate()
        still = first.poll() is None and holds.get("pid") == first.pid
        if still and not (second.returncode == 2 and OCCUPIED in said):
            self.faults.append(f"second start: {second.returncode}: {said[-400:]}")

    def train_undisturbed(self, steps: int, seed: int) -> dict[str, object]:
        """Train without a fault, and give what comes out."""
        shutil.rmtree(self.root / "straight", ignore_errors=True)
        self._run(self.arguments("straight", steps, seed))
        return outcome(self.root / "straight")

    def one(self, steps: int, seed: int, deadline: float) -> bool:
        """Disturb a training until it is complete, and compare; say whether there was time."""
        expected = self.train_undisturbed(steps, seed)
        shutil.rmtree(self.disk / "run", ignore_errors=True)
        while not self.disturb(self.arguments("disk/run", steps, seed)):
            if self.is_over(deadline):
                self._run(self.arguments("disk/run", steps, seed))
                break
        found = outcome(self.disk / "run")
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                self.faults.append(f"training of {steps} steps, seed {seed}: {name} differs")
        left = [p.name for p in (self.disk / "run").rglob("*") if LEFTOVER.match(p.name)]
        self.faults += [f"left over: {name}" for name in left]
        return not self.is_over(deadline)

    def is_over(self, deadline: float) -> bool:
        """Say whether there was time enough, and each kind of fault ended a training."""
        struck = all(self.struck[kind] for kind in self.kinds if kind != "none")
        return time.monotonic() > deadline and struck

    def counts(self) -> str:
        """Say how many trainings each kind of fault ended, of how many it came to."""
        return ", ".join(f"{kind} {self.struck[kind]} of {self.seen[kind]}" for kind in self.kinds)

    def is_control_caught(self) -> bool:
        """Change a checkpoint in the midst of a training; say whether that is noticed."""
        expected = self.train_undisturbed(12, 1)
        shutil.rmtree(self.disk / "run", ignore_errors=True)
        child = self.start(self.arguments("disk/run", 12, 1))
        for line in child.stderr or ():
            if line.startswith("step 8 of"):
                child.kill()
        child.communicate()
        for path in (self.disk / "run/checkpoints").glob("step-*/model.pdparams"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 64
            path.write_bytes(data)
        child = self.start(self.arguments("disk/run", 12, 1))
        child.communicate()
        return child.returncode == 2 or outcome(self.disk / "run") != expected


def mount_disk(folder: Path) -> bool:
    """Mount a small disk that this process and its children see; say whether that is allowed."""
    libc = ctypes.CDLL(None)
    options = b"size=%d" % DISK_BYTES
    return (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(None, b"/", None, ctypes.c_ulong(MS_PRIVATE | MS_REC), None) == 0
        and libc.mount(b"tmpfs", bytes(folder), b"tmpfs", ctypes.c_ulong(0), options) == 0
    )


def fill_disk(folder: Path, left_bytes: int) -> None:
    """Fill the disk, but for about so many bytes."""
    with (folder / "filler").open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(max(0, file.tell() - left_bytes))


def outcome(run: Path) -> dict[str, object]:
    """Read what a complete run holds, but for what hangs on the clock."""
    files: dict[str, object] = {
        path.relative_to(run).as_posix(): path.read_bytes()
        for folder in ("best_model", "checkpoints")
        for path in (run / folder).rglob("*.pd*")
        if path.suffix != ".pdstates"
    }
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    clock = ("time", "seconds", "images_per_second")
    files["history"] = [{k: v for k, v in r.items() if k not in clock} for r in records]
    return files


def _limit_files() -> None:
    """Have the system refuse to write more than a little into a file, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE_BYTES, SMALL_FILE_BYTES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, default=300, help="of the first training")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    heed()
    deadline = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="segcore-soak-") as folder:
        soak = Soak(Path(folder), options.seed)
        number = 0
        while soak.one(options.steps + 7 * number, number, deadline):
            number += 1
            print(f"{number} complete: {soak.counts()}", *soak.faults[-5:], sep="\n  ", flush=True)
        caught = soak.is_control_caught()
        ctypes.CDLL(None).umount2(bytes(soak.disk), MNT_DETACH)
    untried = ", ".join(set(FAULTS) - set(soak.kinds)) or "nothing"
    print(
        f"{number + 1} trainings with {sum(soak.seen.values())} faults, seed {options.seed}; ended "
        f"by {soak.counts()}: {len(soak.faults)} violations; {untried} was left out; negative "
        f"control: {'caught' if caught else 'not caught'}"
    )
    return int(bool(soak.faults) or not caught)


if __name__ == "__main__":
    raise SystemExit(main())
