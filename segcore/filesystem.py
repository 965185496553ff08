"""Look at files and read them, without being held up or surprised by what stands there.

Names come from strangers and from users' keyboards: longer than the system takes, with characters
that no name can hold, or through a folder that nobody may enter. `pathlib` lets some of the
system's answers to them out as OSError or ValueError, different ones from one Python to the next.
And what stands there may be a pipe, which whoever opens it waits for, or a device.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from segcore.errors import PathError

__all__ = [
    "NotRegularError",
    "Place",
    "exists",
    "file_status",
    "home_folder",
    "is_file",
    "is_folder",
    "is_link",
    "list_names",
    "list_tree",
    "open_regular",
    "read_regular",
    "real_path",
    "require_utf8",
    "walk",
]

Place: TypeAlias = str | os.PathLike[str]

_NOTHING_THERE: Final = {errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP}
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """What stands there is no regular file, and was not opened."""


def exists(path: Place) -> bool:
    """Say whether anything stands at `path`. Raises PathError when nobody can look."""
    return _mode(path) is not None


def is_file(path: Place) -> bool:
    """Say whether `path` is a regular file. Raises PathError when nobody can look."""
    return stat.S_ISREG(_mode(path) or 0)


def is_folder(path: Place) -> bool:
    """Say whether `path` is a folder. Raises PathError when nobody can look."""
    return stat.S_ISDIR(_mode(path) or 0)


def is_link(path: Place) -> bool:
    """Say whether `path` is a symbolic link, wherever it leads."""
    return os.path.islink(path)  # noqa: PTH114 - pathlib has no answer for some names


def real_path(path: Place) -> Path:
    """Give the absolute path behind all links, as far as there is one. Raises PathError."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise _path_error(path, error) from error


def require_utf8(path: Place, who: str) -> None:
    """Raise PathError where the name at `path` has bytes that `who` cannot hold."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise PathError(
            f"{_shown(path)}: its name has bytes that are no UTF-8, which {who} cannot hold. "
            "Rename what they are in, or name another place.",
            "name-invalid",
        ) from error


def home_folder() -> Path | None:
    """Give the home of the user, if there is one: where it is only named, nobody wants it made."""
    try:
        home = Path.home()
        return home if is_folder(home) else None
    except (PathError, RuntimeError):  # RuntimeError: nobody knows whose home to take
        return None


def list_names(folder: Place) -> list[str]:
    """List the names in a folder, sorted; none where it is not there. Raises PathError."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted, not paths
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return []
        raise _path_error(folder, error) from error
    except ValueError as error:
        raise _path_error(folder, error) from error


def walk(folder: Place) -> Iterator[tuple[str, list[str], list[str]]]:
    """Go through `folder` as os.walk does, without following links; nothing where it is not there.

    Raises PathError for a folder that cannot be listed, which os.walk passes over in silence.
    """

    def refuse(error: OSError) -> None:
        if error.errno not in _NOTHING_THERE:
            raise _path_error(error.filename or folder, error) from error

    return os.walk(folder, onerror=refuse)


def list_tree(folder: Place) -> list[Path]:
    """List what is in a folder and below, sorted; links are not followed. Raises PathError."""
    found = []
    for place, folders, names in walk(folder):
        found += [Path(place, name) for name in (*folders, *names)]
    return sorted(found)


def file_status(path: Place) -> os.stat_result:
    """Ask the system for what stands at `path`. Raises OSError, and nothing else."""
    try:
        return os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and names may be text
    except ValueError as error:
        raise OSError(errno.EINVAL, "no name of a file can hold such characters") from error


def open_regular(path: Place) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device is refused without waiting for it.

    Raises OSError, and nothing else: NotRegularError for what is no regular file.
    """
    # opening a pipe waits and opening a device can have effects, so look before and after
    _check_regular(file_status(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    try:
        _check_regular(os.fstat(descriptor).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Place, max_bytes: int | None = None) -> bytes:
    """Read a regular file. Raises OSError as `open_regular` does, and above `max_bytes`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"{size} bytes, and no more than {max_bytes} are read")
        try:
            return file.read()
        except MemoryError as error:
            raise OSError(errno.ENOMEM, f"its {size} bytes do not fit into memory") from error


def _mode(path: Place) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - names may be text with surrogates
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise _path_error(path, error) from error
    except ValueError as error:
        raise _path_error(path, error) from error


def _path_error(path: Place, error: OSError | ValueError) -> PathError:
    if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
        return PathError(f"{_shown(path)}: {error.strerror or error}.", "file-unreadable")
    reason = "is longer than names of files can be"
    if isinstance(error, ValueError):
        reason = "holds characters that no name of a file can hold"
    return PathError(f"{_shown(path)}: {reason}. Correct the name.", "name-invalid")


def _shown(path: Place) -> str:
    text = os.fspath(path)
    shown = text if len(text) <= 300 else f"{text[:100]}...{text[-100:]} ({len(text)} characters)"
    return shown if shown.isprintable() else ascii(shown)[1:-1]


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotRegularError(errno.EINVAL, f"not a regular file but {kind}")
