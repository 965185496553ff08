"""`paddlex.det` for scripts that train Mask R-CNN: transforms, `visualize`, models.

The classes are those that the installed plugins offer: `det.MaskRCNN` is that of segcore-maskrcnn.
"""

from __future__ import annotations

from segcore.trainable import det_transforms as transforms
from segcore.trainable.classes import find_class
from segcore.trainable.instance import InstanceModel
from segcore.trainable.model import TrainableModel
from segcore.trainable.visualize import visualize_detection as visualize

__all__ = ["transforms", "visualize"]


def __getattr__(name: str) -> type[TrainableModel]:
    return find_class(name, InstanceModel, "MaskRCNN comes with segcore-maskrcnn")
