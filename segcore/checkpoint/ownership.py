"""What may be written over: the one place that decides, asked before anything that users named.

A file may be replaced when it says itself that the same kind of work of segcore wrote it: pictures,
JSON and pages carry a mark in their first bytes. Whatever else is there is a stranger's, and stays
unless the user says `--force`. Inputs of the command and files of a run are never written over, by
whatever name, link or spelling they are reached; and a folder is replaced as a whole only where
nothing is in it but what segcore put there.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from segcore.checkpoint.files import (
    DISK,
    Files,
    Part,
    finish_replacement,
    is_abandoned,
    is_leftover,
    make_folders,
    replace_folder,
    siblings,
    storage_errors,
    write_atomic,
)
from segcore.checkpoint.lock import folder_lock
from segcore.checkpoint.runfolder import RunFolder
from segcore.errors import OutputError
from segcore.filesystem import (
    exists,
    file_status,
    is_folder,
    is_link,
    list_names,
    list_tree,
    open_regular,
    real_path,
)

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "EVALUATION_MARK",
    "EVALUATION_RESULT",
    "WRITTEN_BY",
    "FindStranger",
    "Guard",
    "Recogniser",
    "all_marked",
    "encode_picture",
    "file_key",
    "first_in",
    "is_evaluation",
    "is_marked",
    "is_unknown",
    "marked",
    "marked_by",
    "read_head",
]

Recogniser: TypeAlias = Callable[[bytes], bool]
"""Says from the first bytes of a file whether it is ours."""

FindStranger: TypeAlias = Callable[[Path], "Path | None"]
"""Gives what in a folder is not ours, or None."""

WRITTEN_BY = "written_by"
"""The first key of JSON files, whose value is their mark."""
EVALUATION_RESULT = "evaluate_result.json"
"""What `segcore eval` writes; it may stand in any folder with a model."""
EVALUATION_MARK = "segcore eval"
"""The mark in it."""
_HEAD_BYTES = 1024
_FORCE = ", or replace it with --force (force=True in Python)"


def marked(content: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """Give what a JSON file holds, with the mark that `is_marked` finds again."""
    return {WRITTEN_BY: mark, **content}


def is_marked(head: bytes, mark: str) -> bool:
    """Say whether `head` begins a picture, a JSON file or a page that carries `mark`.

    The mark is the `Software` of PNG files, the comment of JPEG files, the first key of JSON files
    and the `generator` of HTML pages.
    """
    text = re.escape(mark.encode())
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        found = re.search(rb"tEXtSoftware\0" + text, head)
    elif head.startswith(b"\xff\xd8"):
        found = re.search(rb"\xff\xfe.." + text, head, re.DOTALL)
    elif head.startswith(b"<!doctype html>"):
        found = re.search(rb'<meta name="generator" content="' + text + b'"', head)
    else:
        found = re.match(rb'\s*\{\s*"' + WRITTEN_BY.encode() + rb'":\s*"' + text + b'"', head)
    return found is not None


def marked_by(*marks: str) -> Recogniser:
    """Give what recognises files that carry one of `marks`."""
    return lambda head: any(is_marked(head, mark) for mark in marks)


def encode_picture(image: Image.Image, kind: str, mark: str, **options: Any) -> bytes:
    """Encode a picture of Pillow as `kind`, PNG or JPEG, with the mark that `is_marked` finds."""
    from PIL.PngImagePlugin import PngInfo

    buffer = io.BytesIO()
    if kind == "PNG":
        info = PngInfo()
        info.add_text("Software", mark)
        image.save(buffer, kind, pnginfo=info, **options)
    else:
        image.save(buffer, kind, comment=mark.encode(), **options)
    return buffer.getvalue()


def is_evaluation(path: Path) -> bool:
    """Say whether `path` is what `segcore eval` wrote beside a model, and no copy of it."""
    is_named = path.name == EVALUATION_RESULT and not is_link(path)
    return is_named and is_marked(read_head(path), EVALUATION_MARK)


def all_marked(mark: str, names: re.Pattern[str]) -> FindStranger:
    """Give what finds the first file in a folder, or below it, that does not carry `mark`.

    Neither does one of another name than `names`, relative to the folder: a copy is the user's.
    """

    def find_stranger(folder: Path) -> Path | None:
        for path in list_tree(folder):
            is_named = names.fullmatch(path.relative_to(folder).as_posix()) is not None
            is_own = is_named and is_marked(read_head(path), mark)
            if is_link(path) or not (is_own or is_folder(path)):
                return path
        return None

    return find_stranger


def first_in(folder: Path) -> Path | None:
    """Find a stranger in whatever is in a folder, where only an empty one may be used.

    What dead processes left unfinished does not count, since it is removed by the next command.
    """
    for name in list_names(folder):
        if not (is_leftover(name) and is_abandoned(name)):
            return folder / name
    return None


def read_head(path: Path) -> bytes:
    """Give the first bytes of a regular file; none of what cannot be read. Links are followed."""
    try:
        with open_regular(path) as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def file_key(name: str) -> str:
    """Give what is equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def is_unknown(_head: bytes) -> bool:
    """Recognise no file: whatever is there is somebody else's."""
    return False


