"""Train a model into a run folder, from the beginning or from where it stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.checkpoint import pdparams
from segcore.checkpoint.files import write_atomic
from segcore.checkpoint.lock import RunLock, is_lock
from segcore.checkpoint.ownership import Guard
from segcore.checkpoint.runfolder import RunFolder
from segcore.checkpoint.store import (
    CheckpointStore,
    free_backup,
    new_run_id,
    open_best,
    read_run_id,
    write_run_id,
)
from segcore.checkpoint.weights import load_into
from segcore.config.render import render_config
from segcore.config.schema import WeightsOrigin
from segcore.config.seal import is_sealed, seal
from segcore.data.check import require_sound, require_sound_samples
from segcore.data.content import content_digest, content_status
from segcore.data.dataset import open_dataset
from segcore.data.loader import Loader
from segcore.data.sampler import Sampler
from segcore.data.transforms.build import build_transforms
from segcore.devices.framework import require_paddle
from segcore.devices.select import select_device
from segcore.engine.evaluate import evaluation_loader
from segcore.engine.identity import changes_scores, differences, run_identity, unknown_facts
from segcore.engine.logfile import is_log, logging_to
from segcore.engine.pretrained import find_start, load_pretrained
from segcore.engine.provenance import Provenance, thread_counts
from segcore.engine.result import describe_result
from segcore.engine.signals import resumable
from segcore.engine.stopped import StoppedRun, read_stopped_run
from segcore.errors import CheckpointError, ConfigError, DataError, OutputError, RequestError
from segcore.filesystem import exists, read_regular, real_path, require_utf8

if TYPE_CHECKING:
    import paddle

    from segcore.checkpoint.pretrained import Pretrained
    from segcore.config.schema import Config, DataConfig
    from segcore.data.stats.survey import Progress
    from segcore.devices.select import DeviceChoice
    from segcore.discovery.catalogue import Catalogue, Entry
    from segcore.engine.observers import ObserverGroup
    from segcore.engine.state import TrainState
    from segcore.engine.trainer import Trainer
    from segcore.protocols import Dataset
    from segcore.specs import ModelSpec
    from segcore.tasks.task import Task

__all__ = ["complete_config", "train"]

log = logging.getLogger(__name__)


def train(
    config: Config,
    output: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    accept_changes: bool = False,
    check: bool = True,
    datasets: Mapping[str, Dataset] | None = None,
    catalogue: Catalogue | None = None,
) -> dict[str, Any]:
    """Train what `config` describes into the folder `output`; give what train_result.json holds.

    `datasets` are those of the splits train and val, where they are not those at `data.path`.
    Without one for val nothing is measured, and the newest weights count as the best.

    With `resume` a stopped training goes on, and a new one begins where nothing of a run is. A run
    whose configuration, data, components, versions, threads or kind of device changed, or that lost
    something, is refused with all differences, unless `accept_changes`; one without a checkpoint
    that can be used always is. A refusal changes nothing of the run. A new training looks at every
    sample first, unless `check` is off. Raises SegcoreError; whatever it is, the run can be resumed
    afterwards.
    """
    if catalogue is None:
        from segcore.discovery.catalogue import get_catalogue

        catalogue = get_catalogue()
    entry = catalogue.models.find(config.model.name)
    require_utf8(Path(output).absolute(), "PaddlePaddle")
    for named in (config.data.path, config.train.pretrained):
        require_utf8(named or "", "config.yaml")
    folder = RunFolder(Path(output))
    _require_no_run(folder, unless=resume)
    if not folder.holds_run():
        _require_no_stranger(folder)
        find_start(config, entry, catalogue)  # a wrong name is better refused before any work
    choice = select_device(device, catalogue)
    with RunLock(folder.path) as lock:
        _require_no_run(folder, unless=resume)  # nobody else can begin one from here on
        stopped = read_stopped_run(folder, config.save.keep)
        if check and stopped is None and config.data.on_bad_sample == "fail":
            _check_data(config, datasets, catalogue, entry)
        if datasets is None:
            datasets = {
                split: open_dataset(config, split, catalogue, entry.spec.task)
                for split in ("train", "val")
            }
        _require_same_classes(datasets)
        config = complete_config(config, entry, datasets["train"])
        run = _Run(
            config,
            folder=folder,
            stopped=stopped,
            lock=lock,
            datasets=datasets,
            choice=choice,
            entry=entry,
            catalogue=catalogue,
        )
        run.refuse_changes(accept=accept_changes)
        # nothing of a run that was stopped has changed before this
        with logging_to(folder.log):
            _say_warnings(datasets)
            return run.execute()


def _require_no_run(folder: RunFolder, *, unless: bool) -> None:
    if folder.holds_run() and not unless:
        advice = "Go on with it by --resume, or name" if exists(folder.checkpoints) else "Name"
        found = ", ".join(path.name for path in folder.contents())
        raise OutputError(
            f"{folder.path}: holds a run already ({found}). {advice} another --output."
        )


def _require_no_stranger(folder: RunFolder) -> None:
    """Raise OutputError for files of others that a new training would write on in.

    A log and a lock may be left from one that ended before it began.
    """
    guard = Guard()
    guard.check_file(folder.log, is_log)
    guard.check_file(folder.lock, is_lock)
    guard.check_file(folder.evaluations)


def _check_data(
    config: Config,
    datasets: Mapping[str, Dataset] | None,
    catalogue: Catalogue,
    entry: Entry[ModelSpec],
) -> None:
    """Refuse a dataset whose check fails."""
    progress = _progress("checking data")
    if datasets is not None:
        require_sound_samples(datasets, progress)
    else:
        require_sound(config, ("train", "val"), catalogue, entry.spec.task, progress)


def _progress(what: str) -> Progress:
    from tqdm import tqdm

    return partial(tqdm, desc=what, disable=None, delay=2, leave=False)


def complete_config(config: Config, entry: Entry[ModelSpec], dataset: Dataset) -> Config:
    """Fill in what the dataset decides, so that the saved configuration needs nothing else.

    The network is built for as many channels as `data.channels` says. Raises ConfigError when its
    options say otherwise, or when mean and deviation have another number of values.
    """
    root = real_path(config.data.path or "")
    names, colours = tuple(dataset.class_names), getattr(dataset, "class_colours", ())
    update = {"path": str(root), "num_classes": len(names), "class_names": names}
    if config.data.palette is None and any(colour is not None for colour in colours):
        update["palette"] = tuple(colours)
    data = config.data.model_copy(update=update)
    # a qualified name was needed to tell two plugins apart, and will be again
    name = config.model.name if "/" in config.model.name else entry.name
    options = {**config.model.options, **_channel_options(config, entry)}
    model = config.model.model_copy(update={"name": name, "options": options})
    data = data.model_copy(update=_channel_statistics(data))
    return config.model_copy(update={"data": data, "model": model})


def _channel_options(config: Config, entry: Entry[ModelSpec]) -> dict[str, int]:
    """Give the option of the model that says how many channels images have, where it must."""
    channels, known = config.data.channels, entry.load_options()
    given = config.model.options.get("in_channels", channels)
    if given != channels:
        raise ConfigError(
            f"model.options.in_channels={given}, but data.channels={channels}: give data.channels "
            "alone, the network follows"
        )
    if channels == 3:
        return {}
    if known is None or "in_channels" not in known.model_fields:
        raise ConfigError(
            f"data.channels={channels}: {entry.name} takes images of 3 channels only, since it has "
            "no option in_channels"
        )
    return {"in_channels": channels}


def _channel_statistics(data: DataConfig) -> dict[str, tuple[float, ...]]:
    """Repeat means and deviations that are the same for all channels, as the defaults are."""
    found = {}
    for key, values in (("mean", data.mean), ("std", data.std)):
        if len(values) == data.channels:
            continue
        if len(set(values)) > 1:
            raise ConfigError(
                f"data.{key} has {len(values)} values, but data.channels={data.channels}: give one "
                "for each channel"
            )
        found[key] = (values[0],) * data.channels
    return found


class _Run:
    """One training, with everything that it works on."""

    def __init__(
        self,
        config: Config,
        *,
        folder: RunFolder,
        stopped: StoppedRun | None,
        lock: RunLock,
        datasets: Mapping[str, Dataset],
        choice: DeviceChoice,
        entry: Entry[ModelSpec],
        catalogue: Catalogue,
    ) -> None:
        if len(choice.indices) > 1:
            raise RequestError(
                f"device {choice}: training runs on one device; name one: {choice.places[0]}"
            )
        self.config = config
        self.folder = folder
        self.stopped = stopped
        self.store = (
            CheckpointStore(folder.path, new_run_id(), keep=config.save.keep)
            if stopped is None
            else stopped.store
        )
        self.changes: list[str] = []
        self.lock = lock
        self.datasets = datasets
        self.choice = choice
        self.entry = entry
        self.catalogue = catalogue
        self.paddle = require_paddle()
        self.paddle.set_device(choice.places[0])
        task_class = catalogue.tasks.find(entry.spec.task).load_target()
        self.task: Task = task_class(config, datasets["train"].class_names, catalogue)
        if "val" in datasets:
            self.task.metrics()  # a wrong one is better refused before any work
        provenance = Provenance(config, entry, datasets, choice, catalogue)
        progress = _progress("digesting data")
        self.looks = {split: content_status(dataset) for split, dataset in datasets.items()}
        self.identity = run_identity(
            config,
            datasets={split: dataset.fingerprint() for split, dataset in datasets.items()},
            contents={
                split: content_digest(dataset, progress=progress)
                for split, dataset in datasets.items()
            },
            components=provenance.components,
            versions=provenance.versions,
            threads=thread_counts() if choice.kind == "cpu" else {},
            device=choice.kind,
        )
        # the initial weights follow from the seed, too
        self.paddle.seed(config.train.seed)
        self.network: paddle.nn.Layer = catalogue.build_model(
            entry, len(self.task.class_names), config.model.options
        )

    def refuse_changes(self, *, accept: bool) -> None:
        """Raise CheckpointError that lists all changes since the stop, unless they are taken on."""
        if self.stopped is None:
            return
        self.changes = differences(self.stopped.state.identity, self.identity)
        lines = [*self.changes, *self.stopped.losses]
        if lines and not accept:
            raise CheckpointError(
                f"{self.folder.path}: this is no longer the training that was stopped:\n  "
                + "\n  ".join(lines)
                + "\nUndo the changes, or take them on with --accept-changes (in Python, "
                "accept_changes=True)."
            )

    def execute(self) -> dict[str, Any]:
        """Train to the end, export the best model, and give the result."""
        from segcore.engine.observers import create_observers

        observers = create_observers(self.config, self.catalogue)
        with self._loaders() as (train_batches, eval_batches):
            trainer = self._create_trainer(train_batches, eval_batches, observers)
            if self.stopped is None:
                self._begin(trainer)
            else:
                self._go_on(trainer, self.stopped)
            self._keep_edit()
            write_atomic(self.folder.config, seal(render_config(self.config)).encode())
            log.info("device %s, output %s", self.choice, self.folder.path)
            observers.started(self.config, self.folder.path)
            state = trainer.run()
            self._tell_of_changed_data()
        with resumable():
            result = self._finish(state)
        observers.stopped(result)
        return result

    def _keep_edit(self) -> None:
        """Copy a configuration that is not as a training wrote it, before it is written anew."""
        path = self.folder.config
        try:
            content = read_regular(path)
        except OSError:
            return
        if not is_sealed(content):
            kept = free_backup(path)
            write_atomic(kept, content)
            log.warning("%s: is written anew; what it was, with edits, is in %s", path, kept)

    def _tell_of_changed_data(self) -> None:
        """Warn where the data are not those that the training began with."""
        for split, dataset in self.datasets.items():
            try:
                is_same = content_status(dataset) == self.looks[split] or (
                    content_digest(dataset) == self.identity["contents"][split]
                )
            except DataError:
                is_same = False
            if not is_same:
                log.warning(
                    "the images or labels of %s have changed while the training ran, so that "
                    "nobody knows which it has seen: train again, and leave them alone meanwhile",
                    split,
                )

    @contextmanager
    def _loaders(self) -> Iterator[tuple[Loader, Loader | None]]:
        config = self.config
        data, train = config.data, config.train
        train_set, eval_set = self.datasets["train"], self.datasets.get("val")
        train_batches = Loader(
            train_set,
            build_transforms(train.transforms, config, self.catalogue),
            Sampler(len(train_set), train.batch_size, train.seed),
            self.task.collate,
            num_workers=train.num_workers,
            timeout_s=data.timeout_s,
            on_bad_sample=data.on_bad_sample,
            continuous=True,
        )
        if eval_set is None:
            with train_batches:
                yield train_batches, None
            return
        eval_batches = evaluation_loader(config, eval_set, self.catalogue, train.num_workers)
        with train_batches, eval_batches:
            yield train_batches, eval_batches

    def _create_trainer(
        self, train_batches: Loader, eval_batches: Loader | None, observers: ObserverGroup
    ) -> Trainer:
        from segcore.engine.history import History
        from segcore.engine.trainer import Intervals, Trainer

        return Trainer(
            self.config,
            self.task,
            self.network,
            train_batches=train_batches,
            eval_batches=None if eval_batches is None else lambda: eval_batches.epoch(0),
            intervals=Intervals.of(self.config, len(train_batches)),
            store=self.store,
            lock=self.lock,
            history=History(self.folder.history),
            observers=observers,
        )

    def _begin(self, trainer: Trainer) -> None:
        """Begin a training, in an order that leaves a run or nothing of one wherever it ends."""
        start = find_start(self.config, self.entry, self.catalogue)
        self._note_origin(None if start is None else self._load_pretrained(start))
        log.info("training %s from the beginning", self.config.model.name)
        self.store.recover()
        trainer.start(self.identity)
        self._keep_run_id()

    def _go_on(self, trainer: Trainer, stopped: StoppedRun) -> None:
        """Go on from what was stopped; its changes are taken on."""
        trainer.resume(stopped.snapshot, stopped.best)  # refuses what does not fit
        for line in stopped.notes:
            log.warning("%s", line)
        for line in (*self.changes, *stopped.losses):
            log.warning("taken on: %s", line)
        unknown = unknown_facts(stopped.state.identity)
        if unknown:
            log.warning(
                "unknown, since an older segcore began this run, and not compared: %s",
                ", ".join(unknown),
            )
        self.store.recover()
        self._keep_run_id()
        state = trainer.state
        self.store.retire(state.step)  # who was killed just after a checkpoint did not
        if stopped.is_history_whole:
            trainer.history.cut(state.history_bytes)
        else:
            trainer.history.mend(state.step)
        if self.changes or stopped.losses:
            is_comparable = not changes_scores(self.changes)
            trainer.take_on_best(None if is_comparable else stopped.best_files)
        noted = state.identity.get("pretrained_origin")
        self._note_origin(None if noted is None else WeightsOrigin.model_validate(noted))
        state.identity = self.identity
        log.info("going on after step %d", state.step)

    def _keep_run_id(self) -> None:
        if self.store.run_id is not None and read_run_id(self.folder.path) is None:
            write_run_id(self.folder.path, self.store.run_id)

    def _load_pretrained(self, start: Pretrained) -> WeightsOrigin:
        return load_pretrained(
            self.network,
            start,
            config=self.config,
            entry=self.entry,
            class_names=self.task.class_names,
            catalogue=self.catalogue,
        )

    def _note_origin(self, origin: WeightsOrigin | None) -> None:
        """Keep in mind which file the training began from, for those who resume or repeat it."""
        noted = None if origin is None else origin.model_dump()
        self.identity["pretrained_origin"] = noted
        train = self.config.train.model_copy(update={"pretrained_origin": origin})
        self.config = self.config.model_copy(update={"train": train})

    def _finish(self, state: TrainState) -> dict[str, Any]:
        """Export the best model and write the result."""
        from segcore.export.write import write_export

        best = open_best(self.folder.path, ["model.pdparams"])
        load_into(
            self.network.state_dict(),
            pdparams.decode(best.parts["model.pdparams"]).arrays(),
            source=str(self.folder.best_weights),
            model=self.config.model.name,
        )
        guard = Guard(run=self.folder.path)
        self.store.clear_export()
        exported = write_export(self.network, self.task, self.folder.inference, guard=guard)
        result = describe_result(self.config, self.folder, state, exported)
        write_atomic(self.folder.train_result, json.dumps(result, indent=2).encode())
        log.info(
            "done: best %s %s at step %s; %s",
            self.config.eval.best,
            state.best_score,
            state.best_step,
            self.folder.best_model,
        )
        return result


def _require_same_classes(datasets: Mapping[str, Dataset]) -> None:
    """Refuse splits that name different classes: their scores would compare other things."""
    train = tuple(datasets["train"].class_names)
    val = tuple(datasets.get("val", datasets["train"]).class_names)
    if train != val:
        raise DataError(
            f"the classes of val ({', '.join(val[:5])}...) are not those of train "
            f"({', '.join(train[:5])}...). Give both splits the same ones, in the same order."
        )


def _say_warnings(datasets: Mapping[str, Dataset]) -> None:
    for dataset in datasets.values():
        for line in getattr(dataset, "warnings", ()):
            log.warning("%s", line)
