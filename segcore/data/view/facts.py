"""A few numbers of every sample, in columns: some hundred bytes a sample, whatever its size."""

from __future__ import annotations

from array import array

import numpy as np

from segcore.data.stats.measure import Measurement

__all__ = ["FactTable"]


class FactTable:
    """The facts of samples, in the order in which they were added.

    `places` are their splits and indices. The columns are arrays of one number a sample; `classes`
    gives the classes present in one.
    """

    def __init__(self) -> None:
        self.places: list[tuple[str, int]] = []
        self._classes: list[bytes] = []
        self._columns: dict[str, array[float]] = {}

    def __len__(self) -> int:
        return len(self.places)

    def add(self, split: str, index: int, found: Measurement) -> None:
        """Add the facts of a sample."""
        self.places.append((split, index))
        self._classes.append(found.classes.astype(np.uint16).tobytes())
        numbers = {
            "area": found.area,
            "aspect": found.width / found.height,
            "brightness": found.brightness,
            "contrast": found.contrast,
            "ignored": 0.0 if found.has_instances else found.ignored_pixels / found.area,
            "objects": sum(areas.size for areas in found.object_areas),
            "tiny": found.tiny_objects,
            "edges": np.nan if found.edge_contrast is None else found.edge_contrast,
        }
        for name, value in numbers.items():
            self._columns.setdefault(name, array("d")).append(value)

    def column(self, name: str) -> np.ndarray:
        """Give one number of every sample, (N,) float64; NaN where it has none."""
        return np.array(self._columns.get(name, ()), np.float64)

    def classes(self, position: int) -> np.ndarray:
        """Give the classes of a sample, in order."""
        return np.frombuffer(self._classes[position], np.uint16)
