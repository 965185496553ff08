"""The seam between segcore and the disk: every change to a file that matters passes through here.

`Files` is one small object. The store and everything else that writes receives one, and the fault
tests hand in others that kill the process, fail, or record (`segcore.testing.faults`). A single
file is written by `write_atomic`, a folder put in place by `replace_folder`; both leave the old or
the new content behind, whatever happens in between.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from segcore.checkpoint.process import birth, machine, namespace
from segcore.errors import OutputError, StorageError
from segcore.filesystem import open_regular, read_regular

__all__ = [
    "DISK",
    "Files",
    "Part",
    "append",
    "digest_file",
    "finish_replacement",
    "make_folders",
    "prepare_output",
    "replace_folder",
    "storage_errors",
    "temporary_name",
    "write_atomic",
]

Part: TypeAlias = bytes | Iterable[bytes]
"""The content of a file: bytes, or pieces of bytes that are made while they are written."""

_MOST_LABEL_BYTES = 200  # of a name that another is made of, which may have 255
# .KIND-LABEL-PID-PLACEBIRTHRANDOM, with eight digits for each of the last three
_SIBLING = re.compile(r"\.(?:new|old)-(.+)-\d+-[0-9a-f]{24}\Z", re.DOTALL)
_LEFTOVER = re.compile(r"\.(?:tmp|trash)-[\w-]+-\d+-(?:[0-9a-f]{8}|[0-9a-f]{24})\Z")
_OWNER = re.compile(r"\.[a-z]+-[\w-]+-(\d{1,10})-([0-9a-f]{8})([0-9a-f]{8})[0-9a-f]{8}\Z")

# what this process has under temporary names, and folders that it has swept
_unfinished: set[Path] = set()
_swept: set[Path] = set()


class Files:
    """Operations on the disk; the first ten are what faults are injected into.

    All of them raise OSError as the system does; `storage_errors` translates it for users.
    """

    def open(self, path: Path, flags: int = os.O_EXCL) -> int:
        """Create `path` for writing and give its descriptor; it must not exist already.

        A pipe without a reader, where other flags allow one, is an error and not waited for.
        """
        if is_leftover(path.name):
            if path.parent not in _swept:
                self.sweep(path.parent)
            _unfinished.add(path)
        wanted = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(path, wanted | flags, 0o666)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write as much of `data` as the system takes, and give the number of bytes taken."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Wait until the content of an open file is on the disk."""
        os.fsync(descriptor)

    def sync(self, path: Path) -> None:
        """Wait until a closed file, or the list of names in a folder, is on the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems cannot flush folders and say so with EINVAL.
            if error.errno != errno.EINVAL or not path.is_dir():
                raise
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Rename `source` to `target` in one step."""
        source.replace(target)
        _unfinished.discard(source)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()
        _unfinished.discard(path)

    def mkdir(self, path: Path) -> None:
        """Create a folder, which must not exist already."""
        if is_leftover(path.name):
            self.sweep(path.parent)
            _unfinished.add(path)
        path.mkdir()

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()
        _unfinished.discard(path)

    def listdir(self, path: Path) -> list[str]:
        """List the names in a folder, sorted."""
        return sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths

    def read(self, path: Path) -> bytes:
        """Read a whole file, which must be a regular one."""
        return read_regular(path)

    def close(self, descriptor: int) -> None:
        """Close a descriptor given by `open`."""
        os.close(descriptor)

    def write_all(self, descriptor: int, data: bytes) -> None:
        """Write all of `data`, however little the system takes at a time."""
        rest = memoryview(data)
        while rest:
            written = self.write(descriptor, rest)
            if written <= 0:
                raise OSError(errno.EIO, "nothing could be written")
            rest = rest[written:]

    def write_file(self, path: Path, part: Part) -> tuple[int, str]:
        """Create `path`, flush it to the disk, and give its size in bytes and its SHA-256."""
        digest, size = hashlib.sha256(), 0
        descriptor = self.open(path)
        try:
            for piece in (part,) if isinstance(part, bytes) else part:
                digest.update(piece)
                size += len(piece)
                self.write_all(descriptor, piece)
            self.fsync(descriptor)
        finally:
            self.close(descriptor)
        return size, digest.hexdigest()

    def remove_tree(self, path: Path) -> None:
        """Remove a file or a folder with all that is in it; nothing there is fine."""
        if path.is_dir() and not path.is_symlink():
            for name in self.listdir(path):
                self.remove_tree(path / name)
            self.rmdir(path)
        elif os.path.lexists(path):
            self.unlink(path)

    def sync_tree(self, path: Path) -> None:
        """Flush a file, or a folder with all that is in it, to the disk."""
        if path.is_dir():
            for name in self.listdir(path):
                self.sync_tree(path / name)
        self.sync(path)

    def sweep(self, folder: Path) -> None:
        """Remove from `folder` what processes that are dead by now left unfinished."""
        _swept.add(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            names = [entry.name for entry in entries if is_leftover(entry.name)]
            for path in (folder / name for name in names if is_abandoned(name)):
                if path not in _unfinished:
                    with contextlib.suppress(OSError):
                        self.remove_tree(path)


DISK = Files()


def temporary_name(label: str, kind: str = "tmp") -> str:
    """Make a name that nobody else uses, and that tells whose it is.

    What has such a name is removed when this process is ended by a signal, or else by whoever makes
    the next one in the same folder, once this process is dead. `is_leftover` knows it again.
    """
    return f".{kind}-{label}-{os.getpid()}-{_owner(os.getpid())}{secrets.token_hex(4)}"


def is_leftover(name: str) -> bool:
    """Say whether `name` was made by `temporary_name`, so that nothing of the user's is removed."""
    return _LEFTOVER.match(name) is not None


def is_abandoned(name: str) -> bool:
    """Say whether nobody works any more on what has this temporary name.

    Its maker is this process, which works on nothing else, or ran here and is provably dead.
    """
    match = _OWNER.match(name)
    if match is None or match[2] != _digits(socket.gethostname(), namespace()):
        return False
    pid = int(match[1])
    return pid == os.getpid() or match[3] != _digits(machine(), birth(pid))


@functools.lru_cache(maxsize=1)
def _owner(pid: int) -> str:
    return _digits(socket.gethostname(), namespace()) + _digits(machine(), birth(pid))


def _digits(*facts: str) -> str:
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def remove_own_leftovers() -> None:
    """Remove what this process has under temporary names, before it ends in the midst of work."""
    for path in sorted(_unfinished):
        if f"-{os.getpid()}-" not in path.name:
            continue  # a forked process inherits the names of its parent's
        with contextlib.suppress(OSError):
            DISK.remove_tree(path)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn OSError into StorageError with the path and the space that is left."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error} ({_free_space(path)}). What was"
            " there before is intact; make room or mend the disk, then run the command again."
        ) from error


