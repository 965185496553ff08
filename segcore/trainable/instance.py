"""Trainable models of instance segmentation: each object by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np
from typing_extensions import Self

from segcore.errors import RequestError
from segcore.given import plain_real
from segcore.inference.instance_result import InstanceResult
from segcore.tasks.instances import Detections, Truth, mask_rle
from segcore.tasks.rle import decode_mask, rle_json
from segcore.trainable.datasets import AnyDataset, CocoDetection
from segcore.trainable.det_transforms import ComposedRCNNTransforms
from segcore.trainable.model import DefaultWeights, TrainableModel, TrainRequest, refuse_vdl
from segcore.trainable.transforms import Compose

if TYPE_CHECKING:
    from segcore.protocols import Dataset
    from segcore.tasks.result import Predicted
    from segcore.tasks.sample import Sample

__all__ = ["InstanceModel", "InstancePrediction"]

log = logging.getLogger(__name__)

_IMAGENET = DefaultWeights("IMAGENET")
_RANDOM = ("RandomHorizontalFlip", "RandomDistort")
_DETAILS = "details"
# of boxes and of masks: PaddleX's names of the values, and segcore's
_METRICS: Mapping[str, Mapping[str, str]] = {
    "COCO": {"bbox_mmap": "box_ap", "segm_mmap": "mask_ap"},
    "VOC": {"bbox_map": "box_ap50", "segm_map": "mask_ap50"},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class InstancePrediction(InstanceResult, Sequence[dict[str, Any]]):
    """A result that also answers as PaddleX's list: a dictionary for each object, best first.

    `category_id` counts from 0, as `labels` of the model does, and `category` is its name; `bbox`
    is x, y, width and height in pixels, `mask` (H, W) uint8 is 1 on the object, `score` is in 0..1.
    The list has all objects that were `found`; drawings and JSON those of `detections`, which score
    high enough.
    """

    found: Detections

    @classmethod
    def of(cls, prediction: Detections, predicted: Predicted) -> Self:
        shown = InstanceResult.of(prediction, predicted)
        values = {field.name: getattr(shown, field.name) for field in fields(shown)}
        return cls(**values, found=prediction)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._objects[index]

    def __len__(self) -> int:
        return len(self.found)

    @cached_property
    def _objects(self) -> list[dict[str, Any]]:
        found = self.found
        return [
            {
                "category_id": int(number),
                "category": self._class_name(int(number)),
                "bbox": _as_box(box),
                "score": float(score),
                "mask": decode_mask(mask),
            }
            for number, box, score, mask in zip(
                found.classes, found.boxes, found.scores, found.masks, strict=True
            )
        ]


def _step_schedule(
    steps: int,
    *,
    lr_decay_epochs: Sequence[int],
    gamma: float,
    warmup_steps: int,
    warmup_start_lr: float,
) -> dict[str, Any]:
    """Give the schedule of a training that takes `steps` iterations an epoch."""
    milestones = sorted(epoch * steps for epoch in lr_decay_epochs)
    if milestones and warmup_steps > milestones[0]:
        log.warning(
            "warmup_steps=%d ends after lr_decay_epochs=%s begin, at iteration %d: take fewer "
            "steps, or later epochs",
            *(warmup_steps, list(lr_decay_epochs), milestones[0]),
        )
    return {
        "train.schedule": {
            "type": "step",
            "milestones": milestones,
            "gamma": gamma,
            "warmup_iters": warmup_steps,
            "warmup_start_lr": warmup_start_lr,
        }
    }


class InstanceModel(TrainableModel):
    """An instance network by name, with the methods of PaddleX 1.x's Mask R-CNN."""

    weight_decay: ClassVar[float] = 1e-4
    transforms: ClassVar[Mapping[str, Compose]] = {
        "train": ComposedRCNNTransforms("train"),
        "val": ComposedRCNNTransforms("eval"),
    }

    def train(
        self,
        num_epochs: int,
        train_dataset: AnyDataset,
        train_batch_size: int = 1,
        eval_dataset: AnyDataset | None = None,
        save_interval_epochs: int = 1,
        log_interval_steps: int = 2,
        save_dir: str | Path = "output",
        pretrain_weights: str | Path | None = _IMAGENET,
        optimizer: str | Mapping[str, Any] | None = None,
        learning_rate: float = 1.0 / 800,
        warmup_steps: int = 500,
        warmup_start_lr: float = 1.0 / 2400,
        lr_decay_epochs: Sequence[int] = [8, 11],
        lr_decay_gamma: float = 0.1,
        metric: str | None = None,
        use_vdl: bool = False,
        early_stop: bool = False,
        early_stop_patience: int = 5,
        resume_checkpoint: str | Path | None = None,
    ) -> dict[str, Any]:
        """Train, and go on with the best weights; give what train_result.json holds.

        Datasets are a `CocoDetection`, the folder of a COCO dataset, or any object of the protocol
        `Dataset`; a folder is trained on by instance_train.json and measured on by
        instance_val.json. `learning_rate` is reached after `warmup_steps` iterations, linearly
        from `warmup_start_lr`, and multiplied by `lr_decay_gamma` after each of `lr_decay_epochs`.
        The best weights are those with the best box AP: at IoU 0.50 to 0.95 with `metric` COCO,
        which None is, at 0.50 with VOC. `pretrain_weights` is a name such as COCO, a path or an
        address; layers for another number of classes start anew, and a log line names them.
        `optimizer` is None for momentum 0.9 with weight decay, the name of another, or the section
        `train.optimizer` as a mapping. Without `eval_dataset` nothing is measured and the newest
        weights count as the best. `early_stop` ends the training after `early_stop_patience`
        measurements without a better one. `resume_checkpoint` is `save_dir` again, or the newest
        checkpoint in it. The engine does not know VisualDL: `use_vdl=True` is refused. Raises
        SegcoreError.
        """
        refuse_vdl(use_vdl)
        settings = {
            "train.learning_rate": plain_real(learning_rate),
            "train.optimizer": self._optimizer(optimizer),
            "eval.best": next(iter(_names_of(metric or "COCO").values())),
        }
        if eval_dataset is None and isinstance(train_dataset, CocoDetection):
            # without images to measure on, those to predict are prepared as in training
            steps = train_dataset.transforms or self.transforms["train"]
            settings["eval.transforms"] = [
                step for step in steps.components() if step["type"] not in _RANDOM
            ]
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
                settings_by_epoch=partial(
                    _step_schedule,
                    lr_decay_epochs=lr_decay_epochs,
                    gamma=plain_real(lr_decay_gamma),
                    warmup_steps=warmup_steps,
                    warmup_start_lr=plain_real(warmup_start_lr),
                ),
            )
        )

    def evaluate(
        self,
        eval_dataset: AnyDataset,
        batch_size: int = 1,
        epoch_id: int | None = None,
        metric: str | None = None,
        return_details: bool = False,
    ) -> dict[str, float] | tuple[dict[str, float], dict[str, Any]]:
        """Measure the model: average precision, with `return_details` all that was found as well.

        With `metric` COCO these are `bbox_mmap` and `segm_mmap`, the means over IoU thresholds of
        0.50 to 0.95, with VOC `bbox_map` and `segm_map` at 0.50; None is what the model was trained
        with. NaN stands for a dataset without objects. The details are `bbox` and `mask`, lists of
        objects in the form of COCO's results, and `gt`, the truth in the form of COCO's files.
        `epoch_id` is only logged. Raises SegcoreError.
        """
        best = self._opened().config.eval.best
        trained_with = "VOC" if best in _METRICS["VOC"].values() else "COCO"
        names = _names_of(metric or trained_with)
        if epoch_id is not None:
            log.info("measuring %s of epoch %d", self.name, epoch_id)
        found = self._measure(eval_dataset, batch_size, _Details if return_details else None)
        missing = [name for name in names.values() if name not in found]
        if missing:
            raise RequestError(
                f"{self.name} is not measured by {', '.join(missing)}: eval.metrics must name "
                "COCOMetrics, of segcore-maskrcnn"
            )
        metrics = {
            theirs: float("nan") if found[ours] is None else found[ours]
            for theirs, ours in names.items()
        }
        return (metrics, found[_DETAILS]) if return_details else metrics

    def _results(
        self, samples: Sequence[Sample], predicted: Sequence[Predicted]
    ) -> list[InstancePrediction]:
        model = self._opened()
        return [
            InstancePrediction.of(found, about)
            for found, about in zip(
                model.task.infer(model.session, samples), predicted, strict=True
            )
        ]


