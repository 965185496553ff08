"""What all trainable models share, whatever their task: training, measuring, predicting, exporting.

Nothing is trained here. A model collects settings, by the dotted keys of the configuration: what
its constructor says, what the call says, what the datasets ask for, and at last what the user put
into `settings`. The engine trains what they describe, and the best weights are opened.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from pydantic import ValidationError

from segcore.checkpoint.ownership import Guard
from segcore.checkpoint.runfolder import RunFolder
from segcore.checkpoint.store import CheckpointStore
from segcore.config.merge import DEFAULT
from segcore.config.problem import raise_problems
from segcore.config.resolve import find_problems, merge_sources
from segcore.config.schema import Component, Config
from segcore.data.class_names import compare_class_names
from segcore.data.dataset import open_dataset
from segcore.data.palette import class_palette
from segcore.data.sampler import Sampler
from segcore.data.transforms.build import Pipeline, build_transforms
from segcore.discovery.catalogue import get_catalogue
from segcore.discovery.weights import find_known_weights, known_weights
from segcore.errors import ConfigError, DataError, RequestError
from segcore.filesystem import exists, is_folder, real_path
from segcore.given import as_integer
from segcore.inference.inputs import ImageInput, expand_inputs
from segcore.tasks.result import Predicted
from segcore.tasks.sample import Sample
from segcore.trainable.datasets import (
    TRANSFORMS_OF,
    AnyDataset,
    DatasetDescription,
    describe,
    place_settings,
    require_apart,
)
from segcore.trainable.transforms import Compose

if TYPE_CHECKING:
    from segcore.inference.source import FileState, FoundModel
    from segcore.protocols import Dataset, InferenceSession, Metric
    from segcore.tasks.task import Task

__all__ = [
    "DefaultWeights",
    "Opened",
    "TrainRequest",
    "TrainableModel",
    "refuse_vdl",
    "with_defaults",
]

log = logging.getLogger(__name__)

_OPTIMIZERS = ("momentum", "sgd", "adam", "adamw")
_Method = TypeVar("_Method", bound=Callable[..., Any])


class DefaultWeights(str):
    """The name of weights that a model starts from by default, where it has such weights.

    PaddleX trained from them unasked. Where the network of today has none of that name, a default
    is passed over with a warning, while a name that the caller wrote is refused.
    """

    __slots__ = ()


@dataclass(frozen=True)
class TrainRequest:
    """What all tasks have in common of a call of `train`; `settings` is the rest of it."""

    num_epochs: int
    train_dataset: AnyDataset
    eval_dataset: AnyDataset | None
    train_batch_size: int
    save_interval_epochs: int
    log_interval_steps: int
    save_dir: str | Path
    pretrain_weights: str | Path | None
    early_stop: bool
    early_stop_patience: int
    resume_checkpoint: str | Path | None
    settings: Mapping[str, Any]
    settings_by_epoch: Callable[[int], Mapping[str, Any]] | None = None
    """Gives the settings that hang on how many iterations an epoch has."""


@dataclass(frozen=True)
class Opened:
    """A model with its weights, on a device; `path` is where it was found."""

    path: Path
    state: FileState
    found: FoundModel
    config: Config
    task: Task
    session: InferenceSession


class TrainableModel:
    """A network by name, and all that is done with it.

    `device` is where it trains and predicts: auto, cpu, gpu:0, ... `settings` are values of the
    configuration by dotted key, such as {"train.seed": 1}, that win over all others. A training
    goes on although something changed meanwhile if `accept_changes` is set. `labels` are the names
    of the classes, once they are known.
    """

    transforms: ClassVar[Mapping[str, Compose]] = {}
    """What is done to images of datasets that do not say it themselves, by split (train, val),
    where that is not what the recipe of the model or of its task says."""
    weight_decay: ClassVar[float] = 4e-5

    def __init__(self, name: str, num_classes: int, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.num_classes = num_classes
        self.device = "auto"
        self.settings: dict[str, Any] = {}
        self.accept_changes = False
        self.labels: list[str] = []
        self._own = {"data.num_classes": num_classes, **settings}
        self._model: Opened | None = None

    # -- training ----------------------------------------------------------------------------------

    def _train(self, request: TrainRequest) -> dict[str, Any]:
        """Train as `request` says; give what train_result.json holds. Raises SegcoreError."""
        from segcore.engine.train import train

        if (as_integer(request.save_interval_epochs) or 0) < 1:
            raise RequestError(
                f"save_interval_epochs={request.save_interval_epochs!r}: give 1 or more"
            )
        for name in ("save_dir", "pretrain_weights", "resume_checkpoint"):
            if getattr(request, name) == "":
                raise RequestError(f"{name} is an empty text: was a variable not set?")
        if request.early_stop and request.eval_dataset is None:
            raise RequestError("early_stop=True needs an eval_dataset to measure on")
        catalogue = get_catalogue()
        settings = {**self._own, **self._settings_of(request)}
        config = self._resolve(settings)
        datasets = {"train": self._open_dataset(request.train_dataset, "train", config)}
        if request.eval_dataset is not None:
            datasets["val"] = self._open_dataset(request.eval_dataset, "val", config)
            require_apart(request.train_dataset, request.eval_dataset)
        folders = request.train_dataset, request.eval_dataset
        is_one_folder = isinstance(folders[0], str | Path) and str(folders[0]) == str(folders[1])
        epoch = Sampler(len(datasets["train"]), config.train.batch_size).batches_per_epoch
        every = request.save_interval_epochs * epoch
        settings |= {"train.eval_interval": every, "train.save_interval": every}
        if request.settings_by_epoch is not None:
            settings |= request.settings_by_epoch(epoch)
        config = self._resolve(settings)
        output = Path(request.save_dir)
        resume = _is_continued(output, request.resume_checkpoint)
        result = train(
            config,
            output,
            device=self.device,
            resume=resume,
            datasets=None if is_one_folder else datasets,
            catalogue=catalogue,
            accept_changes=self.accept_changes,
        )
        self.open(output)
        return result

    def _settings_of(self, request: TrainRequest) -> dict[str, Any]:
        found: dict[str, Any] = {
            "train.epochs": request.num_epochs,
            "train.batch_size": request.train_batch_size,
            "train.log_interval": request.log_interval_steps,
        }
        for split, composed in self.transforms.items():
            found[TRANSFORMS_OF[split]] = composed.components()
        found |= describe(request.train_dataset, "train")
        if request.eval_dataset is not None:
            found |= describe(request.eval_dataset, "val")
        elif found.get("train.transforms", [{}])[-1].get("type") == "Normalize":
            # without images to measure on, what training does to values is all that is known
            found["eval.transforms"] = found["train.transforms"][-1:]
        if request.early_stop:
            found["train.patience"] = request.early_stop_patience
        weights = self._weights_to_start_from(request.pretrain_weights)
        if weights is not None:
            found |= {"train.pretrained": weights, "train.reset_head": "auto"}
        found |= place_settings(request.train_dataset, request.eval_dataset)
        return {**found, **request.settings}

    def _optimizer(self, given: str | Mapping[str, Any] | None) -> dict[str, Any]:
        """Say in settings which optimiser `given` is: none, its name, or the settings of one."""
        if given is None:
            return {"type": "momentum", "momentum": 0.9, "weight_decay": self.weight_decay}
        if isinstance(given, str):
            return {"type": given, "weight_decay": self.weight_decay}
        if isinstance(given, Mapping):
            return dict(given)
        raise RequestError(
            f"optimizer={given!r}: give its name ({', '.join(_OPTIMIZERS)}) or the settings of "
            "train.optimizer as a mapping; an optimiser of Paddle belongs to the parameters of "
            "another network"
        )

    def _weights_to_start_from(self, asked: str | Path | None) -> str | None:
        if asked is None or not isinstance(asked, DefaultWeights):
            return None if asked is None else str(asked)
        catalogue = get_catalogue()
        config = self._resolve(self._own)
        known = known_weights(catalogue.models.find(self.name), config.model.options, catalogue)
        if find_known_weights(known, asked) is not None:
            return str(asked)
        log.warning(
            "%s has no weights called %s, which PaddleX starts from by default: training starts "
            "from random ones. Say pretrain_weights=None to agree, or name some (there are %s).",
            *(self.name, asked, ", ".join(weights.trained_on for weights in known) or "none"),
        )
        return None

    def _resolve(self, settings: Mapping[str, Any]) -> Config:
        catalogue = get_catalogue()
        layers = merge_sources(self.name, None, (), {**settings, **self.settings}, catalogue)
        config, problems = find_problems(layers, catalogue)
        # all of it comes from arguments, which the dotted keys of the problems name well enough
        raise_problems([replace(problem, origin=DEFAULT) for problem in problems])
        assert config is not None  # noqa: S101  no problems, so it was validated
        return config

    def _open_dataset(self, dataset: AnyDataset, split: str, config: Config) -> Dataset:
        opened: Dataset
        if isinstance(dataset, str | Path):
            data = config.data.model_copy(update={"path": str(dataset)})
            catalogue = get_catalogue()
            task = catalogue.models.find(self.name).spec.task
            opened = open_dataset(config.model_copy(update={"data": data}), split, catalogue, task)
        elif isinstance(dataset, DatasetDescription):
            opened = dataset.open(split, config)
        else:
            opened = dataset
        if len(opened.class_names) != self.num_classes:
            raise DataError(
                f"the dataset has {len(opened.class_names)} classes "
                f"({', '.join(opened.class_names[:5])}), but num_classes={self.num_classes}: "
                "mend one of the two"
            )
        return opened

    # -- what is trained ---------------------------------------------------------------------------

    def open(self, path: str | Path) -> None:
        """Take the weights at `path`: the folder of a run, its best_model, or a file in it.

        Raises SegcoreError.
        """
        from segcore.devices.select import select_device
        from segcore.inference.create import open_session
        from segcore.inference.eager import create_task
        from segcore.inference.source import file_state, find_model

        # absolute, since the weights are read again to export them, wherever the process is then
        path = Path(path).absolute()
        found, catalogue = find_model(path), get_catalogue()
        choice = select_device(self.device, catalogue)
        state = file_state(found.source)
        _, session = open_session("eager", found.source, found.config, choice, catalogue)
        config = found.source.config or found.config
        names = found.class_names or config.data.class_names
        task = create_task(config, names, found.task)
        self.labels = list(task.class_names)
        self._model = Opened(path, state, found, config, task, session)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles hold where the weights are, and not what belongs to this process."""
        model = self._model
        return {**self.__dict__, "_model": None if model is None else (model.path, model.state)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Open the same weights anew. Raises RequestError where others have taken their place."""
        from segcore.inference.source import find_model, require_same_files

        self.__dict__.update(state, _model=None)
        if state["_model"] is not None:
            path, files = state["_model"]
            require_same_files(find_model(path).source, files)
            self.open(path)
            self.labels = list(state["labels"])

    def _opened(self) -> Opened:
        if self._model is None:
            raise RequestError(
                f"{self.name} has no weights yet: call train, or open what was trained before by "
                "segcore.trainable.load_model(folder)"
            )
        return self._model

    def _measure(
        self,
        dataset: AnyDataset,
        batch_size: int,
        besides: Callable[[Dataset], Metric] | None = None,
    ) -> dict[str, Any]:
        """Give every metric of the model on `dataset`, by name, and what `besides` computes.

        Raises SegcoreError.
        """
        from segcore.engine.evaluate import evaluate, evaluation_loader

        model = self._opened()
        asked = {**describe(dataset, "val"), "eval.batch_size": batch_size}
        config = _changed(model.config, asked)
        samples = self._open_dataset(dataset, "val", config)
        differing = compare_class_names(self.labels, samples.class_names, "the dataset")
        if differing is not None:
            log.warning("%s", differing)
        task = type(model.task)(config, samples.class_names, get_catalogue())
        workers = config.train.num_workers
        with evaluation_loader(config, samples, get_catalogue(), workers) as loader:
            extra = () if besides is None else (besides(samples),)
            return evaluate(model.session, task, loader.epoch(0), extra)

    # -- predicting --------------------------------------------------------------------------------

    def predict(self, img_file: str | Path | np.ndarray, transforms: Compose | None = None) -> Any:
        """Predict one image: a path, an address, or an array (H, W, C) in OpenCV's order (BGR).

        Arrays hold 0..255, as uint8 or as float. `transforms` take the place of those that the
        model was measured with. Raises SegcoreError.
        """
        return self.batch_predict([img_file], transforms)[0]

    def batch_predict(
        self,
        img_file_list: Sequence[str | Path | np.ndarray],
        transforms: Compose | None = None,
    ) -> list[Any]:
        """Predict images and give a list of results in their order; see `predict`.

        Neighbours of one size run as one batch. Raises SegcoreError.
        """
        if not isinstance(img_file_list, list | tuple):
            raise RequestError("img_file_list: give a list of paths or arrays")
        model = self._opened()
        images = [self._as_input(item, number) for number, item in enumerate(img_file_list)]
        pixels = [image.load(model.config.data) for image in images]
        samples = [
            Sample(array, source=image.source) for array, image in zip(pixels, images, strict=True)
        ]
        predicted = [
            self._predicted(image, array) for array, image in zip(pixels, images, strict=True)
        ]
        return self._results(self._prepared(samples, transforms), predicted)

    def _results(self, samples: Sequence[Sample], predicted: Sequence[Predicted]) -> list[Any]:
        """Predict prepared samples and make a result of each, with what is known of its image."""
        model = self._opened()
        predictions = model.task.infer(model.session, samples)
        return [
            model.task.result(prediction, about)
            for prediction, about in zip(predictions, predicted, strict=True)
        ]

    def _prepared(self, samples: Sequence[Sample], transforms: Compose | None) -> list[Sample]:
        config = self._opened().config
        components = config.eval.transforms
        if transforms is not None:
            if not isinstance(transforms, Compose):
                raise RequestError(
                    f"transforms={transforms!r}: give segcore.trainable.transforms.Compose([...])"
                )
            components = tuple(map(Component.model_validate, transforms.components()))
        pipeline: Pipeline = build_transforms(components, config, get_catalogue())
        # nothing is drawn in predictions; a generator is due to the protocol
        return [pipeline(sample, np.random.default_rng(0)) for sample in samples]

    def _predicted(self, image: ImageInput, pixels: np.ndarray) -> Predicted:
        model = self._opened()
        colours = model.config.data.palette
        return Predicted(
            name=image.name,
            source=image.source,
            origin=image.origin,
            image=pixels,
            settings=model.config.predict,
            class_names=model.task.class_names,
            num_classes=model.config.data.num_classes,
            palette=None if colours is None else class_palette(colours),
            facts={"model": model.config.model.name},
        )

    def _as_input(self, image: str | Path | np.ndarray, position: int = 0) -> ImageInput:
        if isinstance(image, np.ndarray):
            image = _rgb(image)
        elif not isinstance(image, str | Path):
            raise RequestError(f"{image!r} is no image: give a path or an array (H, W, C)")
        elif is_folder(Path(image)):
            raise RequestError(f"{image}: is a folder; list its images")
        return next(expand_inputs([image], first_position=position))

    # -- exporting ---------------------------------------------------------------------------------

    def export(self, save_dir: str | Path, format_name: str = "paddle") -> list[Path]:
        """Export the network as `segcore export` does into the folder `save_dir`; give the files.

        An earlier export there is replaced, and nothing else. Raises SegcoreError.
        """
        from segcore.export.write import write_export
        from segcore.inference.eager import load_network
        from segcore.inference.source import require_same_files

        model = self._opened()
        require_same_files(model.found.source, model.state)
        guard = Guard([model.found.source.weights])
        network = load_network(model.found.source)
        return write_export(network, model.task, Path(save_dir), format_name, guard=guard)

    def export_inference_model(self, save_dir: str | Path) -> None:
        """Export the network for inference, by the name that PaddleX has for it."""
        self.export(save_dir)


def with_defaults(method: _Method, **defaults: Any) -> _Method:
    """Give a method of a base class with other defaults, which its signature shows, too."""
    signature = inspect.signature(method)
    changed = [
        parameter.replace(default=defaults.get(name, parameter.default))
        for name, parameter in signature.parameters.items()
    ]
    shown = signature.replace(parameters=changed)

    @wraps(method)
    def call(*args: Any, **keywords: Any) -> Any:
        bound = shown.bind(*args, **keywords)
        bound.apply_defaults()
        return method(*bound.args, **bound.kwargs)

    call.__signature__ = shown  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def refuse_vdl(use_vdl: bool) -> None:
    """Raise RequestError where a script asks for logs of VisualDL."""
    if use_vdl:
        raise RequestError(
            "use_vdl=True: segcore writes no VisualDL logs. Leave it out: metrics.jsonl in "
            "save_dir holds every loss and score, and plugins may offer loggers (train.observers)"
        )


def _is_continued(output: Path, checkpoint: str | Path | None) -> bool:
    """Say whether the run in `output` goes on. Raises RequestError for any other checkpoint."""
    if checkpoint is None:
        return False
    wanted, run = real_path(checkpoint), RunFolder(real_path(output))
    if not exists(wanted):
        raise RequestError(f"resume_checkpoint={checkpoint}: there is no such folder")
    steps = CheckpointStore(run.path).folders()
    if wanted in (run.path, run.checkpoints, *steps[-1:]):
        return True
    newest = f", the newest is {steps[-1].name}" if steps else ""
    raise RequestError(
        f"resume_checkpoint={checkpoint}: a training goes on in its own folder, here "
        f"save_dir={str(output)!r}, and from its newest checkpoint{newest}; give save_dir the run "
        "that is to go on, and resume_checkpoint the same"
    )


def _changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """Replace values of a configuration by dotted key of two parts. Raises ConfigError."""
    data = config.model_dump()
    for key, value in settings.items():
        section, _, name = key.partition(".")
        data[section][name] = value
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        raise ConfigError(f"{key} = {wrong['input']!r}: {wrong['msg']}") from error


def _rgb(array: np.ndarray) -> np.ndarray:
    """Give an array (H, W, C) in OpenCV's order as uint8 RGB; other channels keep their order."""
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min(initial=0) < 0 or array.max(initial=0) > 255:
            raise DataError(
                f"an array of {array.dtype}: values must lie within 0 and 255, as in an image that "
                "was decoded; normalising is done by the transforms"
            )
        array = np.rint(array).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 3:
        array = np.ascontiguousarray(array[..., ::-1])
    return array
