"""Read a dataset, and choose the samples to look at."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.class_names import compare_class_names
from segcore.data.classmap import class_map_of, void_value
from segcore.data.dataset import open_splits
from segcore.data.finding import Finding
from segcore.data.palette import class_palette, voc_palette
from segcore.data.paths import printable
from segcore.data.pool import map_in_threads
from segcore.data.reader import load_sample
from segcore.data.report.record import Picture, Report
from segcore.data.stats.record import DatasetStats
from segcore.data.stats.survey import Progress, survey, unseen
from segcore.data.view.agreement import image_iou
from segcore.data.view.facts import FactTable
from segcore.data.view.oddness import Oddness, judge_oddness
from segcore.data.view.picture import make_picture
from segcore.errors import DataError, RequestError
from segcore.protocols import Dataset
from segcore.tasks.sample import Sample

__all__ = ["View", "find_class", "look_at"]

PICTURE_PX = 320
Predict: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Give the classes (H, W) of an image (H, W, C) uint8."""

_ODDEST = "The oddest samples come first; below each stands what sets it apart."
_WORST = "What the model gets most wrong comes first, by mean IoU: the label, then the prediction."


@dataclass(frozen=True)
class View:
    """A dataset as it is shown: the numbers, and the chosen samples in order.

    `scores` are what the order follows, one a picture; `order` says what it is. `palette` is
    (classes, 3) uint8. `warning` says which classes the model knows by other names, if any.
    """

    stats: DatasetStats
    palette: np.ndarray
    pictures: tuple[Picture, ...]
    scores: tuple[float, ...]
    order: str = _ODDEST
    warning: str | None = None

    @property
    def void(self) -> str:
        """What pixels without a class are called."""
        return "no object" if self.stats.has_instances else "ignored"

    def report(self, findings: Sequence[Finding] | None = None, most: int = 200) -> Report:
        """Give a report with the first `most` pictures, so that a mail can carry it."""
        cut = f" These are the first {most}." if len(self.pictures) > most else ""
        return Report(
            dataset=self.stats.path,
            palette=self.palette,
            class_names=self.stats.class_names,
            ignore_index=self.stats.ignore_index,
            stats=self.stats,
            findings=findings,
            pictures=self.pictures[:most],
            order=self.order + cut,
            void=self.void,
        )


def look_at(
    path: str | Path,
    *,
    limit: int = 24,
    class_name: str | None = None,
    predict: Predict | None = None,
    known_classes: Sequence[str] = (),
    config: DataConfig | None = None,
    splits: Sequence[str] | None = None,
    workers: int | None = None,
    side: int = PICTURE_PX,
    progress: Progress = unseen,
) -> View:
    """Read the dataset at `path` once, and show its `limit` oddest samples. Since 0.1.

    With `predict`, the samples that it gets most wrong are shown instead, which takes a prediction
    for every sample; `known_classes` are the names of its classes. With `class_name`, only samples
    that have the class are looked at. `side` is the size of pictures in pixels. The rest is as in
    `segcore.data.dataset_stats`. Raises RequestError for an unknown class, and DataError where the
    dataset cannot be opened, or has the classes of the model in another order.
    """
    config = config or DataConfig()
    datasets = open_splits(Path(path), config, splits)
    names = next(iter(datasets.values())).class_names
    warning = compare_class_names(known_classes, names, printable(path))
    wanted = None if class_name is None else find_class(class_name, names)
    facts = FactTable()
    stats = survey(
        Path(path), datasets, config, workers=workers, progress=progress, observe=facts.add
    )
    void = void_value(len(names), config.ignore_index)
    chooser = _Chooser(datasets, void, facts, judge_oddness(facts, names), side, workers)
    positions = [
        position
        for position in range(len(facts))
        if wanted is None or wanted in facts.classes(position)
    ]
    if predict is None:
        chosen = chooser.oddest(positions, limit)
    else:
        chosen = chooser.worst(positions, limit, predict, progress)
    return View(
        stats=stats,
        palette=_palette(datasets, config, stats),
        pictures=tuple(picture for _, picture in chosen),
        scores=tuple(round(score, 4) for score, _ in chosen),
        order=_ODDEST if predict is None else _WORST,
        warning=warning,
    )