class _Details:
    """Keep what was found and what is true of each image of `dataset`, in COCO's forms."""

    def __init__(self, dataset: Dataset) -> None:
        numbers = range(1, len(dataset) + 1)
        classes = range(1, len(dataset.class_names) + 1)
        self._image_ids: Sequence[int] = getattr(dataset, "image_ids", numbers)
        self._category_ids: Sequence[int] = getattr(dataset, "category_ids", classes)
        self._bbox: list[dict[str, Any]] = []
        self._mask: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [
            {"id": category_id, "name": name}
            for category_id, name in zip(self._category_ids, dataset.class_names, strict=True)
        ]

    def update(self, prediction: Detections, truth: Truth) -> None:
        """Take the next image of the dataset."""
        image_id = self._image_ids[len(self._images)]
        height, width = truth.size
        self._images.append({"id": image_id, "width": width, "height": height})
        for number, mask in enumerate(prediction.masks):
            common = {
                "image_id": image_id,
                "category_id": self._category_ids[prediction.classes[number]],
                "score": float(prediction.scores[number]),
            }
            self._bbox.append({**common, "bbox": _as_box(prediction.boxes[number])})
            self._mask.append({**common, "segmentation": rle_json(mask)})
        known = truth.instances
        for number, outline in enumerate(known.masks):
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": self._category_ids[known.classes[number]],
                    "bbox": _as_box(known.boxes[number]),
                    "area": float(known.areas[number]),
                    "iscrowd": int(known.is_crowd[number]),
                    "segmentation": rle_json(mask_rle(outline, truth.size)),
                }
            )

    def compute(self) -> dict[str, Any]:
        """Give all of it as `details`."""
        truth = {
            "images": self._images,
            "categories": self._categories,
            "annotations": self._annotations,
        }
        return {_DETAILS: {"bbox": self._bbox, "mask": self._mask, "gt": truth}}


def _names_of(metric: str) -> Mapping[str, str]:
    if metric not in _METRICS:
        raise RequestError(f"metric={metric!r}: give 'COCO' or 'VOC'")
    return _METRICS[metric]


def _as_box(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1]
