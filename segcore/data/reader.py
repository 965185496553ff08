"""Read one batch: the same code in the process of the loop and in data workers.

A sample's randomness comes from (seed, epoch, index) alone, so who reads it makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segcore.errors import DataError, ExhaustedError, SegcoreError
from segcore.protocols import Dataset, Transform
from segcore.tasks.sample import Sample

__all__ = ["Answer", "Job", "OnBadSample", "Reader", "load_sample"]

OnBadSample = Literal["fail", "skip"]


@dataclass(frozen=True)
class Job:
    """The indices of the samples of one batch, and of those that may replace unreadable ones."""

    epoch: int
    indices: tuple[int, ...]
    spares: tuple[int, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A batch, and the index and the fault of each sample that was skipped for it."""

    batch: Any
    skipped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Reader:
    """What it takes to read batches; travels to workers by pickle.

    `collate` joins samples to a batch. With `on_bad_sample` "skip", an unreadable sample is
    replaced by the next readable spare of the job.
    """

    dataset: Dataset
    pipeline: Transform
    collate: Callable[[list[Sample]], Any]
    seed: int
    on_bad_sample: OnBadSample = "fail"

    def read(self, job: Job, reading: Callable[[int], None] = lambda _: None) -> Answer:
        """Read the batch of `job`; `reading` is told the index of each sample before it is read.

        Raises the SegcoreError of what went wrong; errors of other kinds, which plugins may raise,
        become DataError.
        """
        samples: list[Sample] = []
        skipped: list[tuple[int, str]] = []
        spares = iter(job.spares)
        for planned in job.indices:
            index = planned
            while True:
                reading(index)
                try:
                    sample = load_sample(self.dataset, index)
                except DataError as error:
                    skipped.append((index, str(error)))
                    replacement = next(spares, None)
                    if self.on_bad_sample == "fail" or replacement is None:
                        raise
                    index = replacement
                else:
                    break
            samples.append(self._transform(sample, job.epoch, index))
        return Answer(self._collate(samples), tuple(skipped))

    def _transform(self, sample: Sample, epoch: int, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, epoch, index])
        try:
            return self.pipeline(sample, rng)
        except SegcoreError:
            raise
        except MemoryError as error:
            raise _exhausted(self.dataset.describe(index)) from error
        except Exception as error:  # plugin boundary: transforms may raise anything
            raise _fault(self.dataset.describe(index), "transforming it", error) from error

    def _collate(self, samples: Sequence[Sample]) -> Any:
        try:
            return self.collate(list(samples))
        except MemoryError as error:
            raise _exhausted(f"a batch of {len(samples)} samples") from error


def load_sample(dataset: Dataset, index: int) -> Sample:
    """Read sample `index`, whatever the dataset raises.

    Raises the SegcoreError of what went wrong, DataError for errors of other kinds, and
    ExhaustedError where memory runs out.
    """
    try:
        return dataset.load(index)
    except SegcoreError:
        raise
    except MemoryError as error:
        raise _exhausted(dataset.describe(index)) from error
    except Exception as error:  # plugin boundary: datasets may raise anything
        raise _fault(dataset.describe(index), "reading it", error) from error


def _exhausted(what: str) -> ExhaustedError:
    return ExhaustedError(
        f"{what}: out of memory while reading; lower train.num_workers, train.batch_size or "
        "data.max_pixels"
    )


def _fault(where: str, doing: str, error: Exception) -> DataError:
    return DataError(
        f"{where}: {type(error).__name__} while {doing}: {error}; mend the file, or the plugin "
        "that the traceback (--debug) shows"
    )
