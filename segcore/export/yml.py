"""The `inference.yml` beside an exported graph: what to do to an image before the graph sees it.

The layout is PaddleX's and PaddleSeg's: `Deploy.transforms` and `Global.model_name` are what they
read and write. Models of objects have `Preprocess`, `label_list` and `draw_threshold` instead, as
PaddleDetection writes them. A section `Segcore`, which they all pass over, carries what they have
no place for: the task, the names of the classes and the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from segcore.checkpoint.integrity import read_verified
from segcore.config.scalar import resolve_plain
from segcore.config.schema import Component, Config
from segcore.errors import ExportError
from segcore.tasks.preprocess import from_preprocess

__all__ = ["INFERENCE_YML", "Description", "read_description", "render_description"]

INFERENCE_YML = "inference.yml"
_SECTIONS_OF_USE = {"version", "model", "data", "eval", "predict"}  # training has ended by then


class _Deploy(BaseModel):
    model_config = ConfigDict(extra="allow")

    transforms: tuple[Component, ...] = ()
    output_op: str = "argmax"


class _Global(BaseModel):
    model_config = ConfigDict(extra="allow")

    model_name: str | None = None


class _Segcore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int = Field(1, le=1)
    task: str
    class_names: tuple[str, ...]
    config: dict[str, Any]


class _File(BaseModel):
    model_config = ConfigDict(extra="allow")

    deploy: _Deploy = Field(_Deploy(), alias="Deploy")
    global_: _Global = Field(_Global(), alias="Global")
    segcore: _Segcore | None = Field(None, alias="Segcore")
    preprocess: tuple[dict[str, Any], ...] | None = Field(None, alias="Preprocess")
    label_list: tuple[Any, ...] = ()
    draw_threshold: float = Field(0.5, ge=0, le=1)
    mask: bool = False

    @model_validator(mode="after")
    def _says_how_images_are_prepared(self) -> Self:
        if self.preprocess is None and "deploy" not in self.model_fields_set:
            raise ValueError("has neither Deploy nor Preprocess")
        return self


@dataclass(frozen=True)
class Description:
    """What an exported model is: `task` and `class_names` are None where others exported it."""

    config: Config
    task: str | None = None
    class_names: tuple[str, ...] | None = None


def render_description(
    config: Config,
    transforms: Sequence[Mapping[str, Any]],
    *,
    task: str,
    class_names: Sequence[str],
    deployment: Mapping[str, Any],
    program: str,
    params: str,
    foreign: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Write the description of an export of `config` as YAML.

    `transforms` are the resolved steps of preparation, as mappings with `type` and every option;
    `deployment` says what goes into the graph and comes out, as `Task.deployment` gives it;
    `program` and `params` are the names of the files of the graph and of its weights; `foreign` are
    more sections for other programs, as `Task.foreign_sections` gives them.
    """
    settings = config.model_dump(include=_SECTIONS_OF_USE)
    settings["data"]["path"] = None  # the training data's folder says nothing to users of the model
    content = {
        "Global": {"model_name": config.model.name},
        "Deploy": {
            "model": program,
            "params": params,
            **deployment,
            "transforms": [dict(step) for step in transforms],
        },
        **foreign,
        "Segcore": {
            "format": 1,
            "task": task,
            "class_names": list(class_names),
            "config": settings,
        },
    }
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read_description(path: Path, model_name: str | None = None) -> Description:
    """Read an `inference.yml` or a `deploy.yaml`, whoever wrote it.

    `Deploy.transforms` is followed even where `Segcore.config` says otherwise, as PaddleX does.
    `model_name` names the model where the file does not. Raises ExportError, ConfigError, and
    IntegrityError when the file is not what the manifest beside it says.
    """
    from segcore.config.load import read_bytes, read_document

    document = read_document(path, partial(read_verified, read=read_bytes))
    try:
        file = _File.model_validate(document.data)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
            for problem in error.errors()
        )
        raise ExportError(
            f"{path}: not the description of an exported model: {problems}"
        ) from error
    if file.segcore is None and file.preprocess is not None:
        return _read_objects_model(file, file.preprocess, path, model_name)
    settings: dict[str, Any] = {} if file.segcore is None else dict(file.segcore.config)
    if file.segcore is None:
        transforms = [_as_paddlex_reads(step) for step in file.deploy.transforms]
        steps = [step for step in transforms if step is not None]
    else:
        steps = [step.model_dump() for step in file.deploy.transforms]
    settings["eval"] = {**settings.get("eval", {}), "transforms": steps}
    settings.setdefault("model", {"name": file.global_.model_name or model_name or "unnamed"})
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(f"{path}: Segcore.config.{where}: {first['msg']}") from error
    if file.segcore is None:
        return Description(config)
    return Description(config, file.segcore.task, file.segcore.class_names)


def _read_objects_model(
    file: _File, operations: Sequence[Mapping[str, Any]], path: Path, model_name: str | None
) -> Description:
    """Read what PaddleX and PaddleDetection write about a model of objects. Raises ExportError."""
    if not file.mask:
        raise ExportError(f"{path}: the model finds no masks, or says nothing of them (`mask`)")
    try:
        steps = from_preprocess(operations)
        settings = {
            "model": {"name": file.global_.model_name or model_name or "unnamed"},
            "data": {"num_classes": len(file.label_list) or None},
            "eval": {"transforms": steps},
            "predict": {"score_threshold": file.draw_threshold},
        }
        config = Config.model_validate(settings)
    except (ExportError, ValidationError) as error:
        raise ExportError(f"{path}: Preprocess: {error}") from error
    return Description(config, "instance", tuple(map(str, file.label_list)) or None)


class _Dumper(yaml.SafeDumper):
    """Quote text that readers of YAML 1.2, and not only of 1.1, would take for something else."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve_plain(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _as_paddlex_reads(step: Component) -> dict[str, Any] | None:
    """Spell out PaddleX's defaults, which are not those of the transforms of the same names."""
    options = dict(step.options)
    if step.type == "Normalize":
        for key in ("mean", "std"):
            value = options.get(key, 0.5)
            options[key] = [value] * 3 if isinstance(value, int | float) else value
    if step.type == "Resize":
        size = options.get("target_size", -1)
        size = [size, size] if isinstance(size, int) else size
        if size in ([-1, -1], (-1, -1)):
            return None
        options = {"keep_ratio": True, "size_divisor": 32, **options, "target_size": size}
    return {"type": step.type, **options}
