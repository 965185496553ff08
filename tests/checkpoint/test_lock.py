"""The run lock: one process a folder, dead ones are succeeded, living ones named."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from segcore.checkpoint import lock as lock_module
from segcore.checkpoint.lock import Holder, RunLock
from segcore.errors import OutputError, RunLockedError


def no_flock(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")


def hold(folder, **changes):
    """Plant the claim of another process on a file system without locks."""
    holder = Holder.this_process().model_copy(update=changes)
    (folder / "run.lock.held").write_text(holder.model_dump_json())
    return folder / "run.lock.held"


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("flock", [None, no_flock], ids=["flock", "no flock"])
def test_a_second_lock_names_the_holder_and_a_later_one_succeeds(tmp_path, flock):
    options = {"flock": flock} if flock else {}
    with RunLock(tmp_path, **options) as lock:
        lock.check()
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} on ") as caught:
            RunLock(tmp_path, **options).__enter__()
        assert caught.value.exit_code == 2
    with RunLock(tmp_path, **options):
        pass


def test_what_a_dead_process_left_in_the_file_does_not_matter(tmp_path, dead_pid):
    holder = Holder.this_process().model_copy(update={"pid": dead_pid, "host": "elsewhere"})
    (tmp_path / "run.lock").write_text(holder.model_dump_json())
    with RunLock(tmp_path):
        assert f'"pid": {os.getpid()}' in (tmp_path / "run.lock").read_text()
    assert (tmp_path / "run.lock").read_text() == ""


def test_without_flock_a_dead_process_of_this_machine_is_succeeded(tmp_path, dead_pid):
    hold(tmp_path, pid=dead_pid)
    with RunLock(tmp_path, flock=no_flock) as lock:
        lock.check()
    assert not (tmp_path / "run.lock.held").exists()


def test_without_flock_a_reused_process_number_does_not_count_as_alive(tmp_path):
    hold(tmp_path, birth="1")
    with RunLock(tmp_path, flock=no_flock):
        pass


def test_without_flock_a_living_process_of_another_host_is_named(tmp_path):
    hold(tmp_path, host="node-17", pid=4711)
    with pytest.raises(RunLockedError, match=r"4711 on node-17.*last seen \d+ s ago.*delete"):
        RunLock(tmp_path, flock=no_flock).__enter__()


def test_without_flock_a_host_that_fell_silent_is_succeeded(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.01)
    path = hold(tmp_path, host="node-17")
    an_hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    with RunLock(tmp_path, flock=no_flock) as lock:
        lock.check()


@pytest.mark.parametrize("jump_s", [-86_400, 3600, 86_400])
def test_without_flock_a_living_host_outlasts_a_jump_of_the_clock(jump_s, tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 1.0)
    path = hold(tmp_path, host="node-17")
    now, stop = path.stat().st_mtime, threading.Event()

    def beat():
        """Beat by a clock that is `jump_s` behind ours, as that of node-17 is until it is set."""
        number = 0
        while not stop.wait(0.02):
            number += 1
            os.utime(path, (now - jump_s + number, now - jump_s + number))

    os.utime(path, (now - jump_s, now - jump_s))
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(RunLockedError, match="on node-17"):
            RunLock(tmp_path, flock=no_flock).__enter__()
    finally:
        stop.set()
        thread.join()
    assert path.exists()


def test_without_flock_a_claim_that_nobody_signed_is_respected_while_fresh(tmp_path):
    (tmp_path / "run.lock.held").write_bytes(b"")
    with pytest.raises(RunLockedError, match="another process works in this run folder"):
        RunLock(tmp_path, flock=no_flock).__enter__()


def test_a_claim_that_changes_hands_during_the_takeover_is_given_back(
    tmp_path, monkeypatch, dead_pid
):
    dead = hold(tmp_path, pid=dead_pid)
    living = Holder.this_process().model_copy(update={"host": "quicker"})
    answers = iter([lock_module._read_holder(dead)])
    original = lock_module._read_holder
    # Between our look at the dead claim and its removal, somebody else takes it over.
    monkeypatch.setattr(lock_module, "_read_holder", lambda p: next(answers, None) or original(p))
    dead.write_text(living.model_dump_json())
    with pytest.raises(RunLockedError, match="on quicker"):
        RunLock(tmp_path, flock=no_flock).__enter__()
    assert original(tmp_path / "run.lock.held") == living


def test_without_flock_the_heartbeat_keeps_the_claim_fresh(tmp_path, monkeypatch):
    beaten = threading.Event()
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.001)
    monkeypatch.setattr("os.utime", lambda path: beaten.set())
    with RunLock(tmp_path, flock=no_flock):
        assert beaten.wait(timeout=30)


def test_a_lock_that_was_lost_is_noticed(tmp_path):
    with RunLock(tmp_path, flock=no_flock) as lock:
        hold(tmp_path, host="thief")
        with pytest.raises(RunLockedError, match="on thief"):
            lock.check()
    assert (tmp_path / "run.lock.held").exists()


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot be locked"):
        RunLock(tmp_path / "run").__enter__()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_lock_file_removed_by_somebody_is_made_anew(tmp_path):
    with RunLock(tmp_path):
        (tmp_path / "run.lock").unlink()
    with RunLock(tmp_path), pytest.raises(RunLockedError):
        RunLock(tmp_path).__enter__()
