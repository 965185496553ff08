"""The order of samples: a function of (seed, epoch) alone, so that a run repeats itself anywhere.

Nothing is stored between batches. Where a run stands is the pair (epoch, cursor), the cursor
counting batches of the epoch, and for training it follows from the number of finished steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segcore.errors import DataError

__all__ = ["Sampler"]


@dataclass(frozen=True)
class Sampler:
    """Batches of sample indices out of `length` samples, `batch_size` for each of `world` devices.

    `rank` says which device this process feeds. A step takes a run of `world * batch_size` samples
    of the order, so the ranks together see what a single device with that batch would. With
    `drop_last` an epoch leaves out what does not fill a step (a batch of one upsets batch norm);
    without, as in evaluation, the last batch is smaller, and each rank takes every `world`-th
    sample. Raises DataError when there is not a single batch.
    """

    length: int
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = True
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.length == 0:
            raise DataError("the list of samples is empty: nothing to read")
        if self.batches_per_epoch == 0:
            raise DataError(
                f"{self.length} samples do not fill one batch: {self.batch_size} samples x "
                f"{self.world} devices = {self.batch_size * self.world}, so an epoch would have "
                f"{self.length} // {self.batch_size * self.world} = 0 iterations; "
                f"{self._remedy()}"
            )

    def _remedy(self) -> str:
        if self.length < self.world:
            return f"add samples or use at most {self.length} devices"
        return f"add samples or set train.batch_size to at most {self.length // self.world}"

    @property
    def batches_per_epoch(self) -> int:
        """Count the batches of an epoch, at this rank."""
        if self.drop_last:
            return self.length // (self.batch_size * self.world)
        own = len(range(self.rank, self.length, self.world))
        return -(-own // self.batch_size)

    def position(self, step: int) -> tuple[int, int]:
        """Give (epoch, cursor) after `step` finished batches since the start of the run."""
        return divmod(step, self.batches_per_epoch)

    def order(self, epoch: int) -> np.ndarray:
        """Give all sample indices in the order of `epoch`, the same at every rank."""
        if not self.shuffle:
            return np.arange(self.length)
        return np.random.default_rng([self.seed, epoch]).permutation(self.length)

    def own(self, epoch: int) -> np.ndarray:
        """Give the sample indices of `epoch` that this rank reads, in order."""
        order = self.order(epoch)
        if not self.drop_last:
            return order[self.rank :: self.world]
        steps = order[: self.batches_per_epoch * self.world * self.batch_size]
        return steps.reshape(-1, self.world, self.batch_size)[:, self.rank].reshape(-1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[np.ndarray]:
        """Yield the index batches of `epoch` from cursor `start` on. Raises DataError beyond it."""
        if not 0 <= start <= self.batches_per_epoch:
            raise DataError(
                f"batch {start} of epoch {epoch} does not exist: an epoch of {self.length} samples "
                f"has {self.batches_per_epoch} batches; was the run begun with other data?"
            )
        own = self.own(epoch)
        for first in range(start * self.batch_size, len(own), self.batch_size):
            yield own[first : first + self.batch_size]
