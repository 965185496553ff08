"""Image segmentation on PaddlePaddle where you install only the models that you need.

Importing this package costs milliseconds; Paddle is imported when a model is built or run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore.discovery.models import list_models
    from segcore.inference.create import create_model
    from segcore.nn.build import build_model

__version__ = "0.1.0"

__all__ = ["__version__", "build_model", "create_model", "list_models"]

_HOMES = {
    "build_model": "segcore.nn.build",
    "create_model": "segcore.inference.create",
    "list_models": "segcore.discovery.models",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'segcore' has no attribute {name!r}")
