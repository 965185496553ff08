"""`paddlex.seg` for scripts that were written for PaddleX 1.x: transforms, `visualize`, models.

The classes are those that the installed plugins offer: `seg.DeepLabv3p` is that of segcore-deeplab.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from segcore.discovery.catalogue import get_catalogue
from segcore.trainable import transforms
from segcore.trainable.model import TrainableModel
from segcore.trainable.visualize import visualize

__all__ = ["transforms", "visualize"]


def __getattr__(name: str) -> Any:
    for plugin in get_catalogue().plugins:
        package = plugin.found.value.partition(":")[0].partition(".")[0]
        if name.startswith("_") or plugin.status != "ok" or package == "segcore":
            continue
        found = getattr(import_module(package), name, None)
        if isinstance(found, type) and issubclass(found, TrainableModel):
            return found
    raise AttributeError(
        f"no installed plugin offers a class of models {name!r}; DeepLabv3p comes with "
        "segcore-deeplab, UNet with segcore-unet, HRNet with segcore-hrnet, FastSCNN with "
        "segcore-fastscnn"
    )
