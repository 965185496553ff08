"""Signals in programs of segcore's own, and in programs of its users."""

import os
import select
import signal
import subprocess
import sys

import pytest

from segcore.engine.signals import StopRequested, StopSignals

CODES = [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)]
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from segcore.checkpoint import files
from segcore.engine.signals import StopSignals, end_on_signals, finishing

end_on_signals()

def ready():
    os.write(1, b"ready")

"""
WAIT = "while True:\n    time.sleep(0.01)\n"
# a call into a library that does not come back, as the thread that works on it sees it
STUCK = "import ctypes\nready()\nwhile True:\n    ctypes.CDLL(None).sleep(60)\n"
TRAINING = """
with StopSignals() as signals:
    with signals.saved():
        ready()
        while True:
            time.sleep(0.01)
"""


def run(body, *names, ignored=()):
    """Run the program `body`, send the signals once it is ready, and give what came of it."""

    program = "".join(f"signal.signal(signal.{name}, signal.SIG_IGN)\n" for name in ignored)
    program = "import signal\n" + program + PROGRAM + body
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said = b""
    while len(said) < 5:
        said += os.read(child.stdout.fileno(), 5 - len(said))
    for name in names:
        child.send_signal(getattr(signal, name))
    out, err = child.communicate(timeout=60)
    return child.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(("name", "code"), CODES)
@pytest.mark.parametrize("doing", [f"ready()\n{WAIT}", STUCK], ids=["waiting", "in a library"])
def test_a_command_ends_with_one_line_and_its_code(doing, name, code):
    assert run(doing, name) == (code, "", f"segcore: stopped by {name}\n")


def test_a_training_whose_state_is_saved_ends_at_once_and_says_so():
    line = "segcore: stopped by SIGTERM; the state is saved, go on with --resume\n"
    assert run(TRAINING, "SIGTERM") == (143, "", line)


def test_code_that_swallows_every_exception_is_ended_too():
    doing = (
        "ready()\nwhile True:\n    try:\n        time.sleep(0.01)\n"
        "    except BaseException:\n        pass\n"
    )
    assert run(doing, "SIGINT")[0] == 130


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_what_is_ignored_from_the_start_stays_ignored(name):
    doing = (
        f"ready()\nos.kill(os.getpid(), signal.{name})\n"
        f"with StopSignals() as signals:\n    os.kill(os.getpid(), signal.{name})\n"
        "print(signals.caught)"
    )
    assert run(doing, ignored=[name]) == (0, "None\n", "")


def test_unfinished_files_are_removed(tmp_path):
    doing = (
        f"root = Path({str(tmp_path)!r})\n(root / 'mine').write_text('kept')\n"
        "folder = root / files.temporary_name('export')\nfiles.DISK.mkdir(folder)\n"
        "files.DISK.write_file(folder / 'graph', b'half of')\n"
        "files.DISK.open(root / files.temporary_name('file'))\n"
        f"ready()\n{WAIT}"
    )
    assert run(doing, "SIGTERM")[0] == 143
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_is_printed_is_printed_to_the_end():
    doing = (
        "with finishing():\n    ready()\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('[' + '1, ' * 100_000 + '1]')\n"
    )
    code, out, _ = run(doing)
    assert code == 143
    assert out.startswith("[1, ")
    assert out.endswith("1]\n")


def test_a_signal_after_the_work_changes_nothing():
    doing = (
        "import atexit\nready()\n"
        "import weakref\nclass Late: pass\nlate = Late()\n"
        "weakref.finalize(late, os.kill, os.getpid(), signal.SIGTERM)\n"
        "sys.modules['kept'] = late\n"
    )
    code, _, err = run(doing)
    assert (code, err) in [(0, ""), (143, "segcore: stopped by SIGTERM\n")]


def test_the_second_signal_ends_a_training_that_saves():
    doing = (
        "with StopSignals() as signals:\n    ready()\n    while signals.caught is None:\n"
        "        time.sleep(0.01)\n    time.sleep(0.05)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        f"    {WAIT.replace(chr(10), chr(10) + '    ')}"
    )
    assert run(doing, "SIGINT") == (130, "", "segcore: stopped by SIGINT\n")


def test_one_signal_that_is_sent_twice_is_one_request():
    doing = (
        "with StopSignals() as signals:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    ready()\n    print(signals.caught.name)\n"
    )
    assert run(doing) == (0, "SIGTERM\n", "")


@pytest.fixture
def own_handler():
    """The handler of a program that uses segcore."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda signum, _: heard.append(signum))
    yield heard
    signal.signal(signal.SIGTERM, before)


def test_a_program_gets_its_handlers_back(own_handler):
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.caught is signal.SIGTERM
    assert not own_handler
    os.kill(os.getpid(), signal.SIGTERM)
    assert own_handler == [signal.SIGTERM]


def test_nothing_waits_once_a_signal_came():
    def items():
        yield 1
        os.kill(os.getpid(), signal.SIGTERM)
        select.select([], [], [])

    with StopSignals() as signals:
        batches = signals.waiting_for(items())
        assert next(batches) == 1
        with pytest.raises(StopRequested):
            next(batches)


def test_what_is_saved_is_left_at_once():
    def evaluate(signals):
        with signals.saved():
            os.kill(os.getpid(), signal.SIGHUP)
            select.select([], [], [])

    with StopSignals() as signals, pytest.raises(StopRequested):
        evaluate(signals)
    assert signals.caught is signal.SIGHUP


def test_importing_paddle_leaves_the_handler_of_sigterm():
    body = (
        "import os, signal\nheard = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: heard.append(1))\n"
        "from segcore.devices.framework import require_paddle\nrequire_paddle()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nprint(len(heard))"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
