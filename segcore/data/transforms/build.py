"""From the list of transforms in a configuration to the pipeline that samples go through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel, ValidationError

from segcore.data.transforms.transform import RunValues
from segcore.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from segcore.config.schema import Component, Config
    from segcore.protocols import Transform
    from segcore.tasks.sample import Sample

__all__ = ["Loadable", "Pipeline", "build_transforms", "run_values"]


class Loadable(Protocol):
    """What a spec in the catalogue can do: import the things that it names."""

    def load_target(self) -> Any:
        """Import what builds the transform."""
        ...

    def load_options(self) -> type[BaseModel] | None:
        """Import the model of the options, or give None where there are no options."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """Transforms applied one after another; travels to data workers by pickle.

    With `keep_label` the label stays as it was read, as evaluation wants it, which compares in the
    size of the original image.
    """

    transforms: tuple[Transform, ...]
    keep_label: bool = False

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        label = sample.label
        if self.keep_label:
            sample = replace(sample, label=None)
        for transform in self.transforms:
            sample = transform(sample, rng)
        return replace(sample, label=label) if self.keep_label else sample


def run_values(config: Config) -> RunValues:
    """Collect from `config` what transforms take over where their own option is null."""
    return RunValues(
        crop_size=config.train.crop_size,
        ignore_index=config.data.ignore_index,
        mean=config.data.mean,
        std=config.data.std,
    )


def build_transforms(
    components: Iterable[Component],
    values: RunValues,
    resolve: Callable[[str], Loadable],
    *,
    keep_label: bool = False,
) -> Pipeline:
    """Build the pipeline that `components` describe; `resolve` finds a transform by its name.

    Options that are null and have a home in the run take its value from `values`. Raises
    ConfigError for options that a transform refuses, and whatever `resolve` raises.
    """
    homes = {
        "crop_size": values.crop_size,
        "ignore_index": values.ignore_index,
        "label_padding_value": values.ignore_index,
        "mean": values.mean,
        "std": values.std,
    }
    built = (_build(component, homes, resolve(component.type)) for component in components)
    return Pipeline(tuple(built), keep_label)


def _build(component: Component, homes: Mapping[str, Any], spec: Loadable) -> Transform:
    target, model = spec.load_target(), spec.load_options()
    if model is None:
        if component.options:
            raise ConfigError(f"{component.type}: takes no options, got {component.options}")
        return cast("Transform", target())
    given = component.options
    filled = {
        name: homes[name]
        for name in model.model_fields
        if name in homes and given.get(name) is None
    }
    try:
        options = model.model_validate({**given, **filled})
    except ValidationError as error:
        problems = "; ".join(
            f"{component.type}.{'.'.join(map(str, p['loc']))}: {p['msg']} (got {p['input']!r})"
            for p in error.errors(include_url=False)
        )
        raise ConfigError(problems) from error
    # Built-in transforms are their own option models.
    transform = options if model is target else target(**dict(options))
    return cast("Transform", transform)
