"""Open what was trained before."""

from __future__ import annotations

from pathlib import Path

from segcore.discovery.catalogue import get_catalogue
from segcore.errors import RequestError
from segcore.inference.source import find_model
from segcore.trainable.instance import InstanceModel
from segcore.trainable.model import TrainableModel
from segcore.trainable.semantic import SemanticModel

__all__ = ["load_model"]

_CLASSES: dict[str, type[TrainableModel]] = {
    "semantic": SemanticModel,
    "instance": InstanceModel,
}


def load_model(model_dir: str | Path, device: str = "auto") -> TrainableModel:
    """Open the folder of a run, or its best_model, as a model that measures and predicts.

    Semantic and instance models can be trained anew, with the same options. Raises SegcoreError.
    """
    found = find_model(Path(model_dir))
    config = found.source.config or found.config
    if config.data.num_classes is None:
        raise RequestError(
            f"{model_dir}: does not say how many classes {config.model.name} has; "
            "segcore.create_model opens it"
        )
    task = found.task or get_catalogue().models.find(config.model.name).spec.task
    kind = _CLASSES.get(task, TrainableModel)
    settings = {
        "model.options": config.model.options,
        "data.channels": config.data.channels,
        "data.ignore_index": config.data.ignore_index,
        "train.losses": [dict(term) for term in config.train.model_dump()["losses"]],
    }
    model = kind(config.model.name, config.data.num_classes, settings)
    model.device = device
    model.open(model_dir)
    return model
