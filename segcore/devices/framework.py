"""Import PaddlePaddle, once, with the threads that this machine has."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
import zlib
from collections.abc import Iterator
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from segcore.checkpoint.files import make_folders
from segcore.errors import ExhaustedError, FrameworkMissingError, RequestError, SegcoreError
from segcore.filesystem import home_folder
from segcore.warned import warned

__all__ = [
    "available_cpus",
    "essence",
    "home_for_caches",
    "require_paddle",
    "restore_threads",
]

# Where the sentence stands in what Paddle raises: "(InvalidArgument) ..." below a C++ stack, or
# "ValueError: ..." below an excerpt of the code that it was tracing.
_SENTENCE = re.compile(r"\([A-Z]\w+\) |\w+(?:Error|Exception): ")
_importing = threading.RLock()
_lending = threading.RLock()  # a second thread would take the lent home for the user's
_modes: list[Any] = []
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def require_paddle() -> Any:
    """Import paddle and return it. Raises FrameworkMissingError with the line that installs it.

    The number of threads is settled first: importing paddle sets OMP_NUM_THREADS to 1 where it is
    not set, which costs a third of the speed on two cores, and it cannot be mended afterwards.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))
    # What Paddle's C++ side says below the level of errors is meant for its developers.
    os.environ.setdefault("GLOG_minloglevel", "2")
    try:
        paddle = _import_quietly()
    except ModuleNotFoundError as error:
        if error.name == "paddle":
            raise FrameworkMissingError(
                "PaddlePaddle is not installed. Install it for the CPU with "
                '`pip install "segcore[cpu]"`, or for NVIDIA GPUs with `pip install "segcore[gpu]"`'
            ) from error
        raise FrameworkMissingError(
            f"PaddlePaddle is installed, but needs the module {error.name!r}, which is not: "
            '`pip install "segcore[cpu]"` (or "segcore[gpu]") installs what it needs'
        ) from error
    except (ImportError, OSError) as error:
        if _is_interrupted(error):
            raise KeyboardInterrupt from error
        hindrance = _hindrance(error)
        if hindrance is not None:
            raise hindrance from error
        raise FrameworkMissingError(
            f"PaddlePaddle is installed, but cannot be imported: {error}. Install one build of it "
            'anew: `pip install --force-reinstall "segcore[cpu]"` (or "segcore[gpu]")'
        ) from error
    _keep_dynamic_mode()
    return paddle


def _is_interrupted(error: BaseException | None) -> bool:
    """Say whether an import failed since somebody pressed Ctrl+C: modules in C++ hide that."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _hindrance(error: ImportError | OSError) -> SegcoreError | None:
    """Give what keeps Paddle from being imported here and now, where it is not Paddle itself."""
    if isinstance(error, FileNotFoundError):
        try:
            os.getcwd()  # noqa: PTH109 - only whether there is one
        except FileNotFoundError:
            return RequestError("the current folder has been removed: change to another one")
    if isinstance(error, OSError) and error.errno in _SHORTAGES:
        return ExhaustedError(
            f"PaddlePaddle cannot be imported: {error.strerror}. Raise the limit (see `ulimit -a`)"
        )
    if "failed to map segment" in str(error) or "cannot allocate memory" in str(error).lower():
        return ExhaustedError(
            "PaddlePaddle cannot be imported: there is too little memory. Free some, or raise the "
            "limit (see `ulimit -v`)"
        )
    return None


def _import_quietly() -> Any:
    """Import paddle without its remarks on ccache and on OMP_NUM_THREADS, which are no news.

    A second thread waits until the first is done: half of a module is none, and two threads that
    silence stderr at once would leave it silent.
    """
    with _importing:
        if sys.modules.get("paddle") is not None:
            return import_module("paddle")  # waits for the end of an import that is under way
        # Paddle 2.6 brings a zlib of its own; Python's crashes unless its names are bound before
        zlib.decompress(zlib.compress(b"segcore"))
        quiet = contextlib.redirect_stderr(io.StringIO())
        with _keeping_signals(), home_for_caches(), warned(), quiet:
            paddle = import_module("paddle")
    # batch norm says this at its first step in training, to everybody
    warnings.filterwarnings("ignore", message="When training, we now always track global mean")
    return paddle


@contextlib.contextmanager
def home_for_caches() -> Iterator[None]:
    """Lend Paddle the folder of temporary files as home where it cannot have its cache there.

    Importing it and tracing a network need ~/.cache/paddle, and fail where nothing can be made.
    """
    with _lending:
        if _can_cache():
            yield
            return
        home = os.environ.get("HOME")
        os.environ["HOME"] = tempfile.gettempdir()
        try:
            yield
        finally:
            if home is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = home


def _can_cache() -> bool:
    home = home_folder()
    if home is None:
        return False
    try:
        make_folders(home / ".cache/paddle")
    except SegcoreError:
        return False
    return True


@contextlib.contextmanager
def _keeping_signals() -> Iterator[None]:
    """Take SIGTERM back from Paddle, whose library answers it with a trace of its C++ side.

    It takes it behind Python's back and early, so it is taken back at each import that follows.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    keeper = _SignalKeeper()
    sys.meta_path.insert(0, keeper)
    try:
        yield
    finally:
        sys.meta_path.remove(keeper)
        keeper.restore()


class _SignalKeeper(MetaPathFinder):
    """Finds no module, but is asked for each that is imported."""

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def find_spec(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


def _keep_dynamic_mode() -> None:
    """Keep the whole process in Paddle's dynamic mode when the thread that imported it ends.

    That thread alone holds the context manager of the mode. When it went with the thread, its exit
    would leave all other threads in static mode, in which no network runs.
    """
    own = getattr(sys.modules.get("paddle.base.framework"), "global_var", None)
    manager = getattr(own, "_functional_dygraph_context_manager", None)
    if manager is not None and manager not in _modes:
        _modes.append(manager)


def restore_threads() -> None:
    """Give Paddle back the threads that a predictor has taken.

    A predictor leaves the whole process with one thread after each run, and with its own count
    when it is created, so that a training beside it would slow down and round differently.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    count = int(threads) if re.fullmatch("[0-9]{1,4}", threads) else available_cpus()
    require_paddle().base.core.set_num_threads(max(1, count))


def available_cpus() -> int:
    """Count the CPUs that this process may use: its affinity, and the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpus = allowed or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        if quota != "max":
            cpus = min(cpus, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no control groups here, so no quota
    return cpus


def essence(error: BaseException) -> str:
    """Give the one line of an error of Paddle that says what is wrong, without the stack in it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sentences = [line for line in lines if _SENTENCE.match(line)]
    return (sentences or lines or [repr(error)])[-1]