class Guard:
    """Decides for one command, and writes where it says yes.

    `inputs` are the files and folders that the command reads: nothing in them is replaced, but for
    what segcore itself wrote there. `force` lets files of strangers be replaced; it is None where a
    command has no such option. `run` is the folder of the run that the command itself writes.
    """

    def __init__(
        self,
        inputs: Iterable[str | Path | None] = (),
        *,
        force: bool | None = None,
        run: Path | None = None,
    ) -> None:
        self._inputs: dict[tuple[int, int], str] = {}
        self._places: list[Path] = []
        self._force = force
        self._run = run
        for name in inputs:
            if name is None:
                continue
            try:
                status = file_status(name)
            except OSError:
                continue  # an address, or nothing that could be lost
            self._inputs[status.st_dev, status.st_ino] = os.fspath(name)
            if stat.S_ISDIR(status.st_mode):
                self._places.append(real_path(name))

    def check_place(self, path: Path) -> os.stat_result | None:
        """Raise OutputError where not even a new file may be written; give what is at `path`."""
        self._refuse_checkpoints(path)
        try:
            return path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None  # what is wrong with the folder is said by whoever makes it
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error

    def check_file(self, path: Path, is_ours: Recogniser = is_unknown) -> None:
        """Raise OutputError unless a file may be written at `path`; it says what to do instead."""
        status = self.check_place(path)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{path}: is a folder, where a file would go. Name another output.")
        self._refuse_input(path)
        is_regular = stat.S_ISREG(status.st_mode)
        if is_regular and is_ours(read_head(path)):
            return
        can_force = is_regular or stat.S_ISLNK(status.st_mode)
        if self._force and can_force:
            self._refuse_inside_inputs(path)
            self._refuse_run(path)
            return
        raise OutputError(
            f"{path}: is there already, and is not what this command writes. Name another output"
            f"{_FORCE if can_force and self._force is not None else ''}. Nothing was written."
        )

    def write_file(
        self, path: Path, data: Part, is_ours: Recogniser = is_unknown, files: Files = DISK
    ) -> Path:
        """Write a file in one step, in a folder that is made if need be, and give `path`.

        Raises what `check_file` does, and StorageError.
        """
        self.check_file(path, is_ours)
        make_folders(path.parent)
        write_atomic(path, data, files)
        return path

    def check_folder(self, folder: Path, find_stranger: FindStranger) -> None:
        """Raise OutputError unless `folder` may be replaced as a whole.

        It may where it is missing, and where `find_stranger` finds nothing in it that segcore did
        not put there. A replacement of it that was killed is finished first.
        """
        if is_link(folder):
            raise OutputError(
                f"{folder}: is a symbolic link to {real_path(folder)}. Name the folder itself."
            )
        self._refuse_checkpoints(folder)
        _finish_killed(folder)
        if not exists(folder):
            return
        if not is_folder(folder):
            raise OutputError(f"{folder}: is a file, not a folder. Choose another output folder.")
        real = real_path(folder)
        for place, what in _standing_places():
            if real == place or real in place.parents:
                raise OutputError(
                    f"{folder}: {what}, which is never replaced. Name a new folder as output."
                )
        for place in self._places:
            if real == place or real in place.parents:
                raise OutputError(
                    f"{folder}: holds {place}, which this command reads. Name another output."
                )
        stranger = find_stranger(folder)
        if stranger is not None:
            raise OutputError(
                f"{folder}: holds {stranger.relative_to(folder)}, which is not, or no longer, what "
                "this command wrote there, and would be lost. Name an empty or a new folder as "
                "output. Nothing was written."
            )
        self._refuse_run(folder)

    def replace_folder(
        self,
        source: Path,
        folder: Path,
        find_stranger: FindStranger,
        files: Files = DISK,
    ) -> None:
        """Put `source` in place of `folder`, if it may be replaced; see `files.replace_folder`.

        Of two that do so at once, the second finds what the first has put there.
        """
        with folder_lock(folder.parent):
            self.check_folder(folder, find_stranger)
            replace_folder(source, folder, files)

    def _refuse_input(self, path: Path) -> None:
        """Refuse what is an input under another name, too, such as a link to it."""
        try:
            status = file_status(path)
        except OSError:
            return  # a link to nowhere
        name = self._inputs.get((status.st_dev, status.st_ino))
        if name is not None:
            is_other = name != str(path)
            raise OutputError(
                f"{path}: is {f'the same file as {name}, ' if is_other else ''}an input of this "
                "command and never written over. Name another output. Nothing was written."
            )

    def _refuse_inside_inputs(self, path: Path) -> None:
        real = real_path(path.parent) / path.name
        for place in self._places:
            if place in real.parents:
                raise OutputError(
                    f"{path}: belongs to {place}, which this command reads, and is never written "
                    "over. Name another output. Nothing was written."
                )

    def _refuse_checkpoints(self, path: Path) -> None:
        """Refuse even new files among checkpoints, which are what they list and nothing else."""
        run = RunFolder.keeping(path)
        if run is not None and (self._run is None or real_path(self._run) != run.path):
            raise OutputError(
                f"{path}: would lie among the checkpoints of the run {run.path}. Name another "
                "output. Nothing was written."
            )

    def _refuse_run(self, path: Path) -> None:
        """Refuse what a run consists of, but for the command that writes this run."""
        real = real_path(path.parent) / path.name
        for folder in real.parents:
            run = RunFolder(folder)
            if real.relative_to(folder).parts[0] not in run.own_names or not run.holds_run():
                continue
            if self._run is None or real_path(self._run) != folder:
                raise OutputError(
                    f"{path}: belongs to the run {folder} and is never written over. Name another "
                    "output. Nothing was written."
                )


def _finish_killed(folder: Path) -> None:
    """Finish or undo a replacement of `folder` in which a process was killed.

    Where one is still under way, as of the best model of a running training, it is left alone.
    """
    with storage_errors(folder):
        rests = siblings(folder)
        if rests and all(is_abandoned(path.name) for path in rests):
            with folder_lock(folder.parent):
                finish_replacement(folder)


def _standing_places() -> list[tuple[Path, str]]:
    """Give the folders that the user stands in or lives in, and what to say of them."""
    places = []
    for find, what in ((Path.cwd, "current"), (Path.home, "home")):
        with contextlib.suppress(OSError, RuntimeError):
            places.append((real_path(find()), f"is or holds the {what} folder"))
    return places
