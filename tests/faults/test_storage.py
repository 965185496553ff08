"""Storage under faults: killed, failing, full, powered off, read and locked by others."""

import errno
import importlib.util
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from segcore.checkpoint.store import CheckpointStore, open_best
from segcore.errors import StorageError
from segcore.testing.faults import OPERATIONS, FailAt

HARNESS = Path(__file__).with_name("storage_harness.py")
_spec = importlib.util.spec_from_file_location("storage_harness", HARNESS)
harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)


@cache
def can_mount() -> bool:
    """Say whether a user namespace may mount a file system in memory here."""
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"]
    return bool(shutil.which("unshare")) and subprocess.run(probe, check=False).returncode == 0


def mounting(folder: Path, options: str = "size=1g") -> tuple[str, ...]:
    """Give the command before a command that runs it with a file system in memory at `folder`."""
    script = 'mount -t tmpfs -o "$0" none "$1" && shift && exec "$@"'
    return ("unshare", "--map-root-user", "--mount", "sh", "-c", script, options, str(folder))


def run(command: str, folder: Path, prefix: tuple[str, ...] = ()) -> dict:
    # A kill leaves every file system alike, so the fastest will do where it can be had.
    if command.startswith("kill") and can_mount():
        prefix = mounting(folder)
    done = subprocess.run(
        [*prefix, sys.executable, str(HARNESS), command, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_kill_around_any_operation_loses_nothing_promised(tmp_path):
    report = run("kill", tmp_path)
    assert report["killed"] == report["children"] >= 250
    assert report["violations"] == []


def test_a_kill_during_recovery_loses_nothing_either(tmp_path):
    report = run("kill-recovery", tmp_path)
    assert report["states"] >= 80
    assert report["killed"] == report["children"] >= 250
    assert report["violations"] == []


@pytest.mark.parametrize("control", ["kill-in-place", "kill-delete-first"])
def test_the_harness_notices_a_store_without_the_protocol(tmp_path, control):
    report = run(control, tmp_path)
    assert report["killed"] == report["children"]
    assert len(report["violations"]) >= 20


def test_forty_kills_at_random_moments_leave_everything_readable(tmp_path):
    report = run("kill-randomly", tmp_path)
    assert report["killed"] == 40
    assert report["violations"] == []
    assert report["newest"] >= 40


@pytest.mark.slow
def test_a_thousand_kills_at_random_moments_leave_everything_readable(tmp_path):
    report = run("kill-randomly-1000", tmp_path)
    assert (report["killed"], report["violations"]) == (1000, [])


def test_what_was_committed_survives_a_power_cut_at_any_point(tmp_path):
    report = run("power", tmp_path)
    assert report["prefixes"] >= 300
    assert report["violations"] == []


def test_the_power_cut_notices_a_store_that_flushes_nothing(tmp_path):
    assert len(run("power-unflushed", tmp_path)["violations"]) >= 50


def test_readers_never_see_a_mixture_while_a_run_saves(tmp_path):
    report = run("read-meanwhile", tmp_path)
    assert (report["reads"], report["violations"]) == (100, [])
    assert report["generations"] >= 20


def test_of_two_runs_in_one_folder_exactly_one_proceeds(tmp_path):
    report = run("race", tmp_path)
    assert report["statuses"] == [[2, 0]] * 20
    assert report["violations"] == []
    assert all("works in this run folder" in message for message in report["messages"])
    assert all("process " in message for message in report["messages"])


def test_a_forked_worker_that_outlives_its_run_does_not_keep_the_lock(tmp_path):
    assert run("orphan", tmp_path)["locked"]


def test_folders_without_rights_are_refused_before_anything_happens(tmp_path):
    report = run("without-rights", tmp_path)
    assert "cannot be written: Permission denied" in report["read-only"]
    assert "cannot be written: Permission denied" in report["read-only/below"]
    assert report["precious"] == "here"


def test_a_full_disk_costs_only_what_did_not_fit(tmp_path):
    if not can_mount():
        pytest.skip("mounting a small file system needs rights that are lacking here")
    report = run("full", tmp_path, mounting(tmp_path, "size=8m"))
    assert report["violations"] == []
    assert report["saved"] >= 3
    assert [("No space left" in m, "MiB free" in m) for m in report["messages"]] == [
        (True, True)
    ] * 2


@cache
def count_of_operations(root: Path) -> int:
    files = FailAt(0, None)
    harness.follow_plan(CheckpointStore(root, harness.RUN, files=files), lambda *_: None)
    return files.count


def follow_plan_with_fault(root: Path, files: FailAt) -> tuple[dict[str, int], StorageError | None]:
    root.mkdir()
    promised: dict[str, int] = {}
    try:
        harness.follow_plan(CheckpointStore(root, harness.RUN, files=files), promised.__setitem__)
    except StorageError as error:
        return promised, error
    except OSError as error:
        # The export that the plan itself prepares is no part of the store.
        return promised, StorageError(f"{root}: MiB free ({error})")
    return promised, None


def check_fault(root: Path, files: FailAt) -> None:
    promised, error = follow_plan_with_fault(root, files)
    assert files.struck in OPERATIONS
    # A read that fails while old checkpoints are counted only keeps those; half a write goes on.
    assert error is not None or files.struck in ("read", "listdir") or files.error is None
    if error is not None:
        assert str(root) in str(error)
        assert "MiB free" in str(error) or "right after it was written" in str(error)
        assert error.exit_code == 4
    left = [] if files.lasting else [p.name for p in root.rglob(".tmp-step*")]
    assert left == []
    assert harness.judge(root, promised, recover=False) == []
    assert harness.judge(root, promised) == []
    shutil.rmtree(root)


@pytest.mark.parametrize(
    "error", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, None], ids=str
)
def test_an_error_at_any_operation_leaves_what_was_saved(tmp_path, error, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)  # the disk is not what fails here
    (tmp_path / "whole").mkdir()
    count = count_of_operations(tmp_path / "whole")
    assert count > 150
    for n in range(1, count + 1):
        check_fault(tmp_path / str(n), FailAt(n, error))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_stays_broken_leaves_what_was_saved(tmp_path, error, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    (tmp_path / "whole").mkdir()
    for n in range(1, count_of_operations(tmp_path / "whole") + 1, 3):
        check_fault(tmp_path / str(n), FailAt(n, error, lasting=True))


def test_a_run_goes_on_after_an_error(tmp_path):
    promised, error = follow_plan_with_fault(tmp_path / "run", FailAt(60, errno.EIO))
    assert error is not None
    store = CheckpointStore(tmp_path / "run", harness.RUN)
    store.recover()
    harness.follow_plan(store, promised.__setitem__)
    assert harness.serial_of(store.load().parts) == promised["saved"]
    assert harness.serial_of(open_best(tmp_path / "run").parts) == promised["best"]
