"""F12 to F15 and row 84: data workers that are killed, raise, hang, are orphaned, or cannot start.

Every fault is real: processes are killed and stopped, and limits are set.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from segcore.data.loader import Loader
from segcore.data.sampler import Sampler
from segcore.data.transforms.build import Pipeline
from segcore.errors import DataError, ExhaustedError, LabelError, WorkerError
from segcore.tasks.batch import collate_semantic

DATASETS = Path(__file__).parents[1] / "data"
SCRIPT = """
import sys
sys.path.insert(0, {datasets!r})
from pathlib import Path
import numbered
from segcore.data.loader import Loader
from segcore.data.sampler import Sampler
from segcore.data.transforms.build import Pipeline
from segcore.tasks.batch import collate_semantic

def load(dataset, **options):
    sampler = Sampler(len(dataset), 4, shuffle=False)
    return Loader(dataset, Pipeline(()), sampler, collate_semantic, **options)

"""


@pytest.fixture
def numbered(monkeypatch):
    """Give the module of data sets, importable here and so in the workers."""
    monkeypatch.syspath_prepend(str(DATASETS))
    import numbered

    yield numbered
    sys.modules.pop("numbered")


@pytest.fixture
def mark(tmp_path):
    """Give a FIFO through which a worker that gets stuck tells its process number."""
    os.mkfifo(tmp_path / "mark")
    return tmp_path / "mark"


def load(dataset, num_workers, **options):
    sampler = Sampler(len(dataset), 4, shuffle=False)
    return Loader(
        dataset, Pipeline(()), sampler, collate_semantic, num_workers=num_workers, **options
    )


def send_when_stuck(mark, signum):
    def wait_and_send():
        os.kill(int(mark.read_text()), signum)

    thread = threading.Thread(target=wait_and_send, daemon=True)
    thread.start()


def ended(pids, seconds):
    """Wait until all processes are gone; say whether they are."""
    return all(has_ended(pid, seconds) for pid in pids)


def has_ended(pid, seconds):
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([process], [], [], seconds)
    os.close(process)
    return bool(ready)


def run_script(body):
    code = SCRIPT.format(datasets=str(DATASETS)) + body
    return subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)


@pytest.mark.parametrize("at", [1, 11])
def test_f12_a_killed_worker_is_named_with_what_it_was_reading(numbered, mark, at):
    send_when_stuck(mark, signal.SIGKILL)
    with load(numbered.Stuck(at=at, mark=mark), 2) as loader, pytest.raises(WorkerError) as caught:
        list(loader.epoch(0))
    message = str(caught.value)
    assert "killed by SIGKILL" in message
    assert f"images/{at:04d}.png (train.txt line {at + 1})" in message
    assert "memory runs out" in message


def test_f12_a_worker_killed_while_idle_is_found_missing(numbered):
    with load(numbered.Numbered(80), 1, prefetch=1) as loader:
        batches = loader.epoch(0)
        next(batches)
        os.kill(loader.worker_pids[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"data worker 0 .* killed by SIGKILL"):
            list(batches)


def test_f12_a_crash_inside_a_library_shows_where(numbered, mark):
    send_when_stuck(mark, signal.SIGSEGV)
    with load(numbered.Stuck(mark=mark), 1) as loader, pytest.raises(WorkerError) as caught:
        list(loader.epoch(0))
    assert "SIGSEGV" in str(caught.value)
    assert 'numbered.py", line' in str(caught.value)
    assert "Extension modules" not in str(caught.value)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("position", [0, 5, 11])
def test_f13_a_bad_sample_is_named(numbered, position, num_workers):
    dataset = numbered.Faulty(bad=(position,))
    with load(dataset, num_workers) as loader, pytest.raises(LabelError) as caught:
        list(loader.epoch(0))
    expected = f"images/{position:04d}.png (train.txt line {position + 1}): 3 pixels have class 21"
    assert str(caught.value) == expected


@pytest.mark.parametrize("num_workers", [0, 2])
def test_f13_a_strange_error_keeps_its_name_and_its_origin(numbered, num_workers):
    dataset = numbered.Faulty(kind="zero")
    with load(dataset, num_workers) as loader, pytest.raises(DataError) as caught:
        list(loader.epoch(0))
    assert "images/0005.png (train.txt line 6): ZeroDivisionError" in str(caught.value)
    assert "division by zero" in str(caught.value.__cause__)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_f13_memory_that_runs_out_is_said_so(numbered, num_workers):
    dataset = numbered.Faulty(kind="memory")
    with load(dataset, num_workers) as loader, pytest.raises(ExhaustedError, match="num_workers"):
        list(loader.epoch(0))


def test_f14_a_hanging_worker_is_reported_with_file_and_stack(numbered, mark):
    send_when_stuck(mark, 0)
    dataset = numbered.Stuck(mark=mark)
    with load(dataset, 2, timeout_s=2.0) as loader, pytest.raises(WorkerError) as caught:
        list(loader.epoch(0))
    message = str(caught.value)
    assert "silent for 2 s (data.timeout_s) while reading images/0003.png" in message
    assert "in read_for_ever" in message


def test_f14_a_stopped_worker_is_reported_too(numbered, mark):
    send_when_stuck(mark, signal.SIGSTOP)
    dataset = numbered.Stuck(mark=mark)
    with load(dataset, 1, timeout_s=1.0) as loader, pytest.raises(WorkerError, match="stopped"):
        list(loader.epoch(0))


def test_f15_workers_end_with_a_killed_parent(mark):
    body = "list(load(numbered.Stuck(mark=Path({!r})), num_workers=2, prefetch=1).epoch(0))"
    parent = run_script(body.format(str(mark)))
    stuck = int(mark.read_text())
    idle = {int(pid) for pid in children(parent.pid)} - {stuck}
    parent.kill()
    # not communicate(), which would wait for surviving workers to close the standard error
    parent.wait()
    parent.stdout.close()
    parent.stderr.close()
    try:
        assert len(idle) == 1
        assert ended([stuck, *idle], seconds=10)
    finally:
        for pid in (stuck, *idle):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_f15_workers_end_with_a_parent_that_forgets_them():
    body = "loader = load(numbered.Numbered(), num_workers=2); next(loader.epoch(0))\n"
    parent = run_script(body + "print(*loader.worker_pids)")
    out, err = parent.communicate()
    assert (parent.returncode, err) == (0, "")
    assert ended([int(pid) for pid in out.split()], seconds=10)


def test_workers_keep_the_standard_output_clean():
    body = "loader = load(numbered.Chatty(4), num_workers=1); list(loader.epoch(0))\n"
    out, err = run_script(body + "loader.close()").communicate()
    assert out == ""
    assert "reading 3" in err


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_row_84_too_few_open_files_mean_fewer_workers_and_a_warning():
    body = (
        "import logging, os, resource; logging.basicConfig()\n"
        "limit = len(os.listdir('/proc/self/fd')) + 8\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
        "loader = load(numbered.Numbered(), num_workers=9)\n"
        "print(len(list(loader.epoch(0))), len(loader.worker_pids))\n"
        "loader.close()"
    )
    out, err = run_script(body).communicate()
    batches, workers = map(int, out.split())
    assert batches == 3
    assert 0 < workers < 9
    assert f"only {workers} of 9 data workers" in err
    assert "(ulimit -n)" in err


def test_row_84_no_process_at_all_means_reading_in_the_main_one():
    body = (
        "import logging, resource; logging.basicConfig()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))\n"
        "loader = load(numbered.Numbered(), num_workers=2)\n"
        "import cv2\n"
        "print(len(list(loader.epoch(0))), len(loader.worker_pids))"
    )
    out, err = run_script(body).communicate()
    assert out.split() == ["3", "0"]
    assert "none, in the main process" in err
