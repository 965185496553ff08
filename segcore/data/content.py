"""The content of a dataset as one digest, so that other images or labels are never taken for it.

A copy elsewhere is the same data: where the folder is does not count. Nothing is read again while
the system says that no file has changed: a digest of the paths, inodes, sizes and times of all
files is kept in the cache folder beside the result. The time of the last change of a file is set by
the system alone and not by `cp -p`, `rsync` or `touch`, so an exchanged file is noticed even if its
size and the time of its content are those of the old one. Files that changed only just now are not
kept in mind, since a clock could miss another change within its tick.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence

from segcore.checkpoint.cache import read_note, write_note
from segcore.data.paths import printable, read_file
from segcore.data.pool import map_in_threads
from segcore.data.stats.survey import Progress, unseen
from segcore.errors import DataError
from segcore.filesystem import file_status
from segcore.protocols import Dataset

__all__ = ["content_digest", "content_status"]

_NOTES = "contents"
_SETTLED_S = 3.0
"""A file that has not changed for so long has another time after its next change."""


def content_digest(
    dataset: Dataset, workers: int | None = None, progress: Progress = unseen
) -> str | None:
    """Digest the bytes of all files of `dataset`, in its order; None where it does not name them.

    Raise DataError where a file cannot be read.
    """
    listing = getattr(dataset, "content_files", None)
    if listing is None:
        return None
    paths: Sequence[str] = tuple(listing())
    begun = time.time()
    key, changed_at = _status_key(paths)
    note = read_note(_NOTES, key) or {}
    if note == _note(key, str(note.get("sha256"))):
        return str(note["sha256"])
    found = _digest(paths, workers, progress)
    is_settled = changed_at < begun - _SETTLED_S
    if is_settled and _status_key(paths)[0] == key:
        write_note(_NOTES, key, _note(key, found))
    return found


def content_status(dataset: Dataset) -> str | None:
    """Return what a look at the files of `dataset` gives, by which a later look finds changes.

    None where it does not name them. Raise DataError where one has gone.
    """
    listing = getattr(dataset, "content_files", None)
    return None if listing is None else _status_key(listing())[0]


def _note(key: str, sha256: str) -> dict[str, str]:
    """Return what is kept of a result, with a digest of its own: disks flip bits in caches, too."""
    return {"sha256": sha256, "check": hashlib.sha256(f"{key} {sha256}".encode()).hexdigest()}


def _digest(paths: Sequence[str], workers: int | None, progress: Progress) -> str:
    digest = hashlib.sha256()
    for one in progress(map_in_threads(_digest_file, paths, workers), total=len(paths)):
        digest.update(one)
    return digest.hexdigest()


def _digest_file(path: str) -> bytes:
    return hashlib.sha256(read_file(path, printable(path))).digest()


def _status_key(paths: Iterable[str]) -> tuple[str, float]:
    """Digest what the system says about files; return it with the time of the latest change."""
    digest, latest = hashlib.sha256(), 0
    for path in paths:
        try:
            status = file_status(path)
        except OSError as error:
            raise DataError(f"{printable(path)}: cannot be read ({error.strerror}).") from error
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        line = f"{path}\0{status.st_dev} {status.st_ino} {status.st_size} {times}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
        latest = max(latest, status.st_mtime_ns, status.st_ctime_ns)
    return digest.hexdigest(), latest / 1e9
