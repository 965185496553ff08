"""Metrics of semantic tasks, all derived from one confusion matrix.

`DEFINITIONS` says what each value means; the same sentences go into evaluate_result.json. Class
values that are 0/0 (a class absent from labels, predictions, or both) follow a convention:

    present    left out of the means, null by class (the default)
    paddleseg  IoU counts as 1, everything else as 0, as PaddleSeg does
    paddlex1   everything counts as 0, as PaddleX 1.x does
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from segcore.errors import ConfigError
from segcore.tasks.confusion import ConfusionMatrix
from segcore.tasks.metric_options import Convention

__all__ = ["DEFINITIONS", "ConfusionMatrix", "SegmentationMetrics"]

DEFINITIONS: Mapping[str, str] = {
    "miou": "mean of category_iou",
    "oacc": "correct pixels over all counted pixels",
    "macc": "mean of category_acc",
    "mprecision": "mean of category_precision",
    "mf1": "mean of category_f1",
    "mdice": "mean of category_dice",
    "kappa": "Cohen's kappa: (oacc - chance) / (1 - chance)",
    "category_iou": "correct pixels of the class over pixels labelled or predicted as it",
    "category_acc": "recall: correct pixels of the class over pixels labelled as it",
    "category_precision": "correct pixels of the class over pixels predicted as it",
    "category_recall": "the same as category_acc",
    "category_f1": "harmonic mean of precision and recall of the class",
    "category_dice": "twice the correct pixels over pixels labelled plus pixels predicted as it",
    "confusion_matrix": "pixels by label (row) and prediction (column)",
}


class SegmentationMetrics:
    """Measure class maps against labels: `segcore.protocols.Metric` for semantic tasks."""

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = 255,
        class_names: Sequence[str] = (),
        *,
        convention: Convention | None = None,
    ) -> None:
        self.convention: Convention = "present" if convention is None else convention
        if self.convention not in get_args(Convention):
            allowed = ", ".join(repr(name) for name in get_args(Convention))
            raise ConfigError(f"eval.convention = {convention!r}: must be one of {allowed}")
        self.class_names = tuple(class_names)
        self.confusion = ConfusionMatrix(num_classes, ignore_index)

    def update(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Count one image or batch; both are class maps of one shape. Raises DataError."""
        self.confusion.update(prediction, label)

    def compute(self) -> dict[str, Any]:
        """Give every value of `DEFINITIONS`, ready for JSON: null where one is undefined.

        Besides: `convention`, `class_names`, `pixels` counted, `ignored_pixels` and `definitions`.
        """
        counts = self.confusion.counts
        labelled, predicted, correct = counts.sum(axis=1), counts.sum(axis=0), np.diagonal(counts)
        total = int(counts.sum())
        recall = self._by_class(correct, labelled)
        dice = self._by_class(2 * correct, labelled + predicted)
        by_class = {
            "iou": self._by_class(correct, labelled + predicted - correct, absent_iou=True),
            "acc": recall,
            "precision": self._by_class(correct, predicted),
            "recall": recall,
            # 2PR / (P + R) reduces to the Dice coefficient, also where P or R alone is 0/0
            "f1": dice,
            "dice": dice,
        }
        return {
            "miou": _mean(by_class["iou"]),
            "oacc": int(correct.sum()) / total if total else None,
            "macc": _mean(recall),
            "mprecision": _mean(by_class["precision"]),
            "mf1": _mean(dice),
            "mdice": _mean(dice),
            "kappa": _kappa(correct, labelled, predicted, total),
            **{f"category_{name}": _listed(values) for name, values in by_class.items()},
            "confusion_matrix": counts.tolist(),
            "convention": self.convention,
            "class_names": list(self.class_names),
            "pixels": total,
            "ignored_pixels": self.confusion.ignored,
            "definitions": dict(DEFINITIONS),
        }

    def _by_class(
        self, part: np.ndarray, whole: np.ndarray, *, absent_iou: bool = False
    ) -> np.ndarray:
        """Divide by class, (C,) of float64; 0/0 is what the convention says, NaN for none."""
        absent = {"present": np.nan, "paddleseg": float(absent_iou), "paddlex1": 0.0}
        ratio = np.full(part.shape, absent[self.convention])
        np.divide(part, whole, out=ratio, where=whole > 0)
        return ratio


def _mean(values: np.ndarray) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _kappa(
    correct: np.ndarray, labelled: np.ndarray, predicted: np.ndarray, total: int
) -> float | None:
    """Give Cohen's kappa ("A Coefficient of Agreement for Nominal Scales", 1960)."""
    if not total:
        return None
    # float before the product: pixel counts squared leave int64 after a few thousand images
    chance = float(np.dot(labelled / total, predicted / total))
    if chance >= 1:
        return None
    return (int(correct.sum()) / total - chance) / (1 - chance)
