"""The class map of a sample, whether its label is one or a list of objects."""

from __future__ import annotations

import numpy as np

from segcore.errors import DataError
from segcore.tasks.instances import mask_rle
from segcore.tasks.rle import decode_mask
from segcore.tasks.sample import Sample

__all__ = ["class_map_of", "void_value"]


def void_value(num_classes: int, ignore_index: int) -> int:
    """Give the value of pixels without a class: a label's ignored value, which no class has."""
    return max(num_classes, ignore_index)


def class_map_of(sample: Sample, void: int) -> np.ndarray:
    """Give the class of each pixel, (H, W), and `void` where no object is.

    Smaller objects lie over larger ones. Raises DataError when nothing is known of the sample.
    """
    if sample.label is not None:
        return sample.label
    if sample.instances is None:
        raise DataError(f"{sample.source}: has neither a label nor objects.")
    painted = np.full(sample.size, void, np.int32)
    instances = sample.instances
    for number in np.argsort(-instances.areas, kind="stable"):
        mask = decode_mask(mask_rle(instances.masks[number], sample.size))
        painted[mask.astype(bool)] = instances.classes[number]
    return painted
