"""Crash, starve and race the checkpoint store, and judge what is left.

    python storage_harness.py COMMAND FOLDER    prints a report as JSON

It is a program of its own because it forks thousands of children, which only a process without
threads may do safely. Each child that should be killed must have died of SIGKILL: a harness whose
children die early for another reason would report no violations either.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from segcore.checkpoint.files import Files, write_atomic
from segcore.checkpoint.lock import RunLock
from segcore.checkpoint.store import BEST, CHECKPOINTS, CheckpointStore, open_best
from segcore.errors import CheckpointError, OutputError, RunLockedError, StorageError
from segcore.testing.faults import KillAt, Recorder, after_power_loss, run_forked

RUN = "harness"
PARTS = ("model.pdparams", "model.pdopt")
# (promise, step) in the order they are made; 3 is saved twice, as at an interrupt after a save.
PLAN = [
    *[("saved", 1), ("best", 1), ("saved", 2), ("best", 2), ("saved", 3), ("saved", 3)],
    *[("saved", 4), ("best", 4)],
]
LEFTOVER = re.compile(r"\.(tmp|trash)-|.*\.(new|old)$")


class InPlaceStore(CheckpointStore):
    """Negative control: writes into the final folder."""

    def save(self, step, parts, info=None):
        final = self.run_dir / CHECKPOINTS / f"step-{step}"
        if not final.parent.exists():
            self._files.mkdir(final.parent)
        self._files.remove_tree(final)
        self._files.mkdir(final)
        self._build(final, step, parts, info)
        self.retire(step)
        return final


class DeleteFirstStore(CheckpointStore):
    """Negative control: removes the best model before it writes the new one."""

    def promote(self, step, parts, info=None):
        self._files.remove_tree(self.run_dir / BEST)
        return super().promote(step, parts, info)


def parts_of(serial: int, size: int = 64) -> dict[str, bytes]:
    return {name: f"{name} {serial} ".encode() * size for name in PARTS}


def serial_of(parts) -> int:
    """Give the serial number that all parts must agree on; -1 for a mixture."""
    numbers = {int(parts[name].split()[1]) for name in PARTS}
    return numbers.pop() if len(numbers) == 1 else -1


def follow_plan(store: CheckpointStore, promise: Callable[[str, int], None]) -> None:
    """Carry out PLAN; `promise` hears what has been acknowledged, with a serial number."""
    for serial, (what, step) in enumerate(PLAN):
        if what == "saved":
            store.save(step, parts_of(serial))
        else:
            store.promote(step, parts_of(serial))
        promise(what, serial)


def judge(root: Path, promised: dict[str, int], *, recover: bool = True) -> list[str]:
    """Say what is wrong with the run in `root`, given the newest serials that were promised."""
    store = CheckpointStore(root, RUN)
    wrong = []
    try:
        if recover:
            store.recover()
            wrong += [f"left over: {p.name}" for p in root.rglob("*") if LEFTOVER.match(p.name)]
        for folder in (root / CHECKPOINTS).glob("step-*"):
            store.load(int(folder.name[5:]))
        newest = serial_of(store.load().parts) if "saved" in promised else None
        if newest is not None and newest < promised["saved"]:
            wrong.append(f"lost: {promised['saved']} was saved, {newest} is the newest")
        best = serial_of(open_best(root).parts) if "best" in promised else None
        if best is not None and best < promised["best"]:
            wrong.append(f"worse: {promised['best']} was the best, {best} is now")
    except CheckpointError as error:
        wrong.append(f"unreadable: {error}")
    return wrong


def crash(root: Path, files: Files, kind: type[CheckpointStore]) -> tuple[int, dict[str, int]]:
    """Follow the plan in a child and give how it ended and what it had promised by then."""
    reader, writer = os.pipe()

    def child() -> None:
        store = kind(root, RUN, files=files, keep=2)
        follow_plan(store, lambda what, n: os.write(writer, f"{what} {n}\n".encode()))

    status = run_forked(child)
    os.close(writer)
    with os.fdopen(reader) as lines:
        return status, {what: int(n) for what, n in (line.split() for line in lines)}


def crashes(root: Path, kind: type[CheckpointStore]) -> Iterator[tuple[str, int, Path, dict]]:
    """Crash before and after every change of the disk, each in a folder of its own."""
    # A kill, unlike a power cut, leaves the page cache alone: flushing would only take time.
    os.fsync = lambda _: None
    count = KillAt(0)
    (root / "whole").mkdir()
    follow_plan(kind(root / "whole", RUN, files=count, keep=2), lambda *_: None)
    for n in range(1, count.count + 1):
        for when in ("before", "after"):
            folder = root / f"{when}-{n}"
            folder.mkdir()
            status, promised = crash(folder, KillAt(n, when), kind)
            yield f"{when} {n}", status, folder, promised
            shutil.rmtree(folder)


def kill(root: Path, kind: type[CheckpointStore] = CheckpointStore) -> dict:
    """Judge the run after a kill around every operation."""
    report = {"children": 0, "killed": 0, "violations": []}
    for where, status, folder, promised in crashes(root, kind):
        report["children"] += 1
        report["killed"] += status == -signal.SIGKILL
        report["violations"] += [f"{where}: {text}" for text in judge(folder, promised)]
    return report


def kill_recovery(root: Path) -> dict:
    """Judge the run after a kill, and another one around every operation of the recovery."""
    report = {"children": 0, "killed": 0, "violations": []}
    seen = set()
    for where, _, folder, promised in crashes(root, CheckpointStore):
        state = repr([(p.relative_to(folder), p.is_file() and p.stat().st_size)
                      for p in sorted(folder.rglob("*"))])  # fmt: skip
        # Names made by chance aside, most neighbouring kills leave the same behind.
        state = re.sub(r"-\d+-[0-9a-f]{8}", "", state) + str(sorted(promised.items()))
        if state in seen:
            continue
        seen.add(state)
        count = recover_copy(folder, root / "trial", KillAt(0))[1].count
        for n in range(1, count + 1):
            for when in ("before", "after") if n == count else ("before",):
                status, _ = recover_copy(folder, root / "trial", KillAt(n, when), fork=True)
                report["children"] += 1
                report["killed"] += status == -signal.SIGKILL
                report["violations"] += [
                    f"{where}, recovery {when} {n}: {t}" for t in judge(root / "trial", promised)
                ]
    return {**report, "states": len(seen)}


def recover_copy(source: Path, target: Path, files: KillAt, *, fork: bool = False):
    """Recover a copy of the run in `source`."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    recover = CheckpointStore(target, RUN, files=files).recover
    return (run_forked(recover) if fork else recover()), files


