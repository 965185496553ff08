"""Which distribution each part of a training comes from, and the versions that its bits hang on."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore import __version__
from segcore.data.dataset import find_format_entry
from segcore.discovery.build import validate_options
from segcore.errors import DataError
from segcore.filesystem import is_file, is_folder

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.devices.select import DeviceChoice
    from segcore.discovery.catalogue import Catalogue, Entry
    from segcore.protocols import Dataset
    from segcore.specs import ModelSpec

__all__ = ["Provenance", "thread_counts"]


class Provenance:
    """Where the components that `config` names come from.

    `components` maps kinds and names to distributions, `versions` distributions to versions.
    """

    def __init__(
        self,
        config: Config,
        entry: Entry[ModelSpec],
        datasets: Mapping[str, Dataset],
        choice: DeviceChoice,
        catalogue: Catalogue,
    ) -> None:
        entries = [entry, *_entries(config, entry, choice, catalogue)]
        self.components = {f"{e.spec.kind} {e.name}": e.plugin.distribution for e in entries}
        self.versions = {e.plugin.distribution: e.plugin.version for e in entries}
        self.versions |= {"segcore": __version__, **_library_versions()}
        plugins = {_package(plugin.found.value): plugin for plugin in catalogue.plugins}
        for split, dataset in datasets.items():
            kind = type(dataset)
            plugin = plugins.get(_package(kind.__module__))
            if plugin is None:  # a class of the program that trains
                self.components[f"dataset {split}"] = f"{kind.__module__}.{kind.__qualname__}"
            else:
                self.components[f"dataset {split}"] = plugin.distribution
                self.versions[plugin.distribution] = plugin.version


def _entries(
    config: Config, entry: Entry[ModelSpec], choice: DeviceChoice, catalogue: Catalogue
) -> Iterator[Entry[Any]]:
    """Yield the components that a training by `config` uses, besides the model."""
    yield catalogue.tasks.find(entry.spec.task)
    yield catalogue.devices.find(choice.kind)
    backbone = getattr(validate_options(entry, config.model.options), "backbone", None)
    if isinstance(backbone, str) and backbone in catalogue.backbones:
        yield catalogue.backbones.find(backbone)
    used = (
        (catalogue.losses, config.train.losses),
        (catalogue.metrics, config.eval.metrics),
        (catalogue.transforms, (*config.train.transforms, *config.eval.transforms)),
        (catalogue.observers, config.train.observers),
    )
    for registry, components in used:
        for component in components:
            yield registry.find(component.type)
            for name in _nested(component.options):
                if name in registry:
                    yield registry.find(name)
    if config.data.path is not None and is_folder(config.data.path):
        with contextlib.suppress(DataError):  # the datasets are objects, from anywhere
            yield find_format_entry(config, Path(config.data.path), catalogue, entry.spec.task)[0]


def _package(module: str) -> str:
    return module.partition(":")[0].partition(".")[0]


def _nested(value: Any) -> Iterator[str]:
    """Yield the names of the components that options hold, such as the terms of a mixed loss."""
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str):
            yield value["type"]
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _nested(item)


def _library_versions() -> dict[str, str]:
    """Return the versions of what computes: the minor ones, which are what changes bits."""
    import cv2
    import numpy as np
    import paddle
    import PIL

    found = {"paddle": paddle, "numpy": np, "opencv": cv2, "pillow": PIL}
    return {name: ".".join(module.__version__.split(".")[:2]) for name, module in found.items()}


def thread_counts() -> dict[str, int]:
    """Return how many threads compute within an operation, which decides the order of sums.

    Paddle's OpenMP is asked where it is Intel's; elsewhere the variable counts, as Paddle left it.
    """
    import paddle

    flag = "FLAGS_paddle_num_threads"
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    library = Path(paddle.__file__).parent / "libs" / "libiomp5.so"
    if is_file(library):
        threads = int(ctypes.CDLL(str(library)).omp_get_max_threads())
    return {"OMP_NUM_THREADS": threads, flag: int(paddle.get_flags([flag])[flag])}
