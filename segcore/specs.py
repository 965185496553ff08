"""What a plugin declares: one record per component, data only.

A spec names a component and says where the code that builds it stands, as an import string
`package.module:attribute`. Nothing is imported until the component is used, so that listing a
hundred plugins costs milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segcore.errors import FrameworkMissingError, PluginBrokenError

if TYPE_CHECKING:
    from pydantic import BaseModel

_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Declare a component.

    `name` is what users type; `aliases` are other spellings (case, `-`, `_` and spaces never
    matter). `target` builds it. `options` is the pydantic model of what the target accepts as
    keywords, as a class or as an import string; `None` means that it takes no options.
    Raises ValueError when `name` is empty or `target` is no import string.
    """

    kind: ClassVar[str] = "component"

    name: str
    target: str
    summary: str = ""
    aliases: tuple[str, ...] = ()
    options: type[BaseModel] | str | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip() or "/" in self.name:
            raise ValueError(
                f"{self.kind} name {self.name!r}: must be text without a slash or outer spaces"
            )
        if not isinstance(self.aliases, tuple):  # a lone string would count as its letters
            raise ValueError(f"{self.kind} {self.name!r}: aliases must be a tuple of names")
        for where, value in self._import_strings():
            if isinstance(value, str) and not _IMPORT_STRING.match(value):
                raise ValueError(
                    f"{self.kind} {self.name!r}: {where} {value!r} is not "
                    "'package.module:attribute'"
                )

    def _import_strings(self) -> list[tuple[str, Any]]:
        """Give the fields that may be import strings, by name."""
        return [("target", self.target), ("options", self.options)]

    def load_target(self) -> Any:
        """Import what builds the component.

        Raises PluginBrokenError where the import string leads nowhere, and FrameworkMissingError
        where the code needs PaddlePaddle and there is none.
        """
        return _load(self, "target", self.target)

    def load_options(self) -> type[BaseModel] | None:
        """Import the pydantic model of the options; None when the component takes none.

        Raises PluginBrokenError where it cannot be imported or is no pydantic model.
        """
        if self.options is None:
            return None
        model: Any = self.options
        if isinstance(self.options, str):
            model = _load(self, "options", self.options)
        if not hasattr(model, "model_validate"):
            raise PluginBrokenError(
                f"{self.kind} {self.name!r}: options {self.options!r} is no pydantic model; "
                "report it to the authors of the plugin"
            )
        return model  # type: ignore[no-any-return]


def _load(spec: Spec, what: str, import_string: str) -> Any:
    module, _, path = import_string.partition(":")
    where = f"{spec.kind} {spec.name!r}: {what} {import_string!r}"
    try:
        found: Any = import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except ModuleNotFoundError as error:
        if error.name == "paddle":
            raise FrameworkMissingError(
                f"{spec.kind} {spec.name!r} needs PaddlePaddle, which is not installed; "
                'run: pip install "segcore[cpu]" (or "segcore[gpu]" for NVIDIA GPUs)'
            ) from error
        raise PluginBrokenError(
            f"{where} cannot be imported: {error}; install what is missing, or reinstall the plugin"
        ) from error
    except Exception as error:
        raise PluginBrokenError(
            f"{where} cannot be imported: {type(error).__name__}: {error}; reinstall the plugin, "
            "or report it to its authors"
        ) from error
    return found


@dataclass(frozen=True, kw_only=True)
class WeightsSpec:
    """A known file of weights: where it is and what it was trained on.

    `trained_on` is the name that users type (`CITYSCAPES`, `IMAGENET`, ...); `part` says whether
    the file fits the whole network or its backbone only. `url` leads by https to a `.pdparams` or
    `.safetensors` file, or to an archive (`.tar.gz`, `.zip`) that holds one.
    """

    trained_on: str
    url: str
    part: Literal["network", "backbone"] = "network"
    sha256: str | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        if self.part not in ("network", "backbone"):
            raise ValueError(f"weights {self.trained_on!r}: part {self.part!r} is none")
        if not self.url.startswith("https://"):
            raise ValueError(f"weights {self.trained_on!r}: {self.url!r} is no https address")


