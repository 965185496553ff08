"""Folders that are filled in place, by commands that end well, badly, or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from segcore.checkpoint import files
from segcore.checkpoint.ownership import first_in
from segcore.checkpoint.unfinished import filling, is_free, is_unfinished
from segcore.errors import OutputError

KILLED = """
import os, signal, sys
from pathlib import Path
from segcore.checkpoint import files
from segcore.checkpoint.unfinished import filling
root = Path(sys.argv[1])
files.DISK.mkdir(root / files.temporary_name("export"))
files.DISK.open(root / files.temporary_name("file"))
with filling(root, lambda: None):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill(folder):
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_refusal_leaves_no_note_that_lets_the_next_command_write_there(tmp_path):
    (tmp_path / "thesis").write_text("mine")
    with pytest.raises(OutputError), filling(tmp_path, lambda: None):
        raise OutputError("belongs to somebody else")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_folder_is_unfinished_until_the_next_command_finishes_it(tmp_path):
    kill(tmp_path)
    assert is_unfinished(tmp_path)
    with filling(tmp_path, lambda: None):
        files.write_atomic(tmp_path / "image", b"")
    assert not is_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


def test_a_folder_whose_filling_failed_is_unfinished(tmp_path):
    with pytest.raises(ZeroDivisionError), filling(tmp_path, lambda: None):
        raise ZeroDivisionError
    assert is_unfinished(tmp_path)


def test_a_folder_that_somebody_fills_is_neither_free_nor_unfinished(tmp_path, monkeypatch):
    note = f".unfinished-folder-{os.getppid()}-"
    monkeypatch.setattr(os, "getpid", os.getppid)
    (tmp_path / files.temporary_name("folder", "unfinished")).touch()
    monkeypatch.undo()
    assert first_in(tmp_path).name.startswith(note)
    assert not is_unfinished(tmp_path)
    assert not is_free(tmp_path)


def test_the_next_temporary_file_sweeps_up_after_the_dead_alone(tmp_path, monkeypatch):
    kill(tmp_path)
    monkeypatch.setattr(os, "getpid", os.getppid)
    of_living = tmp_path / files.temporary_name("file")
    monkeypatch.undo()
    of_other_host = tmp_path / f".tmp-file-1-{'0' * 24}"
    of_user = tmp_path / ".tmp-notes"
    for path in (of_living, of_other_host, of_user):
        path.touch()
    files.write_atomic(tmp_path / "new", b"")
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".unfinished-")}
    assert left == {of_living.name, of_other_host.name, of_user.name, "new"}
