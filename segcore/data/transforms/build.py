"""From the list of transforms in a configuration to the pipeline that samples go through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from segcore.config.shared import shared_values
from segcore.discovery.build import build_component

if TYPE_CHECKING:
    import numpy as np

    from segcore.config.schema import Component, Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Transform
    from segcore.tasks.sample import Sample

__all__ = ["Pipeline", "build_transforms"]


@dataclass(frozen=True)
class Pipeline:
    """Transforms applied one after another; travels to data workers by pickle.

    With `keep_label` the label and the objects stay as they were read, as evaluation wants them,
    which compares in the size of the original image.
    """

    transforms: tuple[Transform, ...]
    keep_label: bool = False

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        label, instances = sample.label, sample.instances
        if self.keep_label:
            sample = replace(sample, label=None, instances=None)
        for transform in self.transforms:
            sample = transform(sample, rng)
        if self.keep_label:
            return replace(sample, label=label, instances=instances)
        return sample


def build_transforms(
    components: Iterable[Component],
    config: Config,
    catalogue: Catalogue,
    *,
    keep_label: bool = False,
) -> Pipeline:
    """Build the pipeline that `components` describe, as a run with `config` has it.

    Options that are null take the value of the run (see `segcore.config.shared`). Raises
    ConfigError for options that a transform refuses, UnknownNameError for a name of none.
    """
    shared = shared_values(config)
    built = (
        build_component(catalogue.transforms.find(component.type), component.options, shared)
        for component in components
    )
    return Pipeline(tuple(built), keep_label)
