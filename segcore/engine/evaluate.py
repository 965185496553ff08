"""Measure predictions over a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from segcore.tasks.sample import Sample

if TYPE_CHECKING:
    from segcore.protocols import InferenceSession
    from segcore.tasks.task import Task

__all__ = ["evaluate"]


def evaluate(
    session: InferenceSession, task: Task, batches: Iterable[Sequence[Sample]]
) -> dict[str, Any]:
    """Predict every sample and give the metrics that the configuration asks for, by name.

    Samples keep their labels in the size of the original image. Raises DataError when a sample
    has no label.
    """
    metrics = task.metrics()
    for samples in batches:
        for sample, prediction in zip(samples, task.infer(session, samples), strict=True):
            for metric in metrics:
                metric.update(prediction, sample.label)
    results: dict[str, Any] = {}
    for metric in metrics:
        results.update(metric.compute())
    return results
