"""Datasets: lists, images, labels, transforms, sampling and loading. Never imports paddle.

The names below are the Python face of `segcore data`; each is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore.data.check import check_dataset
    from segcore.data.cocodataset import CocoDataset
    from segcore.data.convert.run import convert_dataset
    from segcore.data.demo import draw_dataset
    from segcore.data.fix import fix_dataset
    from segcore.data.report.dataset import report_dataset
    from segcore.data.segdataset import SegDataset
    from segcore.data.split import split_dataset
    from segcore.data.stats.survey import dataset_stats
    from segcore.data.view.look import look_at
    from segcore.data.view.sheet import write_sheets

__all__ = [
    "CocoDataset",
    "SegDataset",
    "check_dataset",
    "convert_dataset",
    "dataset_stats",
    "draw_dataset",
    "fix_dataset",
    "look_at",
    "report_dataset",
    "split_dataset",
    "write_sheets",
]

_HOMES = {
    "CocoDataset": "segcore.data.cocodataset",
    "SegDataset": "segcore.data.segdataset",
    "check_dataset": "segcore.data.check",
    "convert_dataset": "segcore.data.convert.run",
    "dataset_stats": "segcore.data.stats.survey",
    "draw_dataset": "segcore.data.demo",
    "fix_dataset": "segcore.data.fix",
    "look_at": "segcore.data.view.look",
    "report_dataset": "segcore.data.report.dataset",
    "split_dataset": "segcore.data.split",
    "write_sheets": "segcore.data.view.sheet",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'segcore.data' has no attribute {name!r}")
