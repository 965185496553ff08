"""Replace several lists of a dataset as one change, with the old ones kept.

The new contents are written and flushed under temporary names, then a plan of all renames is, then
the renames happen: old lists get the names of backups, new ones their own, `train` first away and
last back, so that a dataset in between refuses to be trained on. After a crash
`finish_list_replacement` does the rest of the plan; nothing is ever removed but the plan.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segcore.checkpoint.files import (
    DISK,
    Files,
    is_abandoned,
    storage_errors,
    temporary_name,
)
from segcore.data.paths import printable, read_file
from segcore.errors import DataError
from segcore.filesystem import exists, is_file, is_link

__all__ = ["finish_list_replacement", "free_backup_suffix", "replace_lists"]

_PLAN = ".list-replacement.json"

# A dataset can come from anyone, and so can the plan in it: it may rename lists and nothing else.
_List = Annotated[str, Field(pattern=r"\A[A-Za-z0-9_]+\.(txt|json)\z")]
_Backup = Annotated[str, Field(pattern=r"\A[A-Za-z0-9_]+\.(txt|json)\.bak(\.\d+)?\z")]
_Temporary = Annotated[str, Field(pattern=r"\A\.planned-list-\d+-[0-9a-f]{24}\z")]


class _Plan(BaseModel):
    """Renames to do: lists to their backups, then new lists to their names."""

    model_config = ConfigDict(extra="forbid")
    retire: dict[_List, _Backup]
    install: dict[_Temporary, _List]


def replace_lists(
    folder: Path, contents: Mapping[str, bytes], retired: Iterable[str], files: Files = DISK
) -> dict[str, str]:
    """Write `contents` by name into `folder`; existing files of these names and `retired` go.

    Gives the backup of each file that went: `train.txt.bak`, or `.bak.1`, `.bak.2` where older
    backups stand; all of one change get the same ending. The last of `contents` appears last.
    Raises StorageError.
    """
    finish_list_replacement(folder, files)
    old = [
        name
        for name in dict.fromkeys((*reversed(list(contents)), *retired))
        if _exists(folder, name)
    ]
    suffix = free_backup_suffix(folder, old)
    backups = {name: name + suffix for name in old}
    temporaries = {name: temporary_name("list", "planned") for name in contents}
    plan = _Plan(retire=backups, install={temporaries[name]: name for name in contents})
    temporaries[_PLAN] = temporary_name("list", "planned")
    with storage_errors(folder):
        try:
            for name, content in contents.items():
                files.write_file(folder / temporaries[name], content)
            files.write_file(folder / temporaries[_PLAN], plan.model_dump_json().encode())
            files.replace(folder / temporaries[_PLAN], folder / _PLAN)
            files.sync(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                # the plan first: it must not outlive the files that it speaks of
                for name in (_PLAN, *temporaries.values()):
                    files.remove_tree(folder / name)
            raise
    finish_list_replacement(folder, files)
    return backups


def finish_list_replacement(folder: Path, files: Files = DISK) -> bool:
    """Finish a change of lists that was cut short; say whether there was one."""
    path = folder / _PLAN
    with storage_errors(folder):
        planned = is_file(path)
        if planned:
            plan = _read_plan(path)
            for name, backup in plan.retire.items():
                if _exists(folder, name) and not _exists(folder, backup):
                    files.replace(folder / name, folder / backup)
            for temporary, name in plan.install.items():
                if _exists(folder, temporary):
                    if _exists(folder, name):  # somebody made one since the change was cut short
                        spare = name + free_backup_suffix(folder, [name])
                        files.replace(folder / name, folder / spare)
                    files.replace(folder / temporary, folder / name)
            files.sync(folder)
            files.unlink(path)
            files.sync(folder)
        for name in files.listdir(folder):
            if name.startswith(".planned-list-") and is_abandoned(name):
                files.unlink(folder / name)
    return planned


def _read_plan(path: Path) -> _Plan:
    try:
        return _Plan.model_validate_json(read_file(path, printable(path)))
    except ValidationError as error:
        raise DataError(
            f"{printable(path)}: is no plan of segcore's ({error.errors()[0]['msg']}). "
            "Remove it, and see whether the lists beside it are complete."
        ) from error


def free_backup_suffix(folder: Path, names: Iterable[str]) -> str:
    """Give the first of `.bak`, `.bak.1`, `.bak.2`, ... under which none of `names` is kept."""
    names = list(names)
    suffixes = itertools.chain([".bak"], (f".bak.{n}" for n in itertools.count(1)))
    return next(s for s in suffixes if not any(_exists(folder, name + s) for name in names))


def _exists(folder: Path, name: str) -> bool:
    return exists(folder / name) or is_link(folder / name)
