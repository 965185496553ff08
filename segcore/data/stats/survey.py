"""Read a whole dataset once, in parallel, and count what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

from segcore.config.schema import DataConfig
from segcore.data.classmap import void_value
from segcore.data.dataset import open_splits
from segcore.data.paths import printable
from segcore.data.pool import map_in_threads
from segcore.data.reader import load_sample
from segcore.data.stats.counter import SplitCounter
from segcore.data.stats.measure import TINY_AREA, Measurement, measure
from segcore.data.stats.record import DatasetStats
from segcore.errors import DataError
from segcore.protocols import Dataset

__all__ = ["Progress", "dataset_stats", "survey", "unseen"]

_PROBLEMS_KEPT = 20

_Item = TypeVar("_Item")


class Progress(Protocol):
    """What shows how far the work is: tqdm is one."""

    def __call__(self, items: Iterable[_Item], /, *, total: int) -> Iterable[_Item]: ...


def unseen(items: Iterable[_Item], /, *, total: int) -> Iterable[_Item]:  # noqa: ARG001
    """Show no progress."""
    return items


def dataset_stats(
    path: str | Path,
    *,
    config: DataConfig | None = None,
    splits: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress = unseen,
) -> DatasetStats:
    """Count what is in the dataset at `path`, reading every sample once. Since 0.1.

    `config` says how samples are read, as the section `data` of a configuration; `splits` names
    those to count, all that there are by default; `workers` is the number of threads. Samples that
    cannot be read are counted as such. Raises DataError where the dataset cannot be opened.
    """
    config = config or DataConfig()
    datasets = open_splits(Path(path), config, splits)
    return survey(Path(path), datasets, config, workers=workers, progress=progress)


def survey(
    path: Path,
    datasets: Mapping[str, Dataset],
    config: DataConfig,
    *,
    workers: int | None = None,
    progress: Progress = unseen,
    observe: Callable[[str, int, Measurement], object] | None = None,
) -> DatasetStats:
    """Count what is in `datasets`, the splits of the dataset at `path`, by name.

    `observe` is told the split, the index and the measurement of each sample, in order.
    """
    names = next(iter(datasets.values())).class_names
    counters = {split: SplitCounter(len(names)) for split in datasets}
    total = SplitCounter(len(names))
    problems: list[str] = []
    has_instances = False
    places = chain.from_iterable(
        ((split, index) for index in range(len(dataset))) for split, dataset in datasets.items()
    )
    void = void_value(len(names), config.ignore_index)
    work = partial(_measure, datasets, void)
    found = progress(map_in_threads(work, places, workers), total=sum(map(len, datasets.values())))
    for split, index, answer in found:
        both = (counters[split], total)
        if isinstance(answer, str):
            for counter in both:
                counter.unreadable += 1
            if len(problems) < _PROBLEMS_KEPT:
                problems.append(answer)
            continue
        for counter in both:
            counter.add(answer)
        has_instances = has_instances or answer.has_instances
        if observe is not None:
            observe(split, index, answer)
    return DatasetStats(
        path=printable(path),
        class_names=names,
        ignore_index=void,
        has_instances=has_instances,
        tiny_area=TINY_AREA,
        splits=tuple(counter.result(split, names) for split, counter in counters.items()),
        total=total.result("total", names),
        problems=tuple(problems),
    )


def _measure(
    datasets: Mapping[str, Dataset], void: int, place: tuple[str, int]
) -> tuple[str, int, Measurement | str]:
    split, index = place
    dataset = datasets[split]
    try:
        return split, index, measure(load_sample(dataset, index), void)
    except DataError as error:
        return split, index, str(error)
