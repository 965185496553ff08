"""What a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segcore.data.finding import Finding
from segcore.data.stats.record import DatasetStats

__all__ = ["Picture", "Report"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A sample to be shown, small: `image` is (H, W, 3) uint8, `label` its class map (H, W).

    `source` names the sample and `place` where it is listed, `notes` say why it is shown.
    `prediction` is a model's class map.
    """

    source: str
    place: str
    image: np.ndarray
    label: np.ndarray | None = None
    prediction: np.ndarray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that may be known of a dataset; what is not known has no section.

    `findings` is None where nobody checked, and empty where a check found nothing. `palette` is
    (classes, 3) uint8. `order` says which pictures come first. `void` is what pixels without a
    class are called.
    """

    dataset: str
    palette: np.ndarray
    class_names: tuple[str, ...] = ()
    ignore_index: int = 255
    stats: DatasetStats | None = None
    findings: Sequence[Finding] | None = None
    pictures: Sequence[Picture] = ()
    order: str = ""
    void: str = "ignored"
    notes: Sequence[str] = ()
