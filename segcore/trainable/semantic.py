"""Trainable models of semantic segmentation: one class for every pixel."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segcore.errors import ConfigError, RequestError
from segcore.given import plain_real
from segcore.inference.result import SegmentationResult
from segcore.tasks.sample import Sample
from segcore.trainable.model import DefaultWeights, TrainableModel, TrainRequest, refuse_vdl
from segcore.trainable.tiles import check_tiling, check_window, tiles
from segcore.trainable.transforms import Compose, ComposedSegTransforms

if TYPE_CHECKING:
    from segcore.tasks.result import Predicted
    from segcore.tasks.semantic import SemanticTask
    from segcore.trainable.datasets import AnyDataset

__all__ = ["SemanticModel", "SemanticPrediction", "loss_settings"]

log = logging.getLogger(__name__)

_IMAGENET = DefaultWeights("IMAGENET")


@dataclass(frozen=True, kw_only=True, eq=False)
class SemanticPrediction(SegmentationResult, Mapping[str, np.ndarray]):
    """A result that also answers as PaddleX's dictionary: `["label_map"]` and `["score_map"]`.

    `score_map` (H, W, C) float32 is the probability of each class.
    """

    score_map: np.ndarray

    def __getitem__(self, key: str) -> np.ndarray:
        maps = {"label_map": self.label_map, "score_map": self.score_map}
        return maps[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("label_map", "score_map"))

    def __len__(self) -> int:
        return 2


class SemanticModel(TrainableModel):
    """A semantic network by name, with the methods of PaddleX 1.x's segmenters.

    `settings` are values of the configuration by dotted key, as `loss_settings` gives them.
    """

    transforms: ClassVar[Mapping[str, Compose]] = {
        "train": ComposedSegTransforms("train"),
        "val": ComposedSegTransforms("eval"),
    }

    def train(
        self,
        num_epochs: int,
        train_dataset: AnyDataset,
        train_batch_size: int = 2,
        eval_dataset: AnyDataset | None = None,
        save_interval_epochs: int = 1,
        log_interval_steps: int = 2,
        save_dir: str | Path = "output",
        pretrain_weights: str | Path | None = _IMAGENET,
        optimizer: str | Mapping[str, Any] | None = None,
        learning_rate: float = 0.01,
        lr_decay_power: float = 0.9,
        use_vdl: bool = False,
        sensitivities_file: str | None = None,
        eval_metric_loss: float = 0.05,
        early_stop: bool = False,
        early_stop_patience: int = 5,
        resume_checkpoint: str | Path | None = None,
    ) -> dict[str, Any]:
        """Train, and go on with the best weights; give what train_result.json holds.

        Datasets are a `SegDataset`, the folder of one, or any object of the protocol `Dataset`; a
        folder is trained on by its train.txt and measured on by its val.txt. Without `eval_dataset`
        nothing is measured and the newest weights count as the best. They are measured and saved
        every `save_interval_epochs`. `pretrain_weights` is a name such as CITYSCAPES, a path or an
        address; layers for another number of classes start anew, and a log line names them.
        `optimizer` is None for momentum 0.9 with weight decay, the name of another, or the section
        `train.optimizer` as a mapping. `early_stop` ends the training after `early_stop_patience`
        measurements without a better one. `resume_checkpoint` is `save_dir` again, or the newest
        checkpoint in it. The engine knows neither VisualDL nor pruning: `use_vdl`,
        `sensitivities_file` and `eval_metric_loss` are refused unless they have their defaults.
        Raises SegcoreError.
        """
        _refuse_unknown(use_vdl, sensitivities_file, eval_metric_loss)
        settings = {
            "train.learning_rate": plain_real(learning_rate),
            "train.schedule": {"type": "poly", "power": plain_real(lr_decay_power), "end_lr": 0.0}
            | {"warmup_iters": 0},
            "train.optimizer": self._optimizer(optimizer),
        }
        return self._train(
            TrainRequest(
                num_epochs=num_epochs,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                train_batch_size=train_batch_size,
                save_interval_epochs=save_interval_epochs,
                log_interval_steps=log_interval_steps,
                save_dir=save_dir,
                pretrain_weights=pretrain_weights,
                early_stop=early_stop,
                early_stop_patience=early_stop_patience,
                resume_checkpoint=resume_checkpoint,
                settings=settings,
            )
        )

    def evaluate(
        self,
        eval_dataset: AnyDataset,
        batch_size: int = 1,
        epoch_id: int | None = None,
        return_details: bool = False,
    ) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        """Measure the model: the metrics, and with `return_details` the confusion matrix as well.

        Values by class are arrays, NaN where a class is undefined; `macc` is the mean of
        `category_acc`, which is the recall of each class. The matrix counts pixels by label (row)
        and prediction (column). `epoch_id` is only logged. Raises SegcoreError.
        """
        if epoch_id is not None:
            log.info("measuring %s of epoch %d", self.name, epoch_id)
        found = self._measure(eval_dataset, batch_size)
        metrics = {
            "miou": found["miou"],
            "category_iou": _by_class(found["category_iou"]),
            "macc": found["macc"],
            "oacc": found["oacc"],
            "category_acc": _by_class(found["category_acc"]),
            "kappa": found["kappa"],
            "category_F1-score": _by_class(found["category_f1"]),
        }
        if return_details:
            return metrics, {"confusion_matrix": found["confusion_matrix"]}
        return metrics

    def overlap_tile_predict(
        self,
        img_file: str | Path | np.ndarray,
        tile_size: Sequence[int] = [512, 512],
        pad_size: Sequence[int] = [64, 64],
        batch_size: int = 32,
        transforms: Compose | None = None,
    ) -> SemanticPrediction:
        """Predict a large image tile by tile; see `predict`.

        Tiles of `tile_size` cover the image exactly. The network sees each with `pad_size` more on
        every side, mirrored beyond the border of the image; (0, 0) looks at the tiles alone. Both
        are (width, height) in pixels. At most `batch_size` tiles are in memory at once, besides the
        image and its result. Raises SegcoreError.
        """
        tile, pad = _pair(tile_size), _pair(pad_size)
        check_tiling(tile, pad, batch_size)
        given = self._as_input(img_file)
        image = given.load(self._opened().config.data)
        height, width = image.shape[:2]
        check_window((height, width), tile, pad)
        label_map: np.ndarray | None = None
        score_map = np.empty((height, width, self.num_classes), np.float32)
        plan = tiles((height, width), (tile[0], tile[1]), (pad[0], pad[1]))
        while batch := list(islice(plan, batch_size)):
            windows = [Sample(part.cut(image), source=given.source) for part in batch]
            maps = self._maps(self._prepared(windows, transforms))
            for part, (labels, scores) in zip(batch, maps, strict=True):
                inside = part.rows.own_inside, part.columns.own_inside
                if label_map is None:
                    label_map = np.empty((height, width), labels.dtype)
                label_map[part.rows.own, part.columns.own] = labels[inside]
                score_map[part.rows.own, part.columns.own] = scores[inside]
        assert label_map is not None  # noqa: S101  no image is without pixels
        return self._joined(label_map, score_map, self._predicted(given, image))

    def _results(
        self, samples: Sequence[Sample], predicted: Sequence[Predicted]
    ) -> list[SemanticPrediction]:
        return [
            self._joined(labels, scores, about)
            for (labels, scores), about in zip(self._maps(samples), predicted, strict=True)
        ]

    def _maps(self, samples: Sequence[Sample]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Give the classes (H, W) and their probabilities (H, W, C) of each sample."""
        model = self._opened()
        task: SemanticTask = model.task  # type: ignore[assignment]
        narrow = np.uint8 if self.num_classes <= 255 else np.uint16
        return [
            (scores.argmax(axis=0).astype(narrow), scores.transpose(1, 2, 0))
            for scores in task.probabilities(model.session, samples)
        ]

    @staticmethod
    def _joined(labels: np.ndarray, scores: np.ndarray, about: Predicted) -> SemanticPrediction:
        return SemanticPrediction(
            about.name,
            about.source,
            about.image,
            labels,
            about.class_names,
            about.facts,
            about.settings.overlay_alpha,
            about.palette,
            about.origin,
            score_map=scores,
        )


