"""Paths that come from data: kept inside their folder, and opened only when they are plain files.

Names are `str` with surrogate escapes where the bytes are no UTF-8, as `os.fsdecode` makes them, so
that every file of the system can be opened; `printable` is for showing them.
"""

# pathlib costs ten times as much a row, and lists have millions of them.
# ruff: noqa: PTH100, PTH114, PTH118

from __future__ import annotations

import errno
import os
from functools import lru_cache
from pathlib import Path

from segcore.errors import DataError
from segcore.filesystem import NotRegularError, read_regular

__all__ = ["inside", "path_error", "printable", "read_file"]

_REASONS = {
    errno.ELOOP: ("symbolic links form a loop", "link-loop"),
    errno.ENAMETOOLONG: ("longer than names of files can be", "name-invalid"),
}


def printable(name: str | os.PathLike[str]) -> str:
    """Give `name` for messages: control, bidirectional and undecodable characters are escaped."""
    text = os.fspath(name)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder, strict=True)


def _resolve(path: str) -> str:
    # The folders of a dataset repeat in every row, so only the last name is looked at each time.
    folder, last = os.path.split(path)
    if last in ("", ".", "..") or os.path.islink(path):
        return os.path.realpath(path, strict=True)
    return os.path.join(_real_folder(folder), last)


def inside(root: str | Path, name: str, *, allow_outside: bool = False) -> str:
    """Give the real path of `name`, relative to `root`, after following every symbolic link.

    Raises DataError when it leaves `root` (unless `allow_outside`), when links form a loop, and
    when a folder on the way does not exist. The file itself need not exist.
    """
    if "\0" in name:
        raise DataError(
            f"{printable(name)}: a file name cannot hold a NUL character.", kind="name-invalid"
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise DataError(
            f"{printable(name)}: half of a surrogate pair, which no file name can hold.",
            kind="name-invalid",
        ) from error
    try:
        base = _real_folder(os.path.abspath(root))
        real = _resolve(os.path.join(base, name))
    except FileNotFoundError as error:
        raise DataError(
            f"{printable(name)}: no such file in {printable(root)}.", kind="file-missing"
        ) from error
    except OSError as error:
        raise path_error(name, error) from error
    if not (allow_outside or real.startswith(base.rstrip(os.sep) + os.sep)):
        raise DataError(
            f"{printable(name)}: leaves the dataset folder {printable(base)}. Move the file into "
            "it, or set data.allow_outside=true if the list can be trusted.",
            kind="leaves-dataset",
        )
    return real


def path_error(name: str, error: OSError) -> DataError:
    """Give what to raise when the system refuses to look at the file `name`."""
    reason, kind = _REASONS.get(error.errno or 0, (error.strerror, "file-unreadable"))
    return DataError(f"{printable(name)}: {reason}.", kind=kind)


def read_file(path: str | os.PathLike[str], source: str, max_bytes: int | None = None) -> bytes:
    """Read a regular file; a pipe, a device or a folder is refused without ever waiting for it.

    `source` names the file in messages. Raises DataError, also above `max_bytes`.
    """
    try:
        return read_regular(path, max_bytes)
    except NotRegularError as error:
        raise DataError(f"{source}: {error.strerror}.", kind="not-regular") from error
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read ({error.strerror}).", kind="file-unreadable"
        ) from error
