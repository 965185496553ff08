"""Find the files of a model in what users point at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segcore.config.schema import Config
from segcore.errors import ConfigError, RequestError
from segcore.export.folder import find_export
from segcore.export.yml import Description, read_description
from segcore.filesystem import exists, is_file
from segcore.protocols import ModelSource

__all__ = ["FoundModel", "find_model"]

_WEIGHTS = ("model.pdparams", "model.safetensors")


@dataclass(frozen=True)
class FoundModel:
    """A model on disk; `class_names` and `task` are None where its files do not say."""

    source: ModelSource
    config: Config
    class_names: tuple[str, ...] | None = None
    task: str | None = None


def find_model(path: Path, name: str | None = None) -> FoundModel:
    """Find the model at `path`.

    That is the folder of a run, its `best_model` or `best_model/inference`, a folder exported by
    segcore, PaddleX or PaddleSeg, or a file of weights with a `config.yaml` beside or above it.
    `name` names the model where the files do not. Raises RequestError when there is none, and
    ConfigError or ExportError when its files are wrong.
    """
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
    folders = (path, path / "best_model", *([path.parent] if path.name == "inference" else []))
    weights = next(
        (folder / file for folder in folders for file in _WEIGHTS if is_file(folder / file)),
        None,
    )
    if export_dir is not None:
        description = read_description(_description_in(export_dir), name)
        return _from_export(export_dir, description, weights)
    if weights is not None:
        return _from_weights(weights)
    raise RequestError(
        f"{path}: holds no model. Point at the folder of a run, at its best_model, at an exported "
        "model (inference.yml with inference.json or .pdmodel), or at a .pdparams file"
    )


def _from_export(export_dir: Path, description: Description, weights: Path | None) -> FoundModel:
    config_file = None if weights is None else _config_above(weights)
    source = ModelSource(
        export_dir=export_dir,
        weights=weights,
        config=None if config_file is None else _read_config(config_file),
    )
    return FoundModel(source, description.config, description.class_names, description.task)


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

    from segcore.config.load import read_yaml

    try:
        return Config.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {key}: {first['msg']}; `segcore config check {path}` lists all that is wrong"
        ) from error