def loss_settings(
    num_classes: int,
    *,
    use_bce_loss: bool,
    use_dice_loss: bool,
    class_weight: Sequence[float] | str | None,
    ignore_index: int,
    input_channel: int,
) -> dict[str, Any]:
    """Say in settings what the constructors of all PaddleX 1.x segmenters have in common.

    `class_weight` has one weight a class, or is "dynamic" for the inverse of each class's frequency
    in the batch, normalised to sum to the number of classes. Raises ConfigError.
    """
    terms: list[dict[str, Any]] = []
    if use_dice_loss:
        terms.append({"type": "DiceLoss"})
    if use_bce_loss:
        terms.append({"type": "BCELoss"})
    if terms and num_classes != 2:
        raise ConfigError(
            f"num_classes={num_classes}: use_bce_loss and use_dice_loss are for two classes"
        )
    weight = _class_weight(class_weight, num_classes)
    if terms and weight is not None:
        raise ConfigError(
            "class_weight weighs the cross entropy, which use_bce_loss and use_dice_loss replace: "
            "give one or the other"
        )
    if not terms:
        terms = [{"type": "CrossEntropyLoss", "weight": weight}]
    return {
        "data.ignore_index": ignore_index,
        "data.channels": input_channel,
        "train.losses": terms,
    }


def _class_weight(given: Sequence[float] | str | None, num_classes: int) -> list[Any] | str | None:
    if given is None:
        return None
    if isinstance(given, str):
        if given.lower() != "dynamic":
            raise ConfigError(f"class_weight={given!r}: give one number a class, or 'dynamic'")
        return "dynamic"
    if not isinstance(given, list | tuple):
        raise ConfigError(f"class_weight={given!r}: give one number a class, or 'dynamic'")
    if len(given) != num_classes:
        raise ConfigError(
            f"class_weight has {len(given)} numbers, but num_classes={num_classes}: give one a "
            "class"
        )
    return [plain_real(value) for value in given]


def _refuse_unknown(use_vdl: bool, sensitivities_file: str | None, eval_metric_loss: float) -> None:
    refuse_vdl(use_vdl)
    if sensitivities_file is not None or eval_metric_loss != 0.05:
        name = "sensitivities_file" if sensitivities_file is not None else "eval_metric_loss"
        raise RequestError(f"{name}: segcore does not prune networks; leave it out")


def _pair(given: Any) -> tuple[Any, ...]:
    """Give (width, height), also of a single side."""
    return tuple(given) if isinstance(given, Sequence | np.ndarray) else (given, given)


def _by_class(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])
