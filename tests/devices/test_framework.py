"""Paddle is imported once, with the right threads, and its absence is told with the way out."""

import os
import subprocess
import sys
import tempfile
import threading

import pytest

from segcore.devices import framework
from segcore.errors import ExhaustedError, FrameworkMissingError, RequestError

NO_PADDLE = "import sys; sys.modules['paddle'] = None\n"


def run(code, **environment):
    """Run `code` in a fresh interpreter and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_without_paddle_the_error_gives_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    with pytest.raises(FrameworkMissingError, match=r'pip install "segcore\[cpu\]"'):
        framework.require_paddle()


def test_a_paddle_that_lacks_a_module_of_its_own_is_told_apart(monkeypatch, tmp_path):
    (tmp_path / "paddle.py").write_text("import module_that_is_not_there\n")
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FrameworkMissingError, match="needs the module 'module_that_is_not_there'"):
        framework.require_paddle()


def test_a_paddle_that_cannot_be_loaded_is_told_apart(monkeypatch, tmp_path):
    (tmp_path / "paddle.py").write_text("raise ImportError('libcuda.so.1: cannot open')\n")
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FrameworkMissingError, match=r"libcuda\.so\.1: cannot open"):
        framework.require_paddle()


def test_an_import_that_was_interrupted_is_no_broken_paddle(monkeypatch, tmp_path):
    # as modules in C++ tell of it
    (tmp_path / "paddle.py").write_text(
        "raise ImportError('initialization failed') from KeyboardInterrupt()\n"
    )
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        framework.require_paddle()


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("OSError(24, 'Too many open files')", "Too many open files. Raise the limit"),
        ("ImportError('a.so: failed to map segment from shared object')", "too little memory"),
        ("OSError('Cannot allocate memory')", "too little memory"),
    ],
)
def test_a_shortage_is_not_taken_for_a_broken_paddle(monkeypatch, tmp_path, raised, told):
    (tmp_path / "paddle.py").write_text(f"raise {raised}\n")
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ExhaustedError, match=told):
        framework.require_paddle()


def test_a_current_folder_that_has_gone_is_not_taken_for_a_broken_paddle(monkeypatch, tmp_path):
    (tmp_path / "paddle.py").write_text("import os; os.getcwd()\n")
    (tmp_path / "gone").mkdir()
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(RequestError, match="current folder has been removed"):
        framework.require_paddle()


THREADS = (
    "import os, sys, types; sys.modules['paddle'] = types.ModuleType('paddle')\n"
    "from segcore.devices.framework import require_paddle; require_paddle()\n"
    "print(os.environ['OMP_NUM_THREADS'])"
)


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_paddle_needs_no_home_that_can_be_written(home):
    code = (
        "import os; from segcore.devices.framework import require_paddle as get\n"
        "print(get().ones([2]).sum().item(), os.environ['HOME'])"
    )
    assert run(code, HOME=home) == f"2.0 {home}"


def test_a_home_lent_to_two_threads_is_given_back(monkeypatch):
    monkeypatch.setenv("HOME", "/proc")
    entered, first_left = threading.Event(), threading.Event()

    def borrow():
        with framework.home_for_caches():
            entered.set()
            first_left.wait()

    second = threading.Thread(target=borrow)
    with framework.home_for_caches():
        assert os.environ["HOME"] == tempfile.gettempdir()
        second.start()
        entered.wait(0.3)  # it must not get in, so this is all the chance that it gets
    first_left.set()
    second.join()
    assert os.environ["HOME"] == "/proc"


def test_threads_are_settled_before_paddle_would_set_them_to_one():
    assert run(THREADS) == str(framework.available_cpus())


def test_threads_that_the_user_set_stay():
    assert run(THREADS, OMP_NUM_THREADS="7") == "7"


@pytest.mark.parametrize(
    ("quota", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("junk", None)]
)
def test_the_quota_of_a_container_bounds_the_cpus(monkeypatch, tmp_path, quota, expected):
    unbounded = framework.available_cpus()
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    monkeypatch.setattr(framework, "_CPU_QUOTA", file)
    assert framework.available_cpus() == (unbounded if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "----\nC++ Traceback\n1. f()\n----\n(Unimplemented) no kernel  (at x.cc:1)\n",
            "no kernel",
        ),
        (
            "In transformed code:\n  File x\n  TypeError: bad zip\n  1. advice\n",
            "TypeError: bad zip",
        ),
        ("only line", "only line"),
    ],
)
def test_the_sentence_of_a_paddle_error_is_found(text, expected):
    assert expected in framework.essence(RuntimeError(text))
    assert "\n" not in framework.essence(RuntimeError(text))


def test_an_error_without_words_is_named():
    assert framework.essence(RuntimeError()) == "RuntimeError()"
