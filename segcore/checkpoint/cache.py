"""The cache of downloaded files: where it is, and how a file gets into it once for all processes.

A file stands in FOLDER/weights/DIGITS/NAME, the digits being those of its address, beside NAME.json
that says where it is from and what its digest was. FOLDER is $SEGCORE_CACHE, else
$XDG_CACHE_HOME/segcore, else ~/.cache/segcore. Everything in it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ValidationError

from segcore.checkpoint.download import DownloadRules, download
from segcore.checkpoint.files import DISK, digest_file, prepare_output, storage_errors, write_atomic
from segcore.checkpoint.lock import waiting_lock
from segcore.checkpoint.web import shown_url
from segcore.errors import OfflineError, OutputError, RequestError, StorageError, WeightsError
from segcore.filesystem import home_folder, read_regular

__all__ = [
    "CACHE_VARIABLE",
    "OFFLINE_VARIABLE",
    "CachedFile",
    "cache_folder",
    "fetch_to_cache",
    "is_offline",
    "read_note",
    "write_note",
]

CACHE_VARIABLE = "SEGCORE_CACHE"
OFFLINE_VARIABLE = "SEGCORE_OFFLINE"

log = logging.getLogger(__name__)

_MAX_RECORD_BYTES = 2**16

_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")


@dataclass(frozen=True)
class CachedFile:
    """A file in the cache."""

    path: Path
    sha256: str


class _Record(BaseModel):
    url: str
    sha256: str


def is_offline() -> bool:
    """Say whether SEGCORE_OFFLINE forbids to fetch anything. Raises RequestError for nonsense."""
    text = os.environ.get(OFFLINE_VARIABLE, "").strip().lower()
    if text not in _YES | _NO:
        raise RequestError(f"{OFFLINE_VARIABLE}={text}: write 1 to fetch nothing, 0 to fetch")
    return text in _YES


def cache_folder() -> Path:
    """Give the folder of the cache, which need not exist. Raises OutputError without a home."""
    for variable, below in ((CACHE_VARIABLE, ""), ("XDG_CACHE_HOME", "segcore")):
        given = os.environ.get(variable, "")
        # the XDG rules say that a relative folder does not count; one of our own does
        if given and (variable == CACHE_VARIABLE or given.startswith("/")):
            return Path(given).absolute() / below
    home = home_folder()
    if home is None:
        raise OutputError(
            f"there is no home folder to keep downloads in: set {CACHE_VARIABLE} to a folder"
        )
    return home / ".cache" / "segcore"


def fetch_to_cache(
    url: str, *, sha256: str | None = None, rules: DownloadRules | None = None
) -> CachedFile:
    """Give the file at `url` from the cache, downloading it first where it is not there.

    Of several processes that want the same file one downloads it, and the others wait. Raises what
    `download` does, OfflineError when the file is missing and SEGCORE_OFFLINE is set, and
    OutputError when there is no place for a cache.
    """
    path = _place(url)
    cached = _look(path, sha256)
    if cached is not None:
        return cached
    if is_offline():
        raise OfflineError(
            f"{shown_url(url)} is not in the cache, and nothing is fetched (--offline or "
            f"{OFFLINE_VARIABLE}). Put the file at {path}, or go online once"
        )
    try:
        prepare_output(path.parent)
        with waiting_lock(path.with_name(f"{path.name}.lock")):
            cached = _look(path, sha256)
            if cached is None:
                log.info("fetching %s", shown_url(url))

                def record(digest: str) -> None:
                    content = {"url": shown_url(url), "sha256": digest}
                    write_atomic(_record_of(path), json.dumps(content).encode())

                found = download(url, path, sha256=sha256, rules=rules, arrived=record)
                cached = CachedFile(path, found)
            return cached
    except OutputError as error:
        raise OutputError(
            f"the cache of downloads cannot be used: {error} Or set {CACHE_VARIABLE} to a folder "
            "that can be written."
        ) from error


def read_note(kind: str, key: str) -> dict[str, Any] | None:
    """Return what `write_note` kept, or None where there is nothing that can be read."""
    try:
        note = json.loads((cache_folder() / kind / f"{key}.json").read_bytes())
    except (OSError, ValueError, OutputError):  # no home, so no cache
        return None
    return note if isinstance(note, dict) else None


def write_note(kind: str, key: str, content: Mapping[str, Any]) -> None:
    """Keep `content` for later processes, where there is a place for it."""
    try:
        path = cache_folder() / kind / f"{key}.json"
        prepare_output(path.parent)
        write_atomic(path, json.dumps(content).encode())
    except (OutputError, StorageError) as error:
        log.debug("a note on %s is not kept: %s", kind, error)


def _place(url: str) -> Path:
    """Name the file of `url` in the cache; what a server calls its file chooses no folder."""
    digits = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    try:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
    except ValueError as error:
        raise WeightsError(f"{shown_url(url)}: this is no address. Correct it.") from error
    return (
        cache_folder() / "weights" / digits / (_UNSAFE.sub("_", name)[-80:].lstrip(".") or "file")
    )


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _look(path: Path, sha256: str | None) -> CachedFile | None:
    """Find a sound file; one that has changed since it came is removed, or refused offline.

    A file without a record was put there by hand, and is never removed.
    """
    try:
        found = digest_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        recorded = _Record.model_validate_json(
            read_regular(_record_of(path), _MAX_RECORD_BYTES)
        ).sha256
    except (OSError, ValidationError):
        recorded = found
    if found == recorded and sha256 in (None, found):
        return CachedFile(path, found)
    if is_offline() or not os.path.lexists(_record_of(path)):
        raise WeightsError(
            f"{path}: its sha256 is {found}, and {sha256 or recorded} is expected: it is damaged, "
            "or another file that was put there by hand. Replace it, or remove it and go online"
        )
    log.warning("%s: is damaged, and fetched again", path)
    with storage_errors(path):
        DISK.remove_tree(path)
        DISK.remove_tree(_record_of(path))
    return None
