"""Where the files of an exported Paddle graph stand in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segcore.errors import ExportError
from segcore.export.yml import INFERENCE_YML
from segcore.filesystem import is_file

__all__ = ["ExportFolder", "find_export"]

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
