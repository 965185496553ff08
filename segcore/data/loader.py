"""Batches of a data set, read in this process or in workers ahead of time.

The batches are the same, bit for bit, for any number of workers. Workers last from epoch to epoch.
"""

from __future__ import annotations

import errno
import logging
import resource
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from segcore.data.reader import Answer, Job, OnBadSample, Reader
from segcore.data.worker_process import WorkerProcess
from segcore.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Self

    from segcore.data.sampler import Sampler
    from segcore.protocols import Dataset, Transform
    from segcore.tasks.sample import Sample

__all__ = ["Loader"]

log = logging.getLogger(__name__)

MAX_SKIPPED = 100
"""Unreadable samples above which a run fails even with `on_bad_sample` "skip" ..."""
MAX_SKIPPED_SHARE = 0.01
"""... and their share of the data set, above which it does."""


class Loader:
    """Read `dataset` in the order of `sampler`, through `pipeline` and `collate`, into batches.

    All four travel to the workers by pickle, and must not import paddle. Each worker reads up to
    `prefetch` batches ahead; with `continuous`, as training wants it, also across the end of an
    epoch. `skipped` holds the fault of each sample that `on_bad_sample` "skip" has replaced, by
    index. Close it, or use it as a context manager, to end the workers.
    """

    def __init__(
        self,
        dataset: Dataset,
        pipeline: Transform,
        sampler: Sampler,
        collate: Callable[[list[Sample]], Any],
        *,
        num_workers: int = 0,
        timeout_s: float = 120.0,
        on_bad_sample: OnBadSample = "fail",
        prefetch: int = 2,
        continuous: bool = False,
    ) -> None:
        self.sampler = sampler
        self.skipped: dict[int, str] = {}
        self._reader = Reader(dataset, pipeline, collate, sampler.seed, on_bad_sample)
        self._num_workers = num_workers
        self._timeout_s = timeout_s
        self._prefetch = prefetch
        self._continuous = continuous
        self._workers: list[WorkerProcess] = []
        self._jobs: Iterator[Job] = iter(())
        self._pending: deque[tuple[int, Job]] = deque()
        self._ticket = 0
        self._position: tuple[int, int] | None = None
        self._finalizer = weakref.finalize(self, _end, self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return self.sampler.batches_per_epoch

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The numbers of the worker processes that run."""
        return tuple(worker.pid for worker in self._workers)

    def close(self) -> None:
        """End the workers; the next epoch would start new ones."""
        _end(self._workers)
        self._position = None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of `epoch` from number `start` on.

        Raises DataError and its kin for samples, naming them, and WorkerError for workers.
        """
        if self._position != (epoch, start):
            self._restart(epoch, start)
        for cursor in range(start, len(self)):
            try:
                answer = self._next()
                self._count_skipped(answer)
            except BaseException:
                self._position = None  # what is on its way now belongs to no epoch
                raise
            self._position = epoch, cursor + 1
            if cursor + 1 == len(self):
                self._position = (epoch + 1, 0) if self._continuous else None
            yield answer.batch

    def _restart(self, epoch: int, start: int) -> None:
        self._start_workers()
        self._pending.clear()
        self._jobs = self._all_jobs(epoch, start)
        self._submit_ahead()

    def _all_jobs(self, epoch: int, start: int) -> Iterator[Job]:
        """Yield the jobs of `epoch` from `start` on, and, when continuous, of all that follow."""
        while True:
            spares = self._spares(epoch)
            for cursor, indices in enumerate(self.sampler.batches(epoch, start), start):
                yield Job(epoch, tuple(indices.tolist()), spares(cursor))
            if not self._continuous:
                return
            epoch, start = epoch + 1, 0

    def _spares(self, epoch: int) -> Callable[[int], tuple[int, ...]]:
        """Give what lists the indices that follow a batch, round the end: the next in order."""
        if self._reader.on_bad_sample == "fail":
            return lambda _: ()
        own = self.sampler.own(epoch)
        count = min(MAX_SKIPPED, len(own))

        def spares(cursor: int) -> tuple[int, ...]:
            first = (cursor + 1) * self.sampler.batch_size
            return tuple(own.take(range(first, first + count), mode="wrap").tolist())

        return spares

    def _next(self) -> Answer:
        if not self._workers:
            return self._reader.read(next(self._jobs))
        ticket, _ = self._pending.popleft()
        answer = self._workers[ticket % len(self._workers)].receive(ticket)
        self._submit_ahead()
        return answer

    def _submit_ahead(self) -> None:
        """Keep each worker busy with `prefetch` batches; batches go round the workers in turn."""
        while len(self._pending) < self._prefetch * len(self._workers):
            job = next(self._jobs, None)
            if job is None:
                return
            self._workers[self._ticket % len(self._workers)].submit(self._ticket, job)
            self._pending.append((self._ticket, job))
            self._ticket += 1

    def _start_workers(self) -> None:
        """Start the workers, as many as the machine lets us."""
        if self._workers:
            return
        for number in range(self._num_workers):
            try:
                worker = WorkerProcess(number, self._reader, self._timeout_s)
            except OSError as error:
                log.warning(
                    "only %d of %d data workers could be started (%s; %s); reading goes on with "
                    "%s. Raise the limit or set train.num_workers.",
                    *(number, self._num_workers, error.strerror, _limit(error)),
                    "these" if number else "none, in the main process",
                )
                return
            self._workers.append(worker)

    def _count_skipped(self, answer: Answer) -> None:
        for index, fault in answer.skipped:
            if index not in self.skipped:
                self.skipped[index] = fault
                log.warning("skipped: %s", fault)
        count, total = len(self.skipped), self.sampler.length
        if count > MAX_SKIPPED or count > MAX_SKIPPED_SHARE * total:
            raise DataError(
                f"{count} of {total} samples cannot be read, which is more than "
                f"data.on_bad_sample=skip lets pass ({MAX_SKIPPED_SHARE:.0%} or {MAX_SKIPPED}); "
                f"the first: {next(iter(self.skipped.values()))}"
            )


def _end(workers: list[WorkerProcess]) -> None:
    for worker in workers:  # all at once, so that waiting for one is waiting for all
        worker.hang_up()
    while workers:
        workers.pop().close()


def _limit(error: OSError) -> str:
    """Name the limit that kept a process from being started."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"limit of open files: {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} (ulimit -n)"
    if error.errno == errno.EAGAIN:
        return f"limit of processes: {resource.getrlimit(resource.RLIMIT_NPROC)[0]} (ulimit -u)"
    if error.errno == errno.ENOMEM:
        return "no memory left for another process"
    return f"errno {error.errno}"