def kill_randomly(root: Path, rounds: int = 40) -> dict:
    """Kill a process that saves all the time, at random moments, and let the next one go on."""
    rng = random.Random(7)
    report = {"killed": 0, "violations": [], "newest": 0}
    promised: dict[str, int] = {}
    save_s = 0.005
    for round_ in range(rounds):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            save_for_ever(root, writer)
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as acknowledged:
            text = acknowledged.read(1)
            time.sleep(rng.uniform(0, 2 * save_s))  # the fault itself, not a wait for something
            os.kill(child, signal.SIGKILL)
            text += acknowledged.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        report["killed"] += status == -signal.SIGKILL
        promised |= {what: int(n) for what, n in (t.split() for t in text.decode().splitlines())}
        wrong = judge(root, promised)
        report["violations"] += [f"round {round_}: {w}" for w in wrong]
        report["newest"] = CheckpointStore(root, RUN).newest()
    return report


def save_for_ever(root: Path, acknowledge: int) -> None:
    """Save and promote from the newest step on until killed; the serial is the step."""
    with RunLock(root):
        store = CheckpointStore(root, RUN)
        store.recover()
        step = (store.newest() or 0) + 1
        while True:
            store.save(step, parts_of(step, 2000))
            os.write(acknowledge, f"saved {step}\n".encode())
            store.promote(step, parts_of(step, 2000))
            os.write(acknowledge, f"best {step}\n".encode())
            step += 1


