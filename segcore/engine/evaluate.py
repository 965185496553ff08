"""Measure predictions over a dataset."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.checkpoint.files import prepare_output
from segcore.checkpoint.ownership import (
    EVALUATION_MARK,
    EVALUATION_RESULT,
    Guard,
    marked,
    marked_by,
)
from segcore.checkpoint.runfolder import results_folder
from segcore.config.resolve import override_config
from segcore.data.class_names import compare_class_names
from segcore.data.dataset import open_dataset
from segcore.data.loader import Loader
from segcore.data.paths import printable
from segcore.data.sampler import Sampler
from segcore.data.tally import Tally
from segcore.data.transforms.build import build_transforms
from segcore.errors import DataError
from segcore.tasks.sample import Sample

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Dataset, InferenceSession, Metric
    from segcore.tasks.task import Task

__all__ = ["evaluate", "evaluate_model", "evaluation_loader"]

log = logging.getLogger(__name__)

# What decides how a dataset is read and images are prepared, run and counted. Mean and deviation
# stand in the transforms, and what the network was built for stays.
_FOLLOWED = (
    "data.accept_truncated_tail",
    "data.allow_duplicates",
    "data.allow_outside",
    "data.annotation_files",
    "data.class_file",
    "data.first_frame",
    "data.fold",
    "data.format",
    "data.ignore_index",
    "data.image_folders",
    "data.label_map",
    "data.list_files",
    "data.max_pixels",
    "data.timeout_s",
    "data.value_range",
    "eval",
)


def evaluate(
    session: InferenceSession,
    task: Task,
    batches: Iterable[Sequence[Sample]],
    besides: Sequence[Metric] = (),
) -> dict[str, Any]:
    """Predict every sample and give the metrics that the configuration asks for, by name.

    Those of `besides` are measured as well.
    Samples keep their labels in the size of the original image. Warnings about images are
    logged, one line a kind. Raises DataError when a sample lacks what it is measured against.
    """
    metrics = [*task.metrics(), *besides]
    tally = Tally()
    for samples in batches:
        for sample, prediction in zip(samples, task.infer(session, samples), strict=True):
            tally.add(sample.warnings, sample.source)
            _count(metrics, prediction, task.truth(sample), sample.source)
    for line in tally.lines():
        log.warning("%s", line)
    results: dict[str, Any] = {}
    for metric in metrics:
        results.update(metric.compute())
    return results


def _count(metrics: Iterable[Metric], prediction: Any, truth: Any, source: str) -> None:
    try:
        for metric in metrics:
            metric.update(prediction, truth)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def evaluation_loader(
    config: Config, dataset: Dataset, catalogue: Catalogue, num_workers: int
) -> Loader:
    """Read `dataset` in order for evaluation, in lists of samples that keep their labels."""
    pipeline = build_transforms(config.eval.transforms, config, catalogue, keep_label=True)
    sampler = Sampler(
        len(dataset), config.eval.batch_size, config.train.seed, shuffle=False, drop_last=False
    )
    return Loader(
        dataset,
        pipeline,
        sampler,
        list,
        num_workers=num_workers,
        timeout_s=config.data.timeout_s,
    )


def evaluate_model(
    path: Path,
    data: Path,
    *,
    split: str = "val",
    output: Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    num_workers: int = 2,
    changes: Mapping[str, Any] | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    force: bool = False,
) -> dict[str, Any]:
    """Measure the model at `path` on a split of the dataset at `data`.

    `path` is whatever `segcore.inference.source.find_model` knows. `changes` replace values of the
    section `eval` of the model's configuration, after `settings`, which are values by dotted key or
    texts such as "eval.batch_size=4". The result is also written to
    `evaluate_result.json` in `output`, by default the folder of the model; with `force` also in
    place of somebody else's file. Raises SegcoreError.
    """
    from segcore.devices.select import select_device
    from segcore.discovery.catalogue import get_catalogue
    from segcore.inference.create import open_session
    from segcore.inference.eager import create_task, task_of
    from segcore.inference.source import find_model

    catalogue = get_catalogue()
    choice = select_device(device, catalogue)
    found = find_model(path)
    config = _config_for(found.config, data, settings, changes or {}, catalogue)
    folder = output or results_folder(path)
    file, guard = folder / EVALUATION_RESULT, Guard([path, data], force=force)
    guard.check_file(file, marked_by(EVALUATION_MARK))
    prepare_output(folder)
    task_name = found.task or task_of(config, catalogue)
    dataset = _open_for(config, split, catalogue, path, task_name)
    differing = compare_class_names(found.class_names or (), dataset.class_names, printable(data))
    if differing is not None:
        log.warning("%s", differing)
    task = create_task(config, dataset.class_names, task_name)
    used, session = open_session(runtime, found.source, config, choice, catalogue)
    begun = time.perf_counter()
    with evaluation_loader(config, dataset, catalogue, num_workers) as loader:
        metrics = evaluate(session, task, _with_progress(loader))
    seconds = time.perf_counter() - begun
    sliding = config.eval.sliding
    content = {
        "done_flag": True,
        "model_name": config.model.name,
        "model": str(path),
        "data": str(data),
        "split": split,
        "runtime": used,
        "device": str(choice),
        "sliding": None if sliding is None else sliding.model_dump(mode="json"),
        "images": len(dataset),
        "images_per_second": round(len(dataset) / seconds, 2),
        "best": config.eval.best,
        "score": metrics.get(config.eval.best),
        "metrics": metrics,
    }
    result = marked(content, EVALUATION_MARK)
    guard.write_file(file, json.dumps(result, indent=2).encode(), marked_by(EVALUATION_MARK))
    return result


def _config_for(
    config: Config,
    data: Path,
    settings: Sequence[str] | Mapping[str, Any],
    changes: Mapping[str, Any],
    catalogue: Catalogue,
) -> Config:
    """Give the configuration of a model as it is measured on `data`."""
    config = override_config(config, settings, catalogue, followed=_FOLLOWED, by="an evaluation")
    if config.predict.target_size is not None:
        log.warning(
            "predict.target_size=%s counts in predictions only: images are measured as "
            "eval.transforms prepare them",
            config.predict.target_size,
        )
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"path": str(data)}),
            "eval": config.eval.model_copy(update=dict(changes)),
        }
    )


def _open_for(config: Config, split: str, catalogue: Catalogue, path: Path, task: str) -> Dataset:
    """Open the dataset and make sure that it has the classes of the model at `path`."""
    wanted = config.data.num_classes
    # the dataset says itself what it has, unless nobody else can
    free = config.data.model_copy(
        update={"num_classes": None if config.data.class_names else wanted}
    )
    dataset = open_dataset(config.model_copy(update={"data": free}), split, catalogue, task)
    found = len(dataset.class_names)
    if wanted is not None and wanted != found:
        raise DataError(
            f"{config.data.path}: has {found} classes ({', '.join(dataset.class_names[:5])}...), "
            f"but {path} was trained on {wanted}. Measure on a dataset of the same classes."
        )
    return dataset


def _with_progress(loader: Loader) -> Iterable[Sequence[Sample]]:
    from tqdm import tqdm

    batches: Iterable[Sequence[Sample]] = tqdm(
        loader.epoch(0), total=len(loader), desc="evaluating", unit="batch", disable=None, delay=2
    )
    return batches
