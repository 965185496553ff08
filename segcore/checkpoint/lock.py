"""The run lock: one process at a time writes into a run folder.

The kernel's `flock` on RUN/run.lock is held for the life of the process and vanishes with it,
however it dies; what the file says is for people. Where a network file system has no locks, a file
created exclusively takes their place, and a heartbeat keeps it fresh.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel, ConfigDict, ValidationError

from segcore.checkpoint.files import prepare_output, temporary_name
from segcore.checkpoint.process import birth, machine
from segcore.errors import OutputError, RunLockedError
from segcore.filesystem import read_regular

__all__ = ["Holder", "RunLock", "folder_lock", "is_lock", "waiting_lock"]

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
SILENT_S = 120.0
_MAX_BYTES = 2**16
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_held: set[RunLock] = set()
_mine = threading.local()


class Holder(BaseModel):
    """Who holds a lock. `birth` tells a process from a later one with the same number."""

    model_config = ConfigDict(strict=True, frozen=True)

    host: str
    boot: str
    pid: int
    birth: str
    started: str
    token: str

    @classmethod
    def this_process(cls) -> Holder:
        """Describe this process."""
        return cls(
            host=socket.gethostname(),
            boot=machine(),
            pid=os.getpid(),
            birth=birth(os.getpid()),
            started=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            token=secrets.token_hex(8),
        )

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine since its last start, as far as we can see."""
        return (self.host, self.boot) == (socket.gethostname(), machine())

    @property
    def is_dead(self) -> bool:
        """Whether the process provably does not run any more."""
        return self.is_here and birth(self.pid) != self.birth

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"


def is_lock(head: bytes) -> bool:
    """Say whether a file that begins so is a lock of a run, held or not."""
    try:
        return not head or Holder.model_validate_json(head) is not None
    except ValidationError:
        return False


def _read_holder(path: Path) -> Holder | None:
    with contextlib.suppress(OSError, ValidationError):
        return Holder.model_validate_json(read_regular(path, _MAX_BYTES))
    return None


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold the kernel's lock on the file `path` while the block runs, waiting for whoever has it.

    For work that several processes may want done, and that one does for all. Raises OutputError
    where the file cannot be made, or the file system has no locks.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = None
    try:
        descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: waiting for another process", path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        raise OutputError(f"{path}: cannot be locked: {error.strerror}") from error
    try:
        yield
    finally:
        os.close(descriptor)  # which lets the lock go; the file stays, for others may wait on it


@contextlib.contextmanager
def folder_lock(folder: Path, *, says_so: bool = False) -> Iterator[None]:
    """Hold the kernel's lock on `folder` itself while the block runs, waiting for whoever has it.

    For writes that go by a look at what is there, by threads and processes alike; a thread that
    holds it goes through. Nothing is left behind. Who may have to wait long `says_so`. Where a file
    system has no locks for folders the block runs without. Raises OutputError where the folder
    cannot be opened.
    """
    locked: set[tuple[int, int]] = vars(_mine).setdefault("folders", set())
    descriptor, key = _open_folder(folder)
    try:
        if key in locked:
            yield
            return
        while not _has_lock(descriptor, folder, says_so=says_so):
            os.close(descriptor)  # another folder has this name by now
            descriptor, key = _open_folder(folder)
        locked.add(key)
        try:
            yield
        finally:
            locked.discard(key)
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked holds it, too
    finally:
        os.close(descriptor)


def _open_folder(folder: Path) -> tuple[int, tuple[int, int]]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot be opened: {error.strerror}.") from error
    return descriptor, (status.st_dev, status.st_ino)


