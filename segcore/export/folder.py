"""Where the files of an exported Paddle graph stand in its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segcore.checkpoint.files import digest_file
from segcore.checkpoint.manifest import MANIFEST, ExportManifest, FileRecord, read_any_manifest
from segcore.checkpoint.ownership import EVALUATION_MARK, is_marked, read_head
from segcore.errors import CheckpointError, ExportError
from segcore.export.yml import INFERENCE_YML
from segcore.filesystem import is_file, is_folder

__all__ = ["ExportFolder", "find_export", "find_stranger"]

# The names that PaddleX and PaddleSeg look for; the program as JSON since Paddle 3.
_DESCRIPTIONS = ((INFERENCE_YML, "inference"), ("deploy.yaml", "model"))
_PROGRAMS = (".json", ".pdmodel")


@dataclass(frozen=True)
class ExportFolder:
    """The three files of an exported graph."""

    description: Path
    program: Path
    params: Path


def find_export(folder: Path) -> ExportFolder | None:
    """Find an exported graph in `folder`; None where there is no description of one.

    Raises ExportError when there is a description, but no graph or no weights beside it.
    """
    for name, stem in _DESCRIPTIONS:
        description = folder / name
        if not is_file(description):
            continue
        program = next(
            (folder / f"{stem}{end}" for end in _PROGRAMS if is_file(folder / f"{stem}{end}")),
            None,
        )
        params = folder / f"{stem}.pdiparams"
        if program is None or not is_file(params):
            wanted = f"{stem}.json or {stem}.pdmodel" if program is None else params.name
            raise ExportError(
                f"{folder}: {name} is there, but {wanted} is not; export the model anew with "
                "`segcore export`"
            )
        return ExportFolder(description, program, params)
    return None


def find_stranger(folder: Path) -> Path | None:
    """Give what in `folder` segcore did not export, or what was changed since; None for nothing.

    Results of `segcore eval` may lie beside an export.
    """
    files: Mapping[str, FileRecord] = {}
    with contextlib.suppress(CheckpointError, OSError):
        manifest = read_any_manifest(folder)
        if isinstance(manifest, ExportManifest):
            files = manifest.files
    return next((p for p in sorted(folder.rglob("*")) if not _is_ours(p, folder, files)), None)


def _is_ours(path: Path, root: Path, files: Mapping[str, FileRecord]) -> bool:
    if is_folder(path) and not path.is_symlink():
        return True
    if path.is_symlink() or not is_file(path):
        return False
    name = path.relative_to(root).as_posix()
    if name in files:
        return digest_file(path) == files[name].sha256
    return (bool(files) and name == MANIFEST) or is_marked(read_head(path), EVALUATION_MARK)
