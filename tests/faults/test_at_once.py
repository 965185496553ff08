"""Two commands at once in one folder: one after the other, so that none undoes the other's work."""

import fcntl
import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from segcore.checkpoint.lock import folder_lock
from segcore.checkpoint.ownership import Guard, first_in
from segcore.data import convert_dataset, fix_dataset, split_dataset
from segcore.data.demo import draw_dataset
from segcore.errors import OutputError


@pytest.fixture
def data(tmp_path):
    return draw_dataset(tmp_path / "data", "shapes", images=10, size=32)


@contextmanager
def waiting(work, folder, caplog):
    """Run `work` in a thread and wait until it waits for `folder`; let it go on after the block."""
    ends = []

    def run():
        try:
            ends.append(work())
        except Exception as error:
            ends.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with folder_lock(folder):
        thread.start()
        while f"{folder}: waiting for another command" not in caplog.text and thread.is_alive():
            time.sleep(0.01)
        assert thread.is_alive(), ends
        yield ends
    thread.join(60)
    assert not thread.is_alive()


def tree(folder):
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def split(data):
    return lambda: split_dataset(data, train=50, val=50)


def fix(data):
    return lambda: fix_dataset(data, in_place=True, label_map={4: 3})


@pytest.mark.parametrize("work", [split, fix])
def test_a_dataset_is_changed_by_one_command_at_a_time(data, work, caplog):
    before = tree(data)
    with waiting(work(data), data, caplog) as ends:
        assert tree(data) == before
        split_dataset(data, train=70, val=30)
        between = tree(data)
    assert not isinstance(ends[0], Exception), ends
    assert tree(data) != between
    # what the first has made is in the second's backups, and what was there before in the first's
    kept = list(tree(data).values())
    assert all(content in kept for content in (*before.values(), *between.values()))


def draw(output, _data):
    draw_dataset(output, "shapes", images=4, size=32)


def convert(output, data):
    convert_dataset(data, "COCO", output)


@pytest.mark.parametrize("work", [draw, convert])
def test_a_folder_is_filled_by_one_command_at_a_time(data, tmp_path, work, caplog):
    output = tmp_path / "out"
    output.mkdir()
    with waiting(lambda: work(output, data), output, caplog) as ends:
        draw_dataset(output, "shapes", images=6, size=32)
        filled = tree(output)
    assert isinstance(ends[0], OutputError)
    assert "is not empty" in str(ends[0])
    assert tree(output) == filled


def test_of_two_that_replace_a_folder_the_second_finds_what_the_first_put_there(tmp_path):
    sources, ends, start = [], [], threading.Barrier(2)
    for name in ("one", "other"):
        sources.append(tmp_path / name)
        sources[-1].mkdir()
        (sources[-1] / name).touch()

    def put(source):
        start.wait()
        try:
            ends.append(Guard().replace_folder(source, tmp_path / "out", first_in))
        except OutputError as error:
            ends.append(error)

    threads = [threading.Thread(target=put, args=[source]) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "OutputError"]
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_who_waited_for_a_folder_that_was_replaced_takes_the_one_that_is_there(tmp_path, caplog):
    folder, moved = tmp_path / "a", tmp_path / "b"
    folder.mkdir()

    def work():
        with folder_lock(folder, says_so=True):
            (folder / "mine").touch()
            # a thread that holds a lock goes through
            with folder_lock(folder):
                return True

    with waiting(work, folder, caplog) as ends:
        folder.rename(moved)
        folder.mkdir()
    assert ends == [True]
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert not list(moved.iterdir())


def test_a_child_that_was_forked_keeps_no_folder_locked(tmp_path):
    with folder_lock(tmp_path):
        child = os.fork()
        if child == 0:
            signal.pause()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where the child has it
    finally:
        os.close(folder)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
