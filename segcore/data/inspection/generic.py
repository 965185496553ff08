"""Inspect datasets of layouts that have no inspection of their own, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain

from segcore.data.inspection.census import Census, SplitCensus
from segcore.data.inspection.collector import Collector
from segcore.data.pool import map_in_threads
from segcore.data.stats.survey import Progress
from segcore.errors import DataError
from segcore.protocols import Dataset

__all__ = ["inspect_samples"]


def inspect_samples(
    datasets: Mapping[str, Dataset],
    collector: Collector,
    *,
    workers: int | None,
    progress: Progress,
) -> Census:
    """Let each dataset `check` its samples; those that cannot are taken as they are."""
    able = {name: dataset for name, dataset in datasets.items() if hasattr(dataset, "check")}
    places = chain.from_iterable(
        ((name, index) for index in range(len(dataset))) for name, dataset in able.items()
    )
    work = partial(_check, able)
    total = sum(map(len, able.values()))
    for (name, index), error in progress(map_in_threads(work, places, workers), total=total):
        if error is not None:
            where = able[name].describe(index)
            collector.add(error.kind or "unusable", where, str(error), split=name)
    censuses = tuple(SplitCensus(name, len(dataset)) for name, dataset in datasets.items())
    names = next((dataset.class_names for dataset in datasets.values()), ())
    return Census("Dataset", censuses, names)


def _check(
    datasets: Mapping[str, Dataset], place: tuple[str, int]
) -> tuple[tuple[str, int], DataError | None]:
    name, index = place
    try:
        datasets[name].check(index)  # type: ignore[attr-defined]
    except DataError as error:
        return place, error
    return place, None
