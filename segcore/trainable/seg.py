"""`paddlex.seg` for scripts that were written for PaddleX 1.x: transforms, `visualize`, models.

The classes are those that the installed plugins offer: `seg.DeepLabv3p` is that of segcore-deeplab.
"""

from __future__ import annotations

from segcore.trainable import transforms
from segcore.trainable.classes import find_class
from segcore.trainable.model import TrainableModel
from segcore.trainable.semantic import SemanticModel
from segcore.trainable.visualize import visualize

__all__ = ["transforms", "visualize"]

_KNOWN = (
    "DeepLabv3p comes with segcore-deeplab, UNet with segcore-unet, HRNet with segcore-hrnet, "
    "FastSCNN with segcore-fastscnn"
)


def __getattr__(name: str) -> type[TrainableModel]:
    return find_class(name, SemanticModel, _KNOWN)
