"""The `inference.yml` beside an exported graph: what to do to an image before the graph sees it.

The layout is PaddleX's and PaddleSeg's: `Deploy.transforms` and `Global.model_name` are what they
read and write. A section `Segcore`, which they pass over, carries what they have no place for: the
task, the names of the classes and the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segcore.config.scalar import resolve_plain
from segcore.config.schema import Component, Config
from segcore.errors import ExportError

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

    deploy: _Deploy = Field(alias="Deploy")
    global_: _Global = Field(_Global(), alias="Global")
    segcore: _Segcore | None = Field(None, alias="Segcore")


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
) -> str:
    """Write the description of an export of `config` as YAML.

    `transforms` are the resolved steps of preparation, as mappings with `type` and every option;
    `deployment` says what goes into the graph and comes out, as `Task.deployment` gives it;
    `program` and `params` are the names of the files of the graph and of its weights.
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
    `model_name` names the model where the file does not. Raises ExportError.
    """
    from segcore.config.load import read_yaml

    try:
        file = _File.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise ExportError(
            f"{path}: not the description of an exported model: {problems}"
        ) from error
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
        if list(size) == [-1, -1]:
            return None
        options = {"keep_ratio": True, "size_divisor": 32, **options, "target_size": size}
    return {"type": step.type, **options}
