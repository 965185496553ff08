"""A run folder in every state that a copy tool, an editor, a disk or a user leaves, and `--resume`.

Each file and folder of a stopped and of a finished training is lost, emptied, cut, garbled by one
bit, taken from another run, replaced by a folder, a pipe or a link that leads nowhere, or made
unreadable; then there are states of several files. A training that resumes ends in the very bits of
one that was never stopped, or is refused with exit code 2 and the folder is byte for byte what it
was. With all changes taken on it may end elsewhere, but the best model is never worse than before,
and the history has whole lines in order.

    python -m tests.campaigns.resume --count 200

tries the whole table, and as many random pairs of faults. Negative control: the same table with a
training that asks no questions must fail.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from segcore.checkpoint.manifest import read_manifest
from segcore.config.resolve import resolve_config
from segcore.config.schema import Config
from segcore.data.demo import draw_dataset
from segcore.discovery.catalogue import get_catalogue
from segcore.engine import stopped, train
from segcore.engine.history import History
from segcore.errors import CheckpointError, Interrupted, SegcoreError
from segcore.testing.site import Site
from tests import toy
from tests.outcome import digest_run, read_history

STEPS, STOP = 8, 5
SETTINGS = (
    f"train.iters={STEPS}",
    "train.eval_interval=3",
    "train.save_interval=2",
    "train.batch_size=4",
    "train.crop_size=[48, 48]",
    "train.log_interval=1",
    "train.num_workers=0",
    "train.ema_decay=0.9",
    "train.observers=[{type: Signalling}]",
)
OF_A_DEAD_PROCESS = "-1-0123abcd0123abcd0123abcd"
"""What ends a temporary name."""
CHANGING = {"run.lock", "train.log"}
"""What a refused command may write."""
GOOD = ("same end", "refused", "taken on")
"""Answers that are no faults."""

Damage = Callable[[Path, Path, random.Random], object]
"""Spoils a path of a run; the second path is the same of another run."""


@dataclass
class Bench:
    """Runs to spoil, and what they come to when they are not: `runs` by name, and `other` ones."""

    config: Config
    folder: Path
    runs: dict[str, Path]
    others: dict[str, Path]
    straight: dict[str, object]


@dataclass
class Report:
    """What came of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, case: str, answer: str) -> None:
        """Note the answer to a case; all but the good ones are faults."""
        self.counts[answer] += 1
        if answer not in GOOD:
            self.faults.append(f"{case}: {answer}")


# -- the runs --------------------------------------------------------------------------------------


def set_up(folder: Path) -> Bench:
    """Install the toy plugin, draw data, and train what is to be spoilt."""
    site = Site(folder / "site")
    site.install("toy_plugin", toy.PLUGIN)
    site.write(site.folder / "toy_network.py", toy.NETWORK)
    sys.path.insert(0, str(site.folder))
    data = draw_dataset(folder / "data", "shapes", images=20, size=64)
    config = resolve_config("Toy", None, SETTINGS, {"data.path": str(data)}, get_catalogue()).config
    return train_runs(folder, config)


def train_runs(folder: Path, config: Config) -> Bench:
    """Train by `config`: straight on, stopped midway, and both with another seed."""
    changed = config.train.model_copy(update={"seed": 7})
    other = config.model_copy(update={"train": changed})
    places = [folder / name for name in ("finished", "stopped", "other-finished", "other-stopped")]
    for number, used in enumerate((config, other)):
        finished, broken_off = places[2 * number : 2 * number + 2]
        run(used, finished)
        with mock.patch.dict(os.environ, SIGNAL_STEPS=str(STOP)):
            try:
                run(used, broken_off)
            except Interrupted:
                continue
        raise AssertionError("the training was not stopped")
    return Bench(
        config,
        folder,
        {"finished": places[0], "stopped": places[1]},
        {"finished": places[2], "stopped": places[3]},
        digest_run(places[0]),
    )


def run(config: Config, output: Path, **options: bool) -> dict[str, object]:
    """Train into `output`, without a look at the samples."""
    return train.train(config, output, device="cpu", check=False, **options)


# -- damages of one file or folder -----------------------------------------------------------------


def lose(path: Path, _other: Path, _rng: random.Random) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def empty(path: Path, _other: Path, _rng: random.Random) -> None:
    path.write_bytes(b"")


def cut(path: Path, _other: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(max(1, path.stat().st_size)))


def cut_one_byte(path: Path, _other: Path, _rng: random.Random) -> None:
    os.truncate(path, max(0, path.stat().st_size - 1))


