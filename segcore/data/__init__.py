"""Datasets: lists, images, labels, transforms, sampling and loading. Never imports paddle.

What the commands of `segcore data` do is here as functions, each imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore.data.fix import fix_dataset
    from segcore.data.split import split_dataset

__all__ = ["fix_dataset", "split_dataset"]

_HOMES = {
    "fix_dataset": "segcore.data.fix",
    "split_dataset": "segcore.data.split",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'segcore.data' has no attribute {name!r}")
