"""The class map of a sample, whatever its labels are."""

from __future__ import annotations

import numpy as np

from segcore.errors import DataError
from segcore.tasks.sample import Sample

__all__ = ["class_map_of"]


def class_map_of(sample: Sample) -> np.ndarray:
    """Give the class of each pixel, (H, W). Raises DataError when the sample has no label."""
    if sample.label is None:
        raise DataError(f"{sample.source}: has no label.")
    return sample.label
