"""The fault kit does what it says, since a fault that is not injected proves nothing."""

import errno
import subprocess
import sys

import pytest

from segcore.checkpoint.files import Files, write_atomic
from segcore.testing.faults import (
    CHANGES,
    OPERATIONS,
    FailAt,
    Recorder,
    after_power_loss,
)

KILLED = """
import sys
from pathlib import Path
from segcore.checkpoint.files import write_atomic
from segcore.testing.faults import KillAt, run_forked
n, when, path = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
print(run_forked(lambda: write_atomic(path, b"new", KillAt(n, when))))
"""


@pytest.mark.parametrize(
    ("n", "when", "exists"), [(4, "before", False), (4, "after", True), (5, "before", True)]
)
def test_a_kill_happens_exactly_before_or_after_the_operation(tmp_path, n, when, exists):
    arguments = [sys.executable, "-c", KILLED, str(n), when, str(tmp_path / "a")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["-9"]
    assert (tmp_path / "a").exists() == exists


def test_every_operation_of_the_seam_is_intercepted():
    own = {name for name in vars(FailAt.__mro__[1]) if name in vars(Files)}
    assert own - {"__init__", "__module__", "__doc__"} == set(OPERATIONS)


def test_a_short_write_is_made_good(tmp_path):
    files = FailAt(2, None)
    write_atomic(tmp_path / "a", b"0123456789", files)
    assert files.struck == "write"
    assert files.count == 6  # one more write than without the fault
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_lasting_fault_hits_changes_but_lets_reading_go_on(tmp_path):
    files = FailAt(1, errno.EROFS, lasting=True)
    for _ in range(2):
        with pytest.raises(OSError, match="Read-only"):
            files.mkdir(tmp_path / "a")
    assert files.listdir(tmp_path) == []


def test_the_record_holds_every_change_in_order(tmp_path):
    recorder = Recorder(tmp_path)
    write_atomic(tmp_path / "a", b"x", recorder)
    names = [operation.name for operation in recorder.record]
    assert names == ["open", "write", "fsync", "replace", "sync"]
    assert set(names) <= set(CHANGES)


@pytest.mark.parametrize(
    ("luck", "content"),
    [({}, None), ({"keep_names": True}, b""), ({"keep_names": True, "keep_data": True}, b"x")],
)
def test_a_power_cut_loses_what_was_not_flushed(tmp_path, luck, content):
    (tmp_path / "live").mkdir()
    recorder = Recorder(tmp_path / "live")
    descriptor = recorder.open(tmp_path / "live" / "a")
    recorder.write(descriptor, b"x")
    recorder.close(descriptor)
    after_power_loss(recorder.record, tmp_path / "after", **luck)
    left = tmp_path / "after" / "a"
    assert (left.read_bytes() if left.exists() else None) == content


def test_a_power_cut_undoes_a_rename_whose_folder_was_not_flushed(tmp_path):
    (tmp_path / "live").mkdir()
    recorder = Recorder(tmp_path / "live")
    recorder.mkdir(tmp_path / "live" / "a")
    recorder.sync(tmp_path / "live")
    recorder.replace(tmp_path / "live" / "a", tmp_path / "live" / "b")
    after_power_loss(recorder.record, tmp_path / "after")
    assert [p.name for p in (tmp_path / "after").iterdir()] == ["a"]
