"""Options of the semantic metrics, apart from the metrics so that reading them imports no NumPy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from segcore.config.schema import Section

__all__ = ["Convention", "SegmentationMetricsOptions"]

Convention = Literal["present", "paddleseg", "paddlex1"]


class SegmentationMetricsOptions(Section):
    """Options of `segcore.tasks.metrics.SegmentationMetrics`."""

    convention: Convention | None = Field(
        None, description="What an undefined value of a class counts; null is eval.convention"
    )