def _free_space(path: Path) -> str:
    for folder in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            info = os.statvfs(folder)
            return f"{info.f_bavail * info.f_frsize / 2**20:,.1f} MiB free"
    return "free space unknown"


def write_atomic(path: Path, data: Part, files: Files = DISK) -> None:
    """Write one file so that its name holds the old or the new content, never less.

    Raises StorageError; the old content is then still there.
    """
    temporary = path.with_name(temporary_name("file"))
    with storage_errors(path):
        try:
            files.write_file(temporary, data)
            files.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                files.remove_tree(temporary)
            raise
        files.sync(path.parent)


def append(path: Path, data: bytes, files: Files = DISK) -> None:
    """Add `data` at the end of a log such as metrics.jsonl. Raises StorageError."""
    with storage_errors(path):
        descriptor = files.open(path, os.O_APPEND)
        try:
            files.write_all(descriptor, data)
        finally:
            files.close(descriptor)


def digest_file(path: Path) -> str:
    """Give the SHA-256 of a file. Raises OSError."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def prepare_output(folder: Path, files: Files = DISK) -> None:
    """Create the folder `folder` and prove that it can be written, before any work is at stake.

    Raises OutputError. A symbolic link is refused, because what it points at may be another run's.
    """
    try:
        if folder.is_symlink():
            raise OutputError(
                f"{folder}: is a symbolic link to {folder.readlink()}. Name the folder itself."
            )
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file, not a folder. Choose another output folder.")
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            files.sync(path.parent)
        probe = folder / temporary_name("probe")
        try:
            files.write_file(probe, b"segcore")
        finally:
            files.remove_tree(probe)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror} ({_free_space(folder)})."
            " Choose another output folder, or mend the permissions of this one."
        ) from error


def make_folders(folder: Path) -> None:
    """Make `folder` and those above it, where they are missing.

    Raises OutputError where a file stands in the way, and StorageError.
    """
    with storage_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"{folder}: a file stands where a folder is needed; name another output"
            ) from error


def replaced_by(name: str) -> str | None:
    """Give the label of the folder that is being replaced, if `name` is that of a sibling of it."""
    match = _SIBLING.match(name)
    return match[1] if match else None


def _label(final: Path) -> str:
    name = final.name
    is_long = len(os.fsencode(name)) > _MOST_LABEL_BYTES
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16] if is_long else name


def siblings(final: Path, files: Files = DISK) -> list[Path]:
    """List the folders that hold content for `final` while it is replaced, new before old.

    Their names are such as nobody else gives, so that no folder of the user's is taken for one.
    """
    try:
        names = files.listdir(final.parent)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:  # links in a circle, which Python has no class for
            return []
        raise
    # sorted, so that those called .new-... come first
    return [final.with_name(name) for name in names if replaced_by(name) == _label(final)]


def finish_replacement(final: Path, files: Files = DISK) -> None:
    """Finish or undo a replacement of `final` that was cut short; do nothing if there was none."""
    rests = siblings(final, files)
    if rests and not final.exists():
        # a new one gets its name only once it is complete and flushed, so it may be trusted
        files.replace(rests.pop(0), final)
        files.sync(final.parent)
    for rest in rests:
        files.remove_tree(rest)


def install_folder(source: Path, final: Path, files: Files = DISK) -> None:
    """Rename `source`, complete and flushed, to `final`, whatever is there now. Raises OSError."""
    finish_replacement(final, files)
    if not final.exists():
        files.replace(source, final)
        files.sync(final.parent)
        return
    new, old = (final.with_name(temporary_name(_label(final), kind)) for kind in ("new", "old"))
    try:
        files.replace(source, new)
        files.sync(final.parent)
        files.replace(final, old)
        files.replace(new, final)
        files.sync(final.parent)
        files.remove_tree(old)
    except OSError:
        with contextlib.suppress(OSError):
            finish_replacement(final, files)
        raise


def replace_folder(source: Path, final: Path, files: Files = DISK) -> None:
    """Move the folder `source` to the name `final` as a whole, in place of what is there.

    `source` is flushed first and must be on the same file system, best beside `final` under a
    `temporary_name`. A reader finds the old or the new folder, or for a moment none; after a crash
    the next call, or `CheckpointStore.recover`, finishes the move. Raises StorageError.
    """
    with storage_errors(final):
        files.sync_tree(source)
        install_folder(source, final, files)