def flip(path: Path, _other: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def take_from_another_run(path: Path, other: Path, _rng: random.Random) -> None:
    lose(path, other, _rng)
    shutil.copytree(other, path) if other.is_dir() else shutil.copy(other, path)


def make_folder(path: Path, other: Path, rng: random.Random) -> None:
    lose(path, other, rng)
    path.mkdir()


def make_pipe(path: Path, other: Path, rng: random.Random) -> None:
    lose(path, other, rng)
    os.mkfifo(path)


def make_file(path: Path, other: Path, rng: random.Random) -> None:
    lose(path, other, rng)
    path.write_text("a file")


def make_link(path: Path, other: Path, rng: random.Random) -> None:
    lose(path, other, rng)
    path.symlink_to("nowhere")


def make_unreadable(path: Path, _other: Path, _rng: random.Random) -> None:
    path.chmod(0)


OF_FILES: tuple[Damage, ...] = (
    *(lose, empty, cut, cut_one_byte, flip, take_from_another_run),
    *(make_folder, make_pipe, make_link, make_unreadable),
)
OF_FOLDERS: tuple[Damage, ...] = (
    *(lose, make_file, take_from_another_run, make_link, make_pipe, make_unreadable),
)


def table(bench: Bench, kind: str) -> Iterator[tuple[str, str, Damage]]:
    """Yield a name, a relative path and a damage for each case of a run."""
    source, other = bench.runs[kind], bench.others[kind]
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        damages = OF_FOLDERS if path.is_dir() else OF_FILES
        for damage in damages:
            is_possible = path.is_dir() or path.stat().st_size or damage in (lose, make_folder)
            has_other = damage is not take_from_another_run or (other / name).exists()
            if is_possible and has_other:
                yield f"{name} {damage.__name__}", name, damage


# -- states of several files -----------------------------------------------------------------------


def newest(source: Path) -> Path:
    """Return the newest checkpoint of a run."""
    return max((source / "checkpoints").iterdir(), key=lambda path: int(path.name[5:]))


def damage_all(name: str) -> Callable[[Path, Path], None]:
    """Make what cuts a file of each checkpoint short."""

    def spoil(source: Path, _other: Path) -> None:
        for path in source.glob(f"checkpoints/*/{name}"):
            os.truncate(path, path.stat().st_size - 1)

    return spoil


def move_best(name: str, *, keep: bool = False) -> Callable[[Path, Path], None]:
    """Make what leaves the best model where a kill between two renames leaves it."""

    def spoil(source: Path, _other: Path) -> None:
        if keep:
            shutil.copytree(source / "best_model", source / name)
        else:
            (source / "best_model").rename(source / name)

    return spoil


def move_step(kind: str) -> Callable[[Path, Path], None]:
    """Make what leaves the newest checkpoint where a kill between two renames leaves it."""

    def spoil(source: Path, _other: Path) -> None:
        path = newest(source)
        path.rename(path.with_name(f".{kind}-{path.name}{OF_A_DEAD_PROCESS}"))

    return spoil


def change_history(change: Callable[[bytes, bytes], bytes]) -> Callable[[Path, Path], None]:
    """Make what writes other lines, given those of the run and of another one."""

    def spoil(source: Path, other: Path) -> None:
        theirs = (other / "metrics.jsonl").read_bytes()
        path = source / "metrics.jsonl"
        path.write_bytes(change(path.read_bytes(), theirs))

    return spoil


def older_best(source: Path, _other: Path) -> None:
    """Put back the best model of an earlier time, as from a backup, with a manifest of its own."""
    folder = source / "best_model"
    manifest = read_manifest(folder)
    changed = manifest.model_copy(update={"step": 1, "info": {"score": 0.001}})
    (folder / "MANIFEST.json").write_bytes(changed.to_bytes())


def best_without_score(source: Path, _other: Path) -> None:
    folder = source / "best_model"
    changed = read_manifest(folder).model_copy(update={"info": {}})
    (folder / "MANIFEST.json").write_bytes(changed.to_bytes())


def clear_checkpoints(source: Path, _other: Path) -> None:
    for path in (source / "checkpoints").iterdir():
        shutil.rmtree(path)


def only(*names: str) -> Callable[[Path, Path], None]:
    """Make what loses all but these."""

    def spoil(source: Path, _other: Path) -> None:
        for path in source.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def half_copied(source: Path, _other: Path) -> None:
    """Leave what rsync leaves when it is stopped: a file under a name of its own."""
    path = newest(source) / "model.pdparams"
    path.rename(path.with_name(".model.pdparams.Ab3dEf"))


def other_checkpoints_without_id(source: Path, other: Path) -> None:
    shutil.copytree(newest(other), newest(source).with_name("step-7777"))
    (source / "run.id").unlink()


STATES: dict[str, Callable[[Path, Path], object]] = {
    **{f"{name} short in all": damage_all(name) for name in ("model.pdparams", "MANIFEST.json")},
    "no checkpoint left": clear_checkpoints,
    **{
        f"only {name}": only(name)
        for name in ("best_model", "metrics.jsonl", "run.id", "config.yaml", "train_result.json")
    },
    "the checkpoints alone": only("checkpoints", "best_model", "metrics.jsonl"),
    "best model moved to new": move_best("best_model.new"),
    "best model moved to old": move_best("best_model.old"),
    "best model on its way": move_best(f".new-best_model{OF_A_DEAD_PROCESS}"),
    "best model on its way, twice": move_best(f".old-best_model{OF_A_DEAD_PROCESS}", keep=True),
    "best model also at old": move_best("best_model.old", keep=True),
    "best model of a backup": older_best,
    "best model without score": best_without_score,
    "step on its way, new": move_step("new"),
    "step on its way, old": move_step("old"),
    "step renamed": lambda run, _: newest(run).rename(newest(run).with_name("step-9999")),
    "step half copied": half_copied,
    "step of another run": lambda run, other: shutil.copytree(
        newest(other), newest(run).with_name("step-7777")
    ),
    "step of another run, no id": other_checkpoints_without_id,
    "step that a user copied": lambda run, _: shutil.copytree(
        newest(run), newest(run).with_name(f"{newest(run).name} copy")
    ),
    "step without files": lambda run, _: (run / "checkpoints/step-9999").mkdir(),
    "step with a note": lambda run, _: (newest(run) / "note.txt").write_text("mine"),
    "leftover": lambda run, _: (run / f"checkpoints/.tmp-step-6{OF_A_DEAD_PROCESS}").mkdir(),
    "history with half a line": change_history(lambda own, _: own + own[:30]),
    "history twice": change_history(lambda own, _: own + own),
    "history of both": change_history(lambda own, theirs: own + theirs),
    "history of both, theirs first": change_history(lambda own, theirs: theirs + own),
    "history with carriage returns": change_history(lambda own, _: own.replace(b"\n", b"\r\n")),
    "history with a mark": change_history(lambda own, _: b"\xef\xbb\xbf" + own),
    "history with blank lines": change_history(lambda own, _: own.replace(b"\n", b"\n\n")),
    "history without its last newline": change_history(lambda own, _: own[:-1]),
    "history without its first line": change_history(lambda own, _: own[own.index(b"\n") + 1 :]),
    "history out of order": change_history(
        lambda own, _: b"".join(reversed(own.splitlines(keepends=True)))
    ),
}


# -- judging ---------------------------------------------------------------------------------------


def picture(folder: Path) -> dict[str, object]:
    """Return all that is in a folder, by name: the bytes of files, and what else is there."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.partition("/")[0] in CHANGING:
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file() and os.access(path, os.R_OK):
            found[name] = path.read_bytes()
        else:
            status = path.lstat()
            found[name] = oct(status.st_mode), path.is_file() and status.st_mtime_ns
    return found


def best_score(source: Path) -> float | None:
    """Return the score of the best model as its manifest says; None where it says none."""
    places = (
        "best_model",
        f".new-best_model{OF_A_DEAD_PROCESS}",
        "best_model.new",
        "best_model.old",
    )
    for name in places:
        try:
            score = read_manifest(source / name).info.get("score")
        except (CheckpointError, OSError):
            continue
        return score if isinstance(score, float) else None
    return None


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Give up for a while what lets root read and write files whatever their permissions say."""
    if os.getuid() != 0 or not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the call, this thread
    before = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    assert libc.capget(header, before) == 0
    fewer = (ctypes.c_uint32 * 6)(*before)
    fewer[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


def resume(bench: Bench, source: Path, *, accept: bool = False) -> str:
    """Resume the run in `source`, and say what came of it."""
    before, score = picture(source), best_score(source)
    try:
        with bound_by_permissions():
            run(bench.config, source, resume=True, accept_changes=accept)
    except SegcoreError as error:
        if error.exit_code != 2:
            return f"exit {error.exit_code}: {error}"
        after = picture(source)
        if after != before:
            changed = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
            return f"refused, but changed {', '.join(changed)}"
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return judge_end(bench, source, score, accept=accept)


def judge_end(bench: Bench, source: Path, score: float | None, *, accept: bool) -> str:
    """Say what a training that resumed came to; the best model had the score `score` before."""
    try:
        if digest_run(source) == bench.straight:
            return "same end"
        return judge_taken_on(source, score) if accept else "another end without a word"
    except (OSError, ValueError) as error:
        return f"ended with what cannot be read: {error}"


def judge_taken_on(source: Path, score: float | None) -> str:
    """Say what is wrong with a run that went on with changes taken on."""
    now = best_score(source)
    if score is not None and (now is None or now < score):
        return f"the best model, of score {score}, was replaced by one of {now}"
    steps = [record["step"] for record in read_history(source)]
    return "taken on" if steps == sorted(steps) else f"the history has the steps {steps}"


def spoilt(bench: Bench, kind: str, number: int) -> Path:
    """Return a copy of a run that may be spoilt."""
    return shutil.copytree(bench.runs[kind], bench.folder / f"case-{number}")


def dispose(source: Path) -> None:
    """Remove a case, whatever has become of it."""
    for path in (source, *source.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(source)


def try_table(
    bench: Bench,
    report: Report,
    *,
    accept: bool = False,
    every: int = 1,
    without: Collection[str] = (),
) -> None:
    """Try each damage of each file, and each state; or every so many, `without` some damages."""
    number = 0
    for kind in bench.runs:
        other = bench.others[kind]
        cases: list[tuple[str, Callable[[Path, Path], object]]] = [
            (case, lambda run, theirs, name=name, damage=damage, case=case: damage(
                run / name, theirs / name, random.Random(case)
            ))
            for case, name, damage in table(bench, kind)
        ]  # fmt: skip
        cases += [(case, spoil) for case, spoil in STATES.items() if can_be(case, kind)]
        for case, spoil in cases:
            number += 1
            if number % every or case.rpartition(" ")[2] in without:
                continue
            copy = spoilt(bench, kind, number)
            spoil(copy, other)
            how = ", taken on" if accept else ""
            report.add(f"{kind}: {case}{how}", resume(bench, copy, accept=accept))
            dispose(copy)


def can_be(state: str, kind: str) -> bool:
    """Say whether a state is one of that run: only finished ones have a result."""
    return kind == "finished" or "train_result" not in state


def try_pairs(bench: Bench, report: Report, count: int, seed: int) -> None:
    """Try random pairs of damages."""
    rng = random.Random(seed)
    for number in range(count):
        kind = rng.choice(list(bench.runs))
        cases = list(table(bench, kind))
        chosen = rng.sample(cases, 2)
        copy = spoilt(bench, kind, 10**6 + number)
        for _, name, damage in chosen:
            if os.path.lexists(copy / name) and (copy / name).parent.is_dir():
                # the first may have made something else of it
                try:
                    damage(copy / name, bench.others[kind] / name, rng)
                except (OSError, ValueError):
                    continue
        case = " and ".join(case for case, _, _ in chosen)
        report.add(f"{kind}: {case}", resume(bench, copy, accept=bool(rng.randrange(2))))
        dispose(copy)


@contextmanager
def careless() -> Iterator[None]:
    """Let trainings resume as if whatever they find were fine, and begin anew where nothing is."""
    read = stopped.read_stopped_run

    def read_or_begin_anew(*arguments: object) -> object:
        try:
            return read(*arguments)
        except CheckpointError:
            return None

    with (
        mock.patch.object(train, "read_stopped_run", read_or_begin_anew),
        mock.patch.object(History, "flaw", return_value=None),
        mock.patch.object(stopped, "best_flaw", return_value=None),
    ):
        yield


def show(name: str, report: Report) -> None:
    """Print what came of a part."""
    good = {answer: report.counts[answer] for answer in GOOD}
    print(f"{name}: {sum(report.counts.values())} cases, {good}", flush=True)
    for fault in report.faults:
        print(f"  {fault}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="random pairs of faults")
    parser.add_argument("--every", type=int, default=1, help="one of so many cases of the table")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("segcore").propagate = False
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with mock.patch.dict(os.environ, SEGCORE_CACHE=str(folder / "cache")):
            bench = set_up(folder)
            report, taken_on, pairs, control = Report(), Report(), Report(), Report()
            try_table(bench, report, every=arguments.every)
            show("table", report)
            try_table(bench, taken_on, accept=True, every=arguments.every)
            show("table, changes taken on", taken_on)
            try_pairs(bench, pairs, arguments.count, arguments.seed)
            show("pairs of faults", pairs)
            with careless():
                # it would wait for ever on the other end of a pipe
                try_table(bench, control, every=7, without=["make_pipe"])
    parts = (report, taken_on, pairs)
    cases = sum(sum(part.counts.values()) for part in parts)
    faults = sum(len(part.faults) for part in parts)
    caught, tried = len(control.faults), sum(control.counts.values())
    print(
        f"{cases} resumes: {faults} faults; negative control: {caught} of {tried} faults in a "
        "training that asks no questions"
    )
    return 1 if faults or not caught else 0


if __name__ == "__main__":
    sys.exit(main())