def read_meanwhile(root: Path, reads: int = 100) -> dict:
    """Read best model and newest checkpoint while another process keeps replacing them."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        save_for_ever(root, writer)
    os.close(writer)
    report = {"reads": 0, "violations": [], "generations": 0}
    generations = set()
    try:
        # At least one more save between two reads; nothing comes once the child is dead.
        while report["reads"] < reads and os.read(reader, 4096):
            if not (root / BEST).exists() and not generations:
                continue
            for found in (open_best(root), CheckpointStore(root).load()):
                if serial_of(found.parts) != found.step or found.rejected:
                    report["violations"].append(f"mixed or rejected: {found.rejected}")
            generations.add(open_best(root, names=()).step)
            report["reads"] += 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {**report, "generations": len(generations)}


def race(root: Path, rounds: int = 20) -> dict:
    """Start two runs in one folder, 20 ms apart; both try to save."""
    report = {"statuses": [], "violations": [], "messages": []}
    for n in range(rounds):
        folder = root / str(n)
        hold, release = os.pipe()
        said, say = os.pipe()
        for delay_s in (0, 0.02):
            if os.fork() == 0:
                os.close(release)
                os._exit(contend(folder, delay_s, hold, say))
        first = os.waitstatus_to_exitcode(os.wait()[1])  # the winner is still holding on
        os.close(release)
        report["statuses"].append([first, os.waitstatus_to_exitcode(os.wait()[1])])
        report["messages"].append(os.read(said, 4096).decode())
        report["violations"] += judge(folder, {"saved": 1})
    return report


def contend(folder: Path, delay_s: float, hold: int, say: int) -> int:
    """Lock, save, and hold the lock until the pipe `hold` is closed; give the exit code."""
    time.sleep(delay_s)
    try:
        with RunLock(folder):
            CheckpointStore(folder, RUN).save(1, parts_of(1))
            os.read(hold, 1)
    except RunLockedError as error:
        os.write(say, str(error).encode())
        return error.exit_code
    return 0


def lose_power(root: Path) -> dict:
    """Cut the power after every prefix of the record, with different luck for unflushed things."""
    live = root / "live"
    live.mkdir()
    recorder = Recorder(live)
    store = CheckpointStore(live, RUN, files=recorder)
    follow_plan(store, lambda what, n: recorder.mark(f"{what} {n}"))
    report = {"prefixes": 0, "violations": []}
    target = root / "after"
    for end in range(len(recorder.record) + 1):
        record = recorder.record[:end]
        promised = dict(o.paths[0].split() for o in record if o.name == "mark")
        promised = {what: int(n) for what, n in promised.items()}
        for luck in ({}, {"keep_names": True}, {"keep_data": True}):
            after_power_loss(record, target, **luck)
            report["prefixes"] += 1
            report["violations"] += [f"{end} {luck}: {w}" for w in judge(target, promised)]
            shutil.rmtree(target)
    return report


def lose_power_unflushed(root: Path) -> dict:
    """Do the same to a store that flushes nothing: the negative control."""
    for name in ("fsync", "sync"):
        setattr(Recorder, name, lambda *_: None)
    return lose_power(root)


def fill_disk(root: Path) -> dict:
    """Save, and write single files, until the disk is full."""
    store = CheckpointStore(root, RUN, keep=100)
    report = {"saved": 0, "files": 0, "messages": [], "violations": []}
    try:
        for step in range(1, 100):
            store.save(step, parts_of(step, 40_000))
            report["saved"] = step
    except StorageError as error:
        report["messages"].append(str(error))
    try:
        for n in range(1000):
            write_atomic(root / f"{n}.png", b"x" * 100_000)
            report["files"] = n + 1
    except StorageError as error:
        report["messages"].append(str(error))
    report["violations"] = judge(root, {"saved": report["saved"]})
    sizes = {path.stat().st_size for path in root.glob("*.png")}
    if sizes != {100_000} or len(list(root.glob("*.png"))) != report["files"]:
        report["violations"].append(f"incomplete files: {sizes}")
    return report


def without_rights(root: Path) -> dict:
    """Start runs as a user who may not write there, and list what came of it."""
    os.chdir(root)
    root.chmod(0o755)
    (root / "read-only").mkdir(mode=0o555)
    (root / "read-only" / "precious").write_text("here")
    report = {}
    for name in ("read-only", "read-only/below"):
        reader, writer = os.pipe()

        def child(name: str = name, writer: int = writer) -> None:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            try:
                RunLock(Path(name)).__enter__()
            except OutputError as error:
                os.write(writer, str(error).encode())

        run_forked(child)
        os.close(writer)
        with os.fdopen(reader) as text:
            report[name] = text.read()
    report["precious"] = (root / "read-only" / "precious").read_text()
    return report


def orphan(root: Path) -> dict:
    """Kill a run whose forked worker lives on, and lock the folder again at once."""
    reader, writer = os.pipe()
    hold, release = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(release)
        RunLock(root).__enter__()
        if os.fork() == 0:
            os.write(writer, b"worker")
            os.read(hold, 1)
            os._exit(0)
        signal.pause()
    os.read(reader, 6)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        with RunLock(root):
            return {"locked": True}
    except RunLockedError as error:
        return {"locked": False, "message": str(error)}
    finally:
        os.close(release)


COMMANDS = {
    "kill": kill,
    "kill-in-place": lambda root: kill(root, InPlaceStore),
    "kill-delete-first": lambda root: kill(root, DeleteFirstStore),
    "kill-recovery": kill_recovery,
    "kill-randomly": kill_randomly,
    "kill-randomly-1000": lambda root: kill_randomly(root, 1000),
    "read-meanwhile": read_meanwhile,
    "race": race,
    "power": lose_power,
    "power-unflushed": lose_power_unflushed,
    "full": fill_disk,
    "without-rights": without_rights,
    "orphan": orphan,
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](Path(sys.argv[2]))))
