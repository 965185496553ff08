"""Find the files of a model in what users point at."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from segcore.checkpoint.integrity import note_unknown, place_of, verify_folder
from segcore.checkpoint.runfolder import RunFolder
from segcore.checkpoint.weights import check_digest
from segcore.config.schema import Config
from segcore.errors import ConfigError, RequestError
from segcore.export.folder import find_export
from segcore.export.yml import Description, read_description
from segcore.filesystem import exists, file_status, is_file, is_folder
from segcore.protocols import ModelSource

__all__ = [
    "FileState",
    "FoundModel",
    "file_state",
    "find_model",
    "find_trained",
    "find_weights",
    "require_same_files",
    "verify_source",
]

FileState: TypeAlias = "tuple[tuple[str, int, int], ...]"
"""The name, size and time of each file of a model, by which a later look knows them again."""

log = logging.getLogger(__name__)

_DECISIVE = {
    "data": ("channels", "value_range", "max_pixels", "accept_truncated_tail", "first_frame"),
    "eval": ("sliding",),
    "predict": ("target_size", "score_threshold"),
}
_ATTEMPTS = 5
_WEIGHTS = ("model.pdparams", "model.safetensors")


@dataclass(frozen=True)
class FoundModel:
    """A model on disk; `class_names` and `task` are None where its files do not say.

    `config` is what measuring and predicting follow alike: for a run its config.yaml, for a folder
    that was exported its inference.yml.
    """

    source: ModelSource
    config: Config
    class_names: tuple[str, ...] | None = None
    task: str | None = None


def file_state(source: ModelSource) -> FileState:
    """Return the state of the files that a model is loaded from."""
    export = None if source.export_dir is None else find_export(source.export_dir)
    files = (
        *(() if export is None else (export.program, export.params)),
        *(() if source.weights is None else (source.weights,)),
    )
    try:
        found = [(path.name, file_status(path)) for path in files]
    except OSError as error:
        raise RequestError(
            f"{error.filename}: has just gone: {error.strerror}; try again"
        ) from error
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


def require_same_files(source: ModelSource, state: FileState) -> None:
    """Raise RequestError where the files are others than those of which `state` was taken."""
    if file_state(source) != state:
        raise RequestError(
            f"{source.export_dir or source.weights}: the files of the model are no longer those "
            "that it was loaded from, so that to read them again would make another model of it: "
            "load it anew"
        )


def find_model(path: Path, name: str | None = None) -> FoundModel:
    """Find the model at `path`.

    That is the folder of a run, its `best_model` or `best_model/inference`, a folder exported by
    segcore, PaddleX or PaddleSeg, or a file of weights with a `config.yaml` beside or above it.
    `name` names the model where the files do not. The description and the configuration are what
    segcore wrote, as far as they say so; the large files are checked when they are used
    (`ModelSource`, `verify_source`). Raises RequestError when there is no model, and ConfigError,
    ExportError or IntegrityError when its files are wrong.
    """
    path = _present(path)
    if not exists(path):
        raise RequestError(f"{path}: there is no such file or folder")
    if is_file(path):
        if path.name in ("inference.yml", "inference.json", "inference.pdmodel", "config.yaml"):
            return find_model(path.parent, name)
        return _from_weights(path)
    export_dir = next(
        (
            folder
            for folder in (path, path / "inference", path / "best_model" / "inference")
            if find_export(folder) is not None
        ),
        None,
    )
    weights = find_weights(path)
    if export_dir is not None:
        description = read_description(_description_in(export_dir), name)
        return _from_export(export_dir, description, weights, is_named=path == export_dir)
    if weights is not None:
        return _from_weights(weights)
    raise RequestError(
        f"{path}: holds no model. Point at the folder of a run, at its best_model, at an exported "
        "model (inference.yml with inference.json or .pdmodel), or at a .pdparams file"
        f"{_hint(path)}"
    )


def _hint(folder: Path) -> str:
    """Say what a folder of PaddleX 1.x or 2.x is, which those who come from there point at."""
    if not is_file(folder / "model.yml"):
        return ""
    return (
        ". model.yml shows it to be of PaddleX 1.x or 2.x: weights of 2.x (model.pdparams) can be "
        "used with a config.yaml beside them, which `segcore config show MODEL` begins, those of "
        "1.x and exported graphs of either cannot"
    )


def find_trained(path: Path) -> FoundModel:
    """Find weights as `find_model` does, also where what was exported from them is damaged.

    Raises as `find_model`.
    """
    try:
        return find_model(path)
    except RequestError as error:
        weights = find_weights(_present(path))
        if weights is None:
            raise
        found = _from_weights(weights)
        log.warning("%s. The weights in %s are taken without it", error, weights)
        return found


def verify_source(source: ModelSource) -> None:
    """Compare the files of `source` with their manifests, whoever is going to read them.

    Raises IntegrityError that names the file, and WeightsError for weights of another digest.
    """
    if source.export_dir is not None:
        export = find_export(source.export_dir)
        files = () if export is None else (export.description, export.program, export.params)
        verify_folder(source.export_dir, [path.name for path in files])
    if source.weights is not None:
        if source.sha256 is None:
            verify_folder(source.weights.parent, [source.weights.name])
        else:
            check_digest(source.weights, source.sha256)


def _present(path: Path) -> Path:
    """Give `path`, or where it is while a training replaces its best model."""
    candidates = (path, place_of(path), place_of(path.parent) / path.name)
    return next((candidate for candidate in candidates if exists(candidate)), path)


def find_weights(path: Path) -> Path | None:
    """Find the file of weights in the folder `path` of a run, its best_model or its export."""
    folders = [path, path / "best_model"]
    if path.name == "inference":
        folders.append(path.parent)
    return next(filter(None, map(_weights_in, folders)), None)


def _weights_in(folder: Path) -> Path | None:
    for attempt in range(_ATTEMPTS):
        place = place_of(folder)
        found = next((place / name for name in _WEIGHTS if is_file(place / name)), None)
        if found is not None or not is_folder(RunFolder(folder.parent).checkpoints):
            return found
        time.sleep(0.01 * attempt)  # a training may be replacing its best model
    return None


def _from_export(
    export_dir: Path, description: Description, weights: Path | None, *, is_named: bool
) -> FoundModel:
    config_file = None if weights is None else _config_above(weights)
    own = None if config_file is None else _read_config(config_file)
    source = ModelSource(export_dir=export_dir, weights=weights, config=own)
    config = description.config
    if own is not None:
        if not is_named:
            # a loss may be of a plugin that is not here, and training has ended by now
            config = own.model_copy(update={"train": description.config.train})
        differing = _differences(own, description.config)
        if differing:
            followed = (
                f"{export_dir} is followed; name the folder of the run to follow its config.yaml"
                if is_named
                else f"{config_file} is followed"
            )
            log.warning(
                "%s and %s do not agree on %s: %s",
                *(config_file, export_dir, ", ".join(differing), followed),
            )
    return FoundModel(source, config, description.class_names, description.task)


def _differences(one: Config, other: Config) -> list[str]:
    """List the keys that decide what is predicted and have other values in `other`.

    Transforms are left out: an export spells out what a configuration leaves to defaults.
    """
    values = [config.model_dump() for config in (one, other)]
    return [
        f"{section}.{key}"
        for section, keys in _DECISIVE.items()
        for key in keys
        if values[0][section][key] != values[1][section][key]
    ]


def _from_weights(weights: Path) -> FoundModel:
    config_file = _config_above(weights)
    if config_file is None:
        raise ConfigError(
            f"{weights}: there is no config.yaml beside or above it that says which network these "
            "weights belong to; `segcore config show MODEL` prints one to start from"
        )
    config = _read_config(config_file)
    names = config.data.class_names
    return FoundModel(ModelSource(weights=weights, config=config), config, names)


def _config_above(weights: Path) -> Path | None:
    """Find config.yaml beside `weights`, or up to two folders above, as runs have it."""
    for folder in list(weights.absolute().parents)[:3]:
        if is_file(folder / "config.yaml"):
            return folder / "config.yaml"
    return None


def _description_in(folder: Path) -> Path:
    export = find_export(folder)
    if export is None:
        raise RequestError(f"{folder}: the exported model there has just gone; try again")
    return export.description


def _read_config(path: Path) -> Config:
    from pydantic import ValidationError

    from segcore.config.load import read_document
    from segcore.inference.config_edits import describe_edits

    document = read_document(path)
    if document.sealed is False:
        raise ConfigError(
            f"{path}: is not what the training wrote: its content does not match the digest in its "
            f"first line.{describe_edits(path.parent, document.data)} Remove that line to have an "
            "edit of yours followed; if you made none, the file is damaged"
        )
    if document.sealed is None:
        note_unknown(path, "digest in its first line")
    try:
        return Config.model_validate(document.data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {key}: {first['msg']}; `segcore config check {path}` lists all that is wrong"
        ) from error
