"""Check what is read against the MANIFEST.json beside it, whoever reads it.

A folder that has a manifest is used only as the manifest says; one without (PaddleX's, PaddleSeg's,
that of an older segcore) is used, and it is said once that nobody knows whether it is sound. A
training may replace its best model at any time, so what is read is of one generation: where a
manifest changes meanwhile, all is read again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from segcore.checkpoint.files import DISK, Files, replaced_by, siblings
from segcore.checkpoint.manifest import (
    MANIFEST,
    ExportManifest,
    Manifest,
    check_content,
    check_digests,
    read_any_manifest,
)
from segcore.checkpoint.runfolder import OLDER_NAMES_OF_BEST, RunFolder
from segcore.errors import CheckpointError, IntegrityError, RequestError
from segcore.filesystem import is_folder, read_regular

__all__ = [
    "note_unknown",
    "place_of",
    "read_settled",
    "read_verified",
    "verify_folder",
]

log = logging.getLogger(__name__)

_ATTEMPTS = 50
_ABSENCES = 5
_PAUSE_S = 0.01
_REMEDY = f"Get it again; if it was changed on purpose, remove {MANIFEST}"

T = TypeVar("T")
_unknown: set[Path] = set()  # what was already said to be so


def read_verified(path: Path, read: Callable[[Path], bytes] = read_regular) -> bytes:
    """Read the file `path`, and compare the very bytes that come with the manifest beside it.

    Raises IntegrityError where they differ, and what `read` raises.
    """

    def attempt(folder: Path) -> tuple[bytes, bool]:
        manifest = _manifest_of(folder)
        data = read(folder / path.name)
        if manifest is not None:
            check_content(folder, path.name, manifest, data)
        return data, manifest is not None

    data, is_known = _settled(path.parent, attempt)
    if not is_known:
        note_unknown(path.parent)
    return data


def verify_folder(folder: Path, used: Iterable[str] = ()) -> None:
    """Compare all files that the manifest of `folder` lists with it; it must list those of `used`.

    Raises IntegrityError that names the file.
    """

    def attempt(place: Path) -> bool:
        manifest = _manifest_of(place)
        if manifest is not None:
            check_digests(place, manifest, used)
        return manifest is not None

    if not _settled(folder, attempt):
        note_unknown(folder)


def read_settled(final: Path, read: Callable[[Path], T], files: Files = DISK) -> T:
    """Give what `read` makes of the folder `final`, while somebody may be replacing it.

    `read` gets the folder, or one of the names that its content has meanwhile, and is called again
    when the manifest has changed in between. Raises what it raises in the end.
    """
    absences = 0
    for attempt in range(1, _ATTEMPTS + 1):
        before = _find_generation(final, files)
        try:
            found = read(place_of(final))
        except (RequestError, OSError):
            after = _find_generation(final, files)
            absences = absences + 1 if before is after is None else 0
            is_settled = after is not None and after == before
            if is_settled or absences == _ABSENCES or attempt == _ATTEMPTS:
                raise
        else:
            # one that seemed to have no manifest may just have been away
            if before is not None or _find_generation(final, files) is None:
                return found
        time.sleep(_PAUSE_S)  # it was replaced while we read, or is away for a moment
    raise CheckpointError(f"{final}: is replaced faster than it can be read. Try again")


def note_unknown(path: Path, missing: str = MANIFEST) -> None:
    """Say, once, that nobody can tell whether `path` is sound, since there is no `missing`."""
    if path not in _unknown:
        _unknown.add(path)
        log.warning("%s: integrity unknown, since there is no %s", path, missing)


def place_of(final: Path) -> Path:
    """Name the folder `final`, or the one that has its content while it is being replaced."""
    if is_folder(final):
        return final
    # A killed training may have left it under another name.
    others = siblings(final)
    if final.name == RunFolder(final.parent).best_model.name:
        others += [final.with_name(name) for name in OLDER_NAMES_OF_BEST]
    return next((path for path in others if is_folder(path)), final)


def _settled(folder: Path, attempt: Callable[[Path], T]) -> T:
    try:
        return read_settled(_final_of(folder), attempt)
    except CheckpointError as error:
        raise IntegrityError(f"{error}. {_REMEDY}") from error
    except OSError as error:
        raise IntegrityError(
            f"{error.filename or folder}: cannot be read: {error.strerror or error}"
        ) from error


def _final_of(folder: Path) -> Path:
    """Give the final name of a folder that is being replaced."""
    name = replaced_by(folder.name)
    return folder if name is None else folder.with_name(name)


def _manifest_of(folder: Path) -> Manifest | ExportManifest | None:
    try:
        return read_any_manifest(folder)
    except FileNotFoundError:
        return None


def _find_generation(final: Path, files: Files) -> tuple[Path, bytes] | None:
    """Give where the content of `final` is, and its manifest: both change when it is replaced."""
    place = place_of(final)
    try:
        return place, files.read(place / MANIFEST)
    except OSError:
        return None