@dataclass(frozen=True)
class _Chooser:
    """Choose among samples, by position in `facts`, and show those chosen, each with its score."""

    datasets: Mapping[str, Dataset]
    void: int
    facts: FactTable
    oddness: Oddness
    side: int
    workers: int | None

    def oddest(self, positions: Iterable[int], limit: int) -> list[tuple[float, Picture]]:
        scores = self.oddness.scores
        order = sorted(positions, key=lambda position: (-scores[position], position))[:limit]

        def show(position: int) -> tuple[float, Picture]:
            sample = self._load(position)
            reasons = self.oddness.reasons(position)
            return float(scores[position]), self._picture(position, sample, reasons)

        return list(map_in_threads(show, order, self.workers))

    def worst(
        self, positions: Sequence[int], limit: int, predict: Predict, progress: Progress
    ) -> list[tuple[float, Picture]]:
        kept: list[tuple[float, int, Picture]] = []  # a heap, the best of the worst first
        loaded = map_in_threads(lambda position: (position, self._load(position)), positions, 1)
        for position, sample in progress(loaded, total=len(positions)):
            prediction = predict(sample.image)
            iou = self._iou(prediction, sample, position)
            key = (-iou, -position)
            if limit and (len(kept) < limit or key > kept[0][:2]):
                reasons = (f"IoU {iou:.3f}", *self.oddness.reasons(position))
                picture = self._picture(position, sample, reasons, prediction)
                replace = heapq.heappush if len(kept) < limit else heapq.heapreplace
                replace(kept, (*key, picture))
        return [(-key, picture) for key, _, picture in sorted(kept, key=lambda item: item[:2])][
            ::-1
        ]

    def _iou(self, prediction: np.ndarray, sample: Sample, position: int) -> float:
        split, _ = self.facts.places[position]
        num_classes = len(self.datasets[split].class_names)
        try:
            label = class_map_of(sample, self.void)
            return image_iou(prediction, label, num_classes, self.void)
        except DataError as error:
            raise DataError(f"{sample.source}: {error}") from error

    def _load(self, position: int) -> Sample:
        split, index = self.facts.places[position]
        return load_sample(self.datasets[split], index)

    def _picture(
        self,
        position: int,
        sample: Sample,
        notes: tuple[str, ...],
        prediction: np.ndarray | None = None,
    ) -> Picture:
        return make_picture(
            sample.image,
            class_map_of(sample, self.void),
            self.side,
            source=sample.source,
            split=self.facts.places[position][0],
            notes=notes,
            prediction=prediction,
        )


def find_class(name: str, class_names: Sequence[str]) -> int:
    """Give the number of a class by its name or its number. Raises RequestError."""
    if name in class_names:
        return class_names.index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    known = ", ".join(class_names[:20]) + (", ..." if len(class_names) > 20 else "")
    raise RequestError(f"there is no class {name!r}; the classes are {known}")


def _palette(
    datasets: Mapping[str, Dataset], config: DataConfig, stats: DatasetStats
) -> np.ndarray:
    """Give the colours of classes: those of the settings, of the dataset, or of VOC."""
    dataset = next(iter(datasets.values()))
    given = config.palette or getattr(dataset, "class_colours", None) or ()
    if not stats.has_instances:
        return class_palette(given)
    # class 0 is an object, and what is none has no colour
    count = max(256, stats.ignore_index + 1)
    colours: np.ndarray = voc_palette(count + 1)[1:].copy()
    for number, colour in enumerate(given):
        if colour is not None:
            colours[number] = colour
    colours[stats.ignore_index] = 0
    return colours
