"""Models as objects that train, measure and predict: the Python face of PaddleX 1.x.

The classes of models come with their plugins (`from segcore_deeplab import DeepLabv3p`); this
package holds what they share, and the datasets and transforms that scripts give them. Names,
parameters and defaults are those of PaddleX 1.x; the work is done by the same engine as that of the
command line. `import segcore.trainable as pdx` lets scripts written for PaddleX run. Since 0.1.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore.trainable import datasets, det, seg, transforms
    from segcore.trainable.datasets import CocoDetection, SegDataset
    from segcore.trainable.instance import InstanceModel, InstancePrediction
    from segcore.trainable.load import load_model
    from segcore.trainable.model import (
        DefaultWeights,
        TrainableModel,
        TrainRequest,
        with_defaults,
    )
    from segcore.trainable.semantic import SemanticModel, SemanticPrediction, loss_settings

__all__ = [
    "CocoDetection",
    "DefaultWeights",
    "InstanceModel",
    "InstancePrediction",
    "SegDataset",
    "SemanticModel",
    "SemanticPrediction",
    "TrainRequest",
    "TrainableModel",
    "datasets",
    "det",
    "load_model",
    "loss_settings",
    "seg",
    "transforms",
    "with_defaults",
]

_HOMES = {
    "CocoDetection": "datasets",
    "DefaultWeights": "model",
    "InstanceModel": "instance",
    "InstancePrediction": "instance",
    "SegDataset": "datasets",
    "SemanticModel": "semantic",
    "SemanticPrediction": "semantic",
    "TrainRequest": "model",
    "TrainableModel": "model",
    "load_model": "load",
    "loss_settings": "semantic",
    "with_defaults": "model",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