@dataclass(frozen=True, kw_only=True)
class Score:
    """A published accuracy: `value` of `metric` (a share, not per cent) on `dataset`.

    `input` says at what size images were measured, `source` who published it.
    """

    metric: str
    value: float
    dataset: str
    input: str
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, float) or not 0 <= self.value <= 1:
            raise ValueError(f"score {self.value!r} of {self.metric}: must be a share, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Published:
    """What others have published of a model; what nobody has published stays empty.

    The first accuracy is shown in lists. Times are milliseconds for an image on the devices named
    beside them; `cost_source` says who measured them and `size_mb`. `note` says what is odd.
    """

    accuracy: tuple[Score, ...] = ()
    size_mb: float | None = None
    gpu_ms: float | None = None
    gpu: str | None = None
    cpu_ms: float | None = None
    cpu: str | None = None
    cost_source: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(score, Score) for score in self.accuracy):
            raise ValueError("published accuracy: must be a tuple of Score")


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """Declare a network.

    `target` is called with `num_classes=...` and the validated options and returns a
    `paddle.nn.Layer`: in eval mode `forward(images)` gives the logits (N, C, H, W) first.
    `recipe` names the published training recipe, a YAML file inside the plugin's package, as
    `package:path/to/recipe.yaml`. `published` is what others measured: a `Published`, or any facts
    by name.
    """

    kind: ClassVar[str] = "model"

    task: str = "semantic"
    recipe: str | None = None
    weights: tuple[WeightsSpec, ...] = ()
    parameters: int | None = None
    paper: str | None = None
    licence: str | None = None
    tags: tuple[str, ...] = ()
    published: Published | Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackboneSpec(Spec):
    """Declare a feature extractor that heads of any plugin may use (see `segcore.nn.Backbone`)."""

    kind: ClassVar[str] = "backbone"

    weights: tuple[WeightsSpec, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """Declare a loss: a `paddle.nn.Layer` with `forward(logits, labels)` giving a scalar.

    A network that gives a mapping in training instead of logits comes with a loss of its own, whose
    `forward` takes that mapping.
    """

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """Declare a metric: see `segcore.protocols.Metric`."""

    kind: ClassVar[str] = "metric"

    task: str = "semantic"


@dataclass(frozen=True, kw_only=True)
class TransformSpec(Spec):
    """Declare a transform: see `segcore.protocols.Transform`."""

    kind: ClassVar[str] = "transform"


@dataclass(frozen=True, kw_only=True)
class TaskSpec(Spec):
    """Declare a task: what a sample, a batch, a loss and a result are (`segcore.tasks.task.Task`).

    `result` is the import string of what makes a `segcore.tasks.result.Result` of a prediction and
    a `Predicted`. `recipe` names the settings that its models share, as `ModelSpec.recipe` does;
    the recipe of a model lies above them.
    """

    kind: ClassVar[str] = "task"

    result: str
    recipe: str | None = None

    def _import_strings(self) -> list[tuple[str, Any]]:
        return [*super()._import_strings(), ("result", self.result)]

    def load_result(self) -> Any:
        """Import what makes results. Raises as `load_target` does."""
        return _load(self, "result", self.result)


@dataclass(frozen=True, kw_only=True)
class DatasetFormatSpec(Spec):
    """Declare a layout of datasets on disk: see `segcore.protocols.DatasetFormat`."""

    kind: ClassVar[str] = "dataset format"

    task: str = "semantic"


@dataclass(frozen=True, kw_only=True)
class ConverterSpec(Spec):
    """Declare a format for `segcore data convert`: see `segcore.plugin.Converter`.

    `reads` and `writes` say which of the two it can do.
    """

    kind: ClassVar[str] = "converter"

    reads: bool = True
    writes: bool = False


@dataclass(frozen=True, kw_only=True)
class ExporterSpec(Spec):
    """Declare a format that trained models are exported to: see `segcore.protocols.Exporter`."""

    kind: ClassVar[str] = "exporter"


@dataclass(frozen=True, kw_only=True)
class DeviceSpec(Spec):
    """Declare a kind of device: see `segcore.protocols.Device`."""

    kind: ClassVar[str] = "device"


@dataclass(frozen=True, kw_only=True)
class RuntimeSpec(Spec):
    """Declare an engine that runs models for inference: see `segcore.protocols.Runtime`."""

    kind: ClassVar[str] = "runtime"


@dataclass(frozen=True, kw_only=True)
class ObserverSpec(Spec):
    """Declare something that watches a training: see `segcore.protocols.Observer`."""

    kind: ClassVar[str] = "observer"


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """Declare a verb of the command line: `target` is a `click.Command`, loaded when it is used."""

    kind: ClassVar[str] = "command"
