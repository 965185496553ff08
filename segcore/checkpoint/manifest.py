"""MANIFEST.json: what a folder that segcore wrote consists of, with the sizes and digests.

A checkpoint exists when its manifest says so, and an exported model has one, too. The manifest
carries a digest of itself and is accepted only in the very bytes that `to_bytes` writes, so that a
flipped bit anywhere in it is noticed just like one in the files that it lists.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
)

from segcore.checkpoint.files import DISK, Files, digest_file
from segcore.checkpoint.ownership import is_evaluation
from segcore.errors import CheckpointError
from segcore.filesystem import is_file, is_folder, is_link, list_tree
from segcore.foreign import foreign_errors

__all__ = [
    "MANIFEST",
    "Checkpoint",
    "ExportManifest",
    "FileRecord",
    "Manifest",
    "check_content",
    "check_digests",
    "check_sizes",
    "digest_tree",
    "find_stranger",
    "read_any_manifest",
    "read_checkpoint",
    "read_manifest",
]

MANIFEST = "MANIFEST.json"
MAX_MANIFEST_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)*\Z", re.ASCII)


def check_part_name(name: str) -> str:
    """Give `name` back if it stays inside its folder; a run may come from a stranger."""
    if not _NAME.match(name) or name == MANIFEST:
        raise ValueError(f"{name!r} cannot name a file of a checkpoint")
    return name


def check_inner_name(name: str) -> str:
    """Give `name` back if it stays inside its folder; exporters of plugins choose any such name."""
    parts = name.split("/")
    if name == MANIFEST or not {"", ".", ".."}.isdisjoint(parts) or {"\0", "\\"} & {*name}:
        raise ValueError(f"{name!r} cannot name a file of an export")
    return name


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FileRecord(_Record):
    """Size and digest of one file."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """Describe the content `data`."""
        return cls(size=len(data), sha256=hashlib.sha256(data).hexdigest())


class _Contents(_Record):
    """What manifests of every kind have in common."""

    schema_version: Literal[1] = 1
    files: Mapping[str, FileRecord]

    @property
    def digest(self) -> str:
        """SHA-256 of everything else: the identity of this generation."""
        return hashlib.sha256(self._render()).hexdigest()

    def to_bytes(self) -> bytes:
        """Give the content of MANIFEST.json."""
        return self._render(digest=self.digest)

    def _render(self, **more: str) -> bytes:
        content = {**self.model_dump(mode="json"), **more}
        return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


class Manifest(_Contents):
    """What a checkpoint or a best model consists of.

    `parents` are digests of the manifests that it grew from, `info` small facts such as scores.
    """

    run_id: str
    step: int = Field(ge=0)
    parents: tuple[str, ...] = Field((), strict=False)
    info: dict[str, JsonValue] = {}
    files: dict[Annotated[str, AfterValidator(check_part_name)], FileRecord]


class ExportManifest(_Contents):
    """What an exported model consists of: every file, in subfolders too.

    `written_by` is the distribution that wrote it, with its version; `format` and `model` are the
    names of the format and of the model.
    """

    kind: Literal["export"] = "export"
    written_by: str
    format: str
    model: str
    files: dict[Annotated[str, AfterValidator(check_inner_name)], FileRecord]


_KINDS: TypeAdapter[Manifest | ExportManifest] = TypeAdapter(Manifest | ExportManifest)


@dataclass(frozen=True)
class Checkpoint:
    """The verified content of a checkpoint or a best model.

    `rejected` tells which newer checkpoints were passed over, and why; say it to the user.
    """

    path: Path
    manifest: Manifest
    parts: Mapping[str, bytes]
    rejected: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """The step that it was saved at."""
        return self.manifest.step


def read_manifest(folder: Path, files: Files = DISK) -> Manifest:
    """Read the manifest of the checkpoint in `folder`.

    Raises CheckpointError, and OSError if it cannot be read.
    """
    manifest = read_any_manifest(folder, files)
    if not isinstance(manifest, Manifest):
        raise CheckpointError(f"{folder}: holds an exported model, and no checkpoint")
    return manifest


def read_any_manifest(folder: Path, files: Files = DISK) -> Manifest | ExportManifest:
    """Read the manifest of `folder`, whatever it is of. Raises as `read_manifest`."""
    path = folder / MANIFEST
    if os.path.lexists(path) and not path.is_file():
        raise CheckpointError(f"{path}: is no regular file; move it away")
    if path.is_file() and path.stat().st_size > MAX_MANIFEST_BYTES:
        raise CheckpointError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes; not a manifest")
    data = files.read(path)

    def refuse(reason: str) -> CheckpointError:
        return CheckpointError(f"{path}: damaged, its text is not that of a manifest ({reason})")

    with foreign_errors(refuse):
        content: dict[str, Any] = json.loads(data)
    try:
        content.pop("digest")
        manifest = _KINDS.validate_python(content)
        intact = manifest.to_bytes() == data
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        kind = "schema" if isinstance(error, ValidationError) else "text"
        raise CheckpointError(f"{path}: damaged, its {kind} is not that of a manifest") from error
    if not intact:
        raise CheckpointError(f"{path}: damaged, it does not match its own digest")
    return manifest


def digest_tree(folder: Path) -> dict[str, FileRecord]:
    """Describe every file in `folder` and below, by its name relative to it. Raises OSError."""
    return {
        path.relative_to(folder).as_posix(): FileRecord(
            size=path.stat().st_size, sha256=digest_file(path)
        )
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def find_stranger(folder: Path) -> Path | None:
    """Give what in `folder` segcore did not export, or what was changed since; None for nothing.

    The result of `segcore eval` may lie beside an export.
    """
    files: Mapping[str, FileRecord] = {}
    with contextlib.suppress(CheckpointError, OSError):
        manifest = read_any_manifest(folder)
        if isinstance(manifest, ExportManifest):
            files = manifest.files
    return next((p for p in list_tree(folder) if not _is_exported(p, folder, files)), None)


def _is_exported(path: Path, root: Path, files: Mapping[str, FileRecord]) -> bool:
    if is_link(path) or not is_file(path):
        return is_folder(path) and not is_link(path)
    name = path.relative_to(root).as_posix()
    if name in files:
        try:
            return digest_file(path) == files[name].sha256
        except OSError:
            return False  # segcore could read what it wrote
    return (bool(files) and name == MANIFEST) or (path.parent == root and is_evaluation(path))


def check_sizes(folder: Path, manifest: Manifest | ExportManifest, *, exact: bool) -> None:
    """Compare names and sizes in `folder` with its manifest; `exact` forbids further files.

    Raises CheckpointError that names the file.
    """
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path}: missing, though the manifest lists it")
        size = path.stat().st_size
        if size != record.size:
            raise CheckpointError(f"{path}: has {size} bytes, its manifest says {record.size}")
    if exact:
        known = {MANIFEST, *(name.split("/")[0] for name in manifest.files)}
        for path in sorted(folder.iterdir()):
            if path.name not in known:
                raise CheckpointError(f"{path}: not listed by the manifest; remove it")


def check_digests(
    folder: Path, manifest: Manifest | ExportManifest, used: Iterable[str] = ()
) -> None:
    """Compare the content of all files with the manifest, which must list those of `used`.

    Raises CheckpointError that names the file, and OSError if one cannot be read.
    """
    for name in used:
        _record_of(folder, name, manifest)
    check_sizes(folder, manifest, exact=False)
    for name, record in manifest.files.items():
        if digest_file(folder / name) != record.sha256:
            raise _damaged(folder / name)


def check_content(
    folder: Path, name: str, manifest: Manifest | ExportManifest, data: bytes
) -> None:
    """Compare `data`, read from the file `name`, with the manifest. Raises CheckpointError."""
    if hashlib.sha256(data).hexdigest() != _record_of(folder, name, manifest).sha256:
        raise _damaged(folder / name)


def _record_of(folder: Path, name: str, manifest: Manifest | ExportManifest) -> FileRecord:
    if name not in manifest.files:
        raise CheckpointError(f"{folder / name}: not listed by the manifest beside it")
    return manifest.files[name]


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: damaged, its SHA-256 is not the manifest's")


def read_checkpoint(
    folder: Path,
    names: Collection[str] | None = None,
    files: Files = DISK,
    *,
    exact: bool = False,
) -> Checkpoint:
    """Read the files `names` of `folder`, or all, and verify the digest of each.

    Every byte handed out was verified after it was read, and all belong to one manifest. Raises
    CheckpointError, and OSError if a file cannot be read.
    """
    manifest = read_manifest(folder, files)
    check_sizes(folder, manifest, exact=exact)
    wanted = manifest.files if names is None else names
    parts = {}
    for name in wanted:
        if name not in manifest.files:
            raise CheckpointError(
                f"{folder}: holds no {name}; it has {', '.join(sorted(manifest.files))}"
            )
        data = files.read(folder / name)
        check_content(folder, name, manifest, data)
        parts[name] = data
    return Checkpoint(folder, manifest, parts)
