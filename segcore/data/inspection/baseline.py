"""Known findings that a check accepts, so that only new ones fail it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from segcore.checkpoint.ownership import Guard, marked, marked_by
from segcore.data.paths import printable, read_file
from segcore.errors import DataError, RequestError

__all__ = ["Baseline", "check_baseline", "read_baseline", "write_baseline"]

_MARK = "segcore data check --write-baseline"
_VERSION = 1


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    code: str
    file: str
    subject: str = ""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    written_by: str = ""
    version: int
    findings: list[_Known]


class Baseline:
    """A set of findings, each a code, a file and what of the file is meant."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, code: str, file: str, subject: str = "") -> None:
        """Accept a finding from now on."""
        self._known.add((code, file, subject))

    def accepts(self, code: str, file: str, subject: str = "") -> bool:
        """Say whether a finding is among the known ones."""
        return (code, file, subject) in self._known

    def as_json(self) -> dict[str, object]:
        """Give the content of a baseline file, in a stable order."""
        content = {
            "version": _VERSION,
            "findings": [
                {"code": code, "file": file, **({"subject": subject} if subject else {})}
                for code, file, subject in sorted(self._known)
            ],
        }
        return marked(content, _MARK)


def read_baseline(path: Path) -> Baseline:
    """Read a file that `write_baseline` wrote. Raises RequestError where it is none."""
    shown = printable(path)
    try:
        document = _Document.model_validate_json(read_file(path, shown))
    except DataError as error:
        raise RequestError(f"{error} Write a baseline with --write-baseline {shown}.") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise RequestError(
            f"{shown}: is no baseline ({where or 'file'}: {problem['msg']}). "
            f"Write one with --write-baseline {shown}."
        ) from error
    if document.version != _VERSION:
        raise RequestError(
            f"{shown}: baseline of version {document.version}, not {_VERSION}. "
            f"Write it anew with --write-baseline {shown}."
        )
    baseline = Baseline()
    for known in document.findings:
        baseline.add(known.code, known.file, known.subject)
    return baseline


def check_baseline(path: Path, guard: Guard) -> None:
    """Raise OutputError unless a baseline may be written to `path`."""
    guard.check_file(path, marked_by(_MARK))


def write_baseline(path: Path, baseline: Baseline, guard: Guard | None = None) -> None:
    """Write known findings into a file. Raises OutputError and StorageError."""
    data = json.dumps(baseline.as_json(), indent=1).encode()
    (guard or Guard()).write_file(path, data, marked_by(_MARK))
