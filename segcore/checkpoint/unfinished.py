"""A folder that a command fills in place carries a note that says so, until all of it is there.

A command that was killed is given again; what it left then stands in nobody's way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segcore.checkpoint.files import (
    DISK,
    Files,
    is_abandoned,
    storage_errors,
    temporary_name,
)
from segcore.checkpoint.lock import folder_lock
from segcore.checkpoint.ownership import first_in
from segcore.errors import OutputError
from segcore.filesystem import is_folder

__all__ = ["filling", "is_free", "is_unfinished"]

_TEXT = b"A command of segcore that fills this folder did not end yet.\n"
_NOTE = re.compile(r"\.unfinished-folder-\d+-[0-9a-f]{24}\Z")


@contextmanager
def filling(folder: Path, require_room: Callable[[], None], files: Files = DISK) -> Iterator[None]:
    """Keep a note in `folder` while the block fills it, and leave it there if that fails.

    Nobody else fills it meanwhile, and `require_room`, which raises where something would be lost,
    is asked once that is certain. Where the block refuses to write over something, with
    OutputError, no note stays: it would let the next command write there. Raises StorageError.
    """
    with folder_lock(folder, says_so=True):
        require_room()
        note = folder / temporary_name("folder", "unfinished")
        with storage_errors(folder):
            files.write_file(note, _TEXT)
        try:
            yield
        except OutputError:
            with storage_errors(folder):
                files.unlink(note)
            raise
        with storage_errors(folder):
            for name in files.listdir(folder):
                if name == note.name or (_NOTE.match(name) and is_abandoned(name)):
                    files.unlink(folder / name)


def is_unfinished(folder: Path, files: Files = DISK) -> bool:
    """Say whether a command that filled `folder` was cut short, and nobody goes on with it."""
    with storage_errors(folder):
        names = files.listdir(folder) if is_folder(folder) else []
    return any(_NOTE.match(name) and is_abandoned(name) for name in names)


def is_free(folder: Path) -> bool:
    """Say whether `folder` is missing, or there is nothing in it as `first_in` sees it."""
    with storage_errors(folder):
        return not is_folder(folder) or first_in(folder) is None