def _has_lock(descriptor: int, folder: Path, *, says_so: bool) -> bool:
    """Wait for the lock of an open folder; say whether it is still the folder of this name."""
    with contextlib.suppress(OSError):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if says_so:
                log.warning("%s: waiting for another command that writes there", folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False


class RunLock:
    """Hold the run folder `run_dir`: `with RunLock(run_dir): ...`.

    Entering creates the folder and proves that it can be written. Raises OutputError, and
    RunLockedError that names the holder. `flock` is a parameter for file systems without it.
    """

    def __init__(self, run_dir: Path, *, flock: Callable[[int, int], None] = fcntl.flock) -> None:
        self.run_dir = run_dir
        self._flock = flock
        self._path = run_dir / "run.lock"
        self._claim = run_dir / "run.lock.held"
        self._descriptor: int | None = None
        self._holder: Holder | None = None
        self._stop = threading.Event()
        self._heartbeat: threading.Thread | None = None

    def __enter__(self) -> RunLock:  # noqa: PYI034 - Self came with Python 3.11
        prepare_output(self.run_dir)
        self._holder = Holder.this_process()
        try:
            if not self._lock():
                self._create_claim(self._holder)
        except OSError as error:
            self._close()
            raise OutputError(
                f"{error.filename or self._path}: cannot be locked: {error.strerror}."
                " Choose another output folder."
            ) from error
        _held.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _held.discard(self)
        if self._heartbeat is not None:
            self._stop.set()
            self._heartbeat.join()
            if self._is_ours():
                self._claim.unlink(missing_ok=True)
        elif self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)  # removing the file would let two hold "the" lock
        self._close()

    def check(self) -> None:
        """Make sure that the lock is still ours. Raises RunLockedError.

        Only without `flock` can it be lost: to another process, after a long suspension.
        """
        if self._heartbeat is not None and not self._is_ours():
            raise self._refusal(_read_holder(self._claim))

    def _lock(self) -> bool:
        """Take the kernel's lock; say False where the file system has none."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o666)
            try:
                self._flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._close()
                raise self._refusal(self._wait_for_holder()) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                self._close()
                return False
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                    break
            self._close()  # somebody removed the file meanwhile: lock the one that is there now
        assert self._holder is not None  # noqa: S101 - set by __enter__
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, self._holder.model_dump_json(indent=1).encode())
        os.fsync(self._descriptor)
        return True

    def _wait_for_holder(self) -> Holder | None:
        # The holder writes its name just after it has the lock.
        for _ in range(20):
            if holder := _read_holder(self._path):
                return holder
            time.sleep(0.01)
        return None

    def _create_claim(self, holder: Holder) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(self._claim, flags, 0o666)
        except FileExistsError:
            self._remove_dead_claim()
            try:
                descriptor = os.open(self._claim, flags, 0o666)
            except FileExistsError as error:
                raise self._refusal(_read_holder(self._claim)) from error
        try:
            os.write(descriptor, holder.model_dump_json(indent=1).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._heartbeat = threading.Thread(target=self._beat, name="run-lock", daemon=True)
        self._heartbeat.start()

    def _remove_dead_claim(self) -> None:
        """Remove the claim of a dead process. Raises RunLockedError if it may be alive."""
        holder = _read_holder(self._claim)
        silent_s = self._silence_s()
        if holder and holder.is_here:
            is_dead = holder.is_dead
        else:
            is_dead = silent_s > SILENT_S and not self._beats()
        if not is_dead:
            raise self._refusal(holder, silent_s)
        grave = self.run_dir / temporary_name("lock", "trash")
        self._claim.rename(grave)
        if _read_holder(grave) != holder:
            # Somebody else was quicker, and what was moved is a living claim: give it back.
            with contextlib.suppress(FileExistsError):
                os.link(grave, self._claim)
            grave.unlink()
            raise self._refusal(_read_holder(self._claim))
        grave.unlink()

    def _silence_s(self) -> float:
        """Give the seconds since the claim's last heartbeat, by the file system's own clock."""
        probe = self.run_dir / temporary_name("clock")
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime - self._claim.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _beats(self) -> bool:
        """Watch for a heartbeat: after a clock jumped, a living holder looks silent."""
        end = time.monotonic() + 2 * HEARTBEAT_S
        with contextlib.suppress(FileNotFoundError):
            seen = self._claim.stat().st_mtime_ns
            while time.monotonic() < end:
                time.sleep(HEARTBEAT_S / 20)
                if self._claim.stat().st_mtime_ns != seen:
                    return True
        return False

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            if self._is_ours():
                with contextlib.suppress(OSError):
                    os.utime(self._claim)

    def _is_ours(self) -> bool:
        return _read_holder(self._claim) == self._holder

    def _refusal(self, holder: Holder | None, silent_s: float | None = None) -> RunLockedError:
        who = holder or "another process"
        seen = "" if silent_s is None else f", last seen {max(silent_s, 0):.0f} s ago"
        return RunLockedError(
            f"{self.run_dir}: {who} works in this run folder{seen}. Wait for it or stop it,"
            " or choose another output folder."
            + (f" If it is surely dead, delete {self._claim}." if silent_s is not None else "")
        )

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def release_in_child(self) -> None:
        """Let go of the lock in a forked child, so that it dies with the parent alone."""
        self._close()
        self._heartbeat = None


def _release_in_child() -> None:
    for lock in list(_held):
        lock.release_in_child()
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)
