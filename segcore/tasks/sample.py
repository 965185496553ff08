"""One image on its way through the data pipeline: NumPy only, so that workers stay small."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from segcore.tasks.instances import Instances

__all__ = ["Sample"]


@dataclass
class Sample:
    """An image with what is known of it: a label for its pixels, or the objects in it.

    `image` is (H, W, C) in RGB order, uint8 as read and float32 once normalised. `label` is (H, W)
    of integers, and `instances` are objects; each is None where there is none. `geometry` lists,
    oldest first, the size (H, W) that the image had before each change of size, as ("resize" |
    "padding", (H, W)), so that a prediction can be brought back; transforms that training alone
    uses do not record there.
    `source` says where the sample comes from, for messages; `warnings` are the codes of what was
    noticed while reading it (see `segcore.data.tally`).
    """

    image: np.ndarray
    label: np.ndarray | None = None
    index: int = 0
    source: str = ""
    geometry: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    instances: Instances | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image as it is now, in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])
