"""Where a repaired dataset goes: a copy, the same place with a backup, or nowhere.

Names are relative to the dataset. Lists come last, so that a list never names what is not there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from segcore.checkpoint.files import (
    Files,
    make_folders,
    prepare_output,
    storage_errors,
    temporary_name,
    write_atomic,
)
from segcore.checkpoint.ownership import Guard, first_in
from segcore.data.paths import inside, printable, read_file
from segcore.data.replacement import free_backup_suffix
from segcore.errors import DataError, OutputError
from segcore.filesystem import exists, list_names, real_path, walk

__all__ = ["CopyTarget", "DryTarget", "InPlaceTarget", "Target", "check_output"]


class Target(Protocol):
    """Takes the files of a dataset, changed or not."""

    def keep(self, name: str) -> None:
        """Take a file as it is; one that cannot be read is left out, and reported elsewhere."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Take a file with new content."""
        ...

    def move(self, name: str, new: str, data: bytes) -> None:
        """Take the file `new`, which stands for the old file `name`."""
        ...

    def finish(self) -> str | None:
        """Make all of it last, and name the folder of the backup if there is one."""
        ...

    def abandon(self) -> None:
        """Clean up after an error."""
        ...


class DryTarget:
    """Takes nothing."""

    def keep(self, name: str) -> None:
        pass

    def put(self, name: str, data: bytes) -> None:
        pass

    def move(self, name: str, new: str, data: bytes) -> None:
        pass

    def finish(self) -> None:
        return None

    def abandon(self) -> None:
        pass


def check_output(root: Path, output: Path) -> None:
    """Raise OutputError unless `output` can be a copy of the dataset in `root`."""
    here, there = real_path(root), real_path(output)
    if here == there or here in there.parents or there in here.parents:
        raise OutputError(
            f"{printable(output)}: and the dataset {printable(root)} lie in each other. Choose a "
            "folder beside it."
        )
    Guard([root]).check_folder(output, first_in)


class CopyTarget:
    """A new folder, which gets its name when everything is in it."""

    def __init__(self, root: Path, output: Path, files: Files) -> None:
        prepare_output(output, files)
        self._root = root
        self._output = output
        self._files = files
        self._folder = output.with_name(temporary_name("fix"))
        with storage_errors(output):
            files.mkdir(self._folder)

    def keep(self, name: str) -> None:
        try:
            data = read_file(inside(self._root, name), printable(name))
        except DataError:
            return
        self.put(name, data)

    def put(self, name: str, data: bytes) -> None:
        path = self._folder / os.path.normpath(name)
        with storage_errors(self._output):
            if not exists(path):  # two rows may share a file
                make_folders(path.parent)
                self._files.write_file(path, data)

    def move(self, name: str, new: str, data: bytes) -> None:  # noqa: ARG002 - only the new one
        self.put(new, data)

    def finish(self) -> None:
        Guard([self._root]).replace_folder(self._folder, self._output, first_in, self._files)

    def abandon(self) -> None:
        with storage_errors(self._output):
            self._files.remove_tree(self._folder)


class InPlaceTarget:
    """The dataset itself; what is replaced goes to `fix.bak`, or `fix.bak.1`, ... beside it.

    Cut short at any point, it leaves every file whole, old or new, and the old one in the backup.
    """

    def __init__(self, root: Path, files: Files) -> None:
        self._root = root
        self._files = files
        for name in list_names(root):
            if not name.startswith("fix.bak"):
                continue
            # a repair that was killed while it kept a file left half of one there
            for folder, _, _ in walk(root / name):
                files.sweep(Path(folder))
        self._backup = root / f"fix{free_backup_suffix(root, ['fix'])}"
        self._obsolete: list[Path] = []

    def keep(self, name: str) -> None:
        pass

    def put(self, name: str, data: bytes) -> None:
        path = Path(inside(self._root, name))
        self._save(path)
        write_atomic(path, data, self._files)

    def move(self, name: str, new: str, data: bytes) -> None:
        path = Path(inside(self._root, name))
        self._save(path)
        self._obsolete.append(path)
        write_atomic(Path(inside(self._root, new)), data, self._files)

    def finish(self) -> str | None:
        # the lists name the new files by now
        with storage_errors(self._root):
            for path in self._obsolete:
                self._files.unlink(path)
        return printable(self._backup) if exists(self._backup) else None

    def abandon(self) -> None:
        pass

    def _save(self, path: Path) -> None:
        real = real_path(self._root)
        copy = self._backup / path.relative_to(real)
        if exists(copy):
            raise DataError(f"{printable(path)}: two names in the lists lead to this file.")
        make_folders(copy.parent)
        write_atomic(copy, read_file(path, printable(path)), self._files)
