"""Download a file, piece by piece, so that an interruption costs nothing and a wrong file no one.

What has come stands in NAME.part, and NAME.part.json says of which version of which address it is
the beginning. The next attempt, now or in a later run, asks for the rest of that same version
(Range and If-Range); a server that has another one by now, or cannot send parts, sends the whole.
The file gets its name once it is complete, flushed, and has the digest that is known.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from segcore.checkpoint.files import DISK, Files, digest_file, storage_errors, write_atomic
from segcore.checkpoint.web import WebAnswer, WebError, WebRules, open_web, shown_url
from segcore.errors import DownloadError, WeightsError
from segcore.filesystem import file_status, read_regular

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["DownloadRules", "download"]

log = logging.getLogger(__name__)

_PIECE_BYTES = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})\Z")
_MAX_NOTE_BYTES = 2**16
_BAR_DELAY_S = 2.0
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class DownloadRules:
    """Limits of a download, `web` of each attempt; `pause` waits between attempts."""

    web: WebRules = field(default_factory=WebRules)
    max_bytes: int = 4 * 2**30
    attempts: int = 6
    pause: Callable[[float], None] = time.sleep


class _Version(BaseModel):
    """Which version of which file a .part is the beginning of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    validator: str
    total_bytes: int


class _WrongFileError(Exception):
    """What the server sends is not what may be kept; the text says why."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    rules: DownloadRules | None = None,
    files: Files = DISK,
    arrived: Callable[[str], object] = str,
) -> str:
    """Fetch `url` into the file `target`, and give its SHA-256.

    `arrived` is told the digest before the complete file gets its name, after which nothing is left
    to do. The folder must exist, and nobody else may download the same file meanwhile. Raises
    WeightsError for an address that is not fetched, a file that is not there, too large, or of
    another digest than `sha256`; DownloadError when the server fails or cannot be reached, keeping
    what came; and StorageError.
    """
    rules = rules or DownloadRules()
    job = _Download(url, target, rules, files, arrived)
    trouble = WebError("no attempt was made")
    for attempt in range(1, rules.attempts + 1):
        outcome = job.attempt(sha256)
        if isinstance(outcome, str):
            return outcome
        trouble = outcome
        if attempt < rules.attempts:
            log.warning("%s: %s; trying again", shown_url(url), trouble)
            rules.pause(min(trouble.retry_after_s or 2.0 ** (attempt - 1), _LONGEST_PAUSE_S))
    raise DownloadError(
        f"{shown_url(url)}: cannot be fetched: {trouble} ({rules.attempts} attempts). "
        f"{job.kept_bytes() / 2**20:.1f} MiB are kept: the same command goes on from there."
    ) from trouble


class _Download:
    """A download under way."""

    def __init__(
        self,
        url: str,
        target: Path,
        rules: DownloadRules,
        files: Files,
        arrived: Callable[[str], object],
    ) -> None:
        self.url = url
        self.target = target
        self.rules = rules
        self.files = files
        self.arrived = arrived
        self.part = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.is_resumed = False

    def kept_bytes(self) -> int:
        """Give the size of what has come so far."""
        try:
            return file_status(self.part).st_size
        except OSError:
            return 0

    def _discard(self) -> None:
        """Forget what has come."""
        with storage_errors(self.part):
            self.files.remove_tree(self.part)
            self.files.remove_tree(self.note)

    def attempt(self, sha256: str | None) -> str | WebError:
        """Give the digest of the complete file, or what stands in the way for now.

        Raises WeightsError where another attempt would be of no use, and StorageError.
        """
        shown = shown_url(self.url)
        try:
            self._fetch()
            return self._finish(sha256)
        except _WrongFileError as error:
            self._discard()
            raise WeightsError(f"{shown}: {error}") from error
        except WebError as error:
            if not error.is_temporary:
                raise WeightsError(f"{shown}: cannot be fetched: {error}") from error
            return error

    def _fetch(self) -> None:
        """Fetch what is missing. Raises WebError, _WrongFileError and StorageError."""
        version = self._read_note()
        begun = self.kept_bytes()
        if version is None or begun > version.total_bytes:
            self._discard()
            version, begun = None, 0
        if version is not None and begun == version.total_bytes:
            return
        headers = {}
        self.is_resumed = version is not None and begun > 0
        if version is not None and begun > 0:
            headers = {"Range": f"bytes={begun}-", "If-Range": version.validator}
        try:
            with open_web(self.url, self.rules.web, headers) as answer:
                self._receive(answer, version, begun)
        except WebError as error:
            if error.status != 416 or not headers:
                raise
            self._discard()  # the file is shorter than what we have, so it is another one now
            raise WebError("the file has changed meanwhile", is_temporary=True) from error

    def _finish(self, sha256: str | None) -> str:
        """Give the complete file its name. Raises _WrongFileError for another digest."""
        with storage_errors(self.target):
            found = digest_file(self.part)
            if sha256 is not None and found != sha256.lower():
                if self.is_resumed:
                    self._discard()
                    raise WebError("the pieces do not belong together", is_temporary=True)
                raise _WrongFileError(
                    f"its sha256 is {found}, and {sha256} is expected; it is damaged, or not the "
                    "file that is known. Nothing was kept"
                )
            self.files.sync(self.part)
            self.arrived(found)
            # once the file has its name nobody looks for the note any more
            self.files.remove_tree(self.note)
            self.files.replace(self.part, self.target)
            self.files.sync(self.target.parent)
        return found

    def _receive(self, answer: WebAnswer, version: _Version | None, begun: int) -> None:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise _WrongFileError("the server sends it encoded, which nobody asked for")
        total: int | None
        if answer.status == 206 and version is not None:
            self._check_rest(answer, version, begun)
            total = version.total_bytes
        elif answer.status == 200:
            self._discard()
            begun = 0
            total = answer.declared_bytes
            self._write_note(answer, total)
        else:
            raise _WrongFileError(f"the server answers {answer.status}, which is no file")
        if total is None and not answer.is_chunked:
            raise _WrongFileError(
                "the server does not say how large it is, so nobody could tell whether it is whole"
            )
        if total is not None and total > self.rules.max_bytes:
            raise _WrongFileError(
                f"is {total / 2**20:,.0f} MiB large, more than the {self._limit()} that are "
                "allowed; fetch it yourself and give the path"
            )
        self._write(answer, begun, total)

    def _check_rest(self, answer: WebAnswer, version: _Version, begun: int) -> None:
        """Raise WebError when the rest that is sent does not follow on what there is."""
        match = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        wanted = (begun, version.total_bytes - 1, version.total_bytes)
        is_same = _validator(answer) in (None, version.validator)
        if match is None or tuple(map(int, match.groups())) != wanted or not is_same:
            self._discard()
            raise WebError("the rest that the server sends does not fit", is_temporary=True)

    def _write(self, answer: WebAnswer, begun: int, total: int | None) -> None:
        received = begun
        with storage_errors(self.part), self._progress(begun, total) as bar:
            descriptor = self.files.open(self.part, os.O_APPEND)
            try:
                while piece := answer.read(_PIECE_BYTES):
                    received += len(piece)
                    if total is not None and received > total:
                        raise _WrongFileError(
                            f"the server said {total} bytes and sends more; nothing was kept"
                        )
                    if received > self.rules.max_bytes:
                        raise _WrongFileError(
                            f"is larger than the {self._limit()} that are allowed; fetch it "
                            "yourself and give the path"
                        )
                    self.files.write_all(descriptor, piece)
                    bar.update(len(piece))
            finally:
                self.files.close(descriptor)
        if total is not None and received < total:
            raise WebError(
                f"the connection broke after {received} of {total} bytes", is_temporary=True
            )

    def _limit(self) -> str:
        return f"{self.rules.max_bytes / 2**20:,.0f} MiB"

    @contextlib.contextmanager
    def _progress(self, begun: int, total: int | None) -> Iterator[tqdm[Any]]:
        from tqdm import tqdm

        # disable=None keeps quiet where there is no terminal
        with tqdm(
            total=total,
            initial=begun,
            desc=self.target.name,
            unit="B",
            unit_scale=True,
            delay=_BAR_DELAY_S,
            disable=None,
        ) as bar:
            yield bar

    def _read_note(self) -> _Version | None:
        try:
            version = _Version.model_validate_json(read_regular(self.note, _MAX_NOTE_BYTES))
        except (OSError, ValidationError):
            return None
        return version if version.url == self.url else None

    def _write_note(self, answer: WebAnswer, total: int | None) -> None:
        """Note which version begins to come, unless it could not be told from others."""
        validator = _validator(answer)
        if validator is not None and total is not None:
            note = {"url": self.url, "validator": validator, "total_bytes": total}
            write_atomic(self.note, json.dumps(note).encode(), self.files)


def _validator(answer: WebAnswer) -> str | None:
    """Give what tells this version of the file from others: a strong tag, else its date."""
    tag = answer.headers.get("ETag")
    if tag is not None:
        return None if tag.startswith("W/") else tag
    modified: str | None = answer.headers.get("Last-Modified")
    return modified
