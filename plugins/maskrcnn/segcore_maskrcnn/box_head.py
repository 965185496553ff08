"""The box head: which class each proposal is of, and where its object really ends.

Names of layers are those of PaddleDetection's weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from segcore_maskrcnn.boxes import clip_boxes, decode, encode, image_index
from segcore_maskrcnn.matching import match, pick_balanced, pick_libra
from segcore_maskrcnn.nms import Suppression
from segcore_maskrcnn.resnet import LastStage

__all__ = ["BoxHead", "BoxLoss", "Proposals", "TwoLayers"]

_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of offsets, which are small beside ratios of sizes
_CIOU_WEIGHT = 10.0
_TINY = 1e-10


@dataclass(frozen=True)
class BoxLoss:
    """How proposals are chosen and judged in training.

    `batch_size` proposals of an image are looked at, of which `positive_share` at most overlap an
    object by `overlap`. `sampler` is "BBoxAssigner" or "LibraBBoxAssigner", `kind` "L1Loss",
    "SmoothL1Loss" or "CIoULoss".
    """

    kind: str = "L1Loss"
    sampler: str = "BBoxAssigner"
    batch_size: int = 512
    positive_share: float = 0.25
    overlap: float = 0.5


@dataclass
class Proposals:
    """The proposals that a training step looks at, those of the first image first.

    `boxes` (M, 4) with `counts` (N,) int32 of each image, `classes` (M,) where `num_classes` is the
    background, `objects` (M,), the index of the object within its image, `targets` (M, 4), its box.
    """

    boxes: Any
    counts: Any
    classes: np.ndarray
    objects: np.ndarray
    targets: Any


class TwoLayers(nn.Layer):
    """Two fully connected layers on features (M, C, 7, 7)."""

    def __init__(self, in_channels: int, channels: int, resolution: int = 7) -> None:
        super().__init__()
        self.out_channels = channels
        inputs = in_channels * resolution**2
        self.fc6 = nn.Linear(inputs, channels, weight_attr=_uniform(math.sqrt(3.0 / inputs)))
        self.fc7 = nn.Linear(channels, channels, weight_attr=_uniform(math.sqrt(3.0 / channels)))

    def forward(self, x: Any) -> Any:
        """Map (M, in_channels, resolution, resolution) to (M, channels)."""
        return functional.relu(self.fc7(functional.relu(self.fc6(x.flatten(1)))))


def _uniform(limit: float) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Uniform(-limit, limit))


def _normal(deviation: float) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, deviation))


class BoxHead(nn.Layer):
    """Classify what is in boxes and correct them; `head` looks at the features within."""

    def __init__(
        self, head: TwoLayers | LastStage, num_classes: int, loss: BoxLoss, nms: Suppression
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.loss = loss
        self.nms = nms
        self.head = head
        channels = head.out_channels
        self.bbox_score = nn.Linear(channels, num_classes + 1, weight_attr=_normal(0.01))
        self.bbox_delta = nn.Linear(channels, 4 * num_classes, weight_attr=_normal(0.001))

    def forward(self, features: Any) -> tuple[Any, Any, Any]:
        """Give logits (M, C + 1), background last, offsets (M, 4 * C) and what `head` makes."""
        seen = self.head(features)
        vector = seen if seen.ndim == 2 else seen.mean(axis=[2, 3])
        return self.bbox_score(vector), self.bbox_delta(vector), seen

    def choose(
        self,
        boxes: Any,
        counts: Any,
        objects: Sequence[Any],
        classes: Sequence[np.ndarray],
        generator: np.random.Generator | None,
    ) -> Proposals:
        """Pick the proposals to train on, and the objects' own boxes among them.

        `objects` (K, 4) and `classes` (K,) are of each image; see `BoxLoss`.
        """
        picked, labels, owners, targets = [], [], [], []
        for image, proposals in enumerate(paddle.split(boxes, counts.tolist())):
            truth = objects[image]
            candidates = paddle.concat([proposals, truth]) if truth.shape[0] else proposals
            overlap = self.loss.overlap
            found, near, overlaps = match(candidates, truth, overlap, overlap, keep_best=False)
            matches = found.numpy()
            pick = pick_libra if self.loss.sampler == "LibraBBoxAssigner" else pick_balanced
            positives, negatives = pick(
                near,
                self.loss.batch_size,
                self.loss.positive_share,
                generator=generator,
                matches=matches,
                overlaps=overlaps,
            )
            chosen = np.concatenate([positives, negatives])
            rows = paddle.to_tensor(chosen)
            picked.append(candidates.gather(rows))
            label = np.full(len(chosen), self.num_classes, np.int64)
            label[: len(positives)] = classes[image][matches[positives]]
            labels.append(label)
            owners.append(matches[chosen])
            targets.append(truth.gather(found.gather(rows)) if truth.shape[0] else picked[-1])
        return Proposals(
            boxes=paddle.concat(picked),
            counts=paddle.to_tensor([len(label) for label in labels], "int32"),
            classes=np.concatenate(labels),
            objects=np.concatenate(owners),
            targets=paddle.concat(targets),
        )

    def losses(self, scores: Any, deltas: Any, proposals: Proposals) -> dict[str, Any]:
        """Compare the logits and offsets of `proposals` with their classes and objects."""
        truth = paddle.to_tensor(proposals.classes)
        positives = np.flatnonzero(proposals.classes < self.num_classes)
        offsets = (deltas * 0.0).sum()  # part of the graph, so that every parameter has a gradient
        if len(positives):
            rows = paddle.to_tensor(positives)
            of_class = paddle.stack([rows, truth.gather(rows)], axis=1)
            found = deltas.reshape([-1, self.num_classes, 4]).gather_nd(of_class)  # (P, 4)
            anchors, targets = proposals.boxes.gather(rows), proposals.targets.gather(rows)
            wanted = encode(anchors, targets, _WEIGHTS)
            offsets = _distance(self.loss.kind, found, wanted).sum() / len(proposals.classes)
        return {
            "loss_bbox_cls": functional.cross_entropy(scores, truth),
            "loss_bbox_reg": offsets,
        }

    def predict(
        self, scores: Any, deltas: Any, boxes: Any, counts: Any, sizes: Any
    ) -> tuple[Any, Any]:
        """Give the objects, rows (K, 6) of class, score and box, and how many each image has.

        `boxes` (M, 4) are the proposals, `counts` (N,) of each image, and `sizes` (N, 2) the
        images' heights and widths.
        """
        found = decode(deltas, boxes, _WEIGHTS)  # (M, C, 4)
        found = clip_boxes(found, sizes.gather(image_index(counts, boxes)))
        probabilities = functional.softmax(scores)[:, : self.num_classes]
        return self.nms(found, probabilities, counts)


def _distance(kind: str, found: Any, wanted: Any) -> Any:
    """Give how far offsets (P, 4) are from those wanted, as terms to sum up."""
    if kind == "L1Loss":
        return (found - wanted).abs()
    if kind == "SmoothL1Loss":
        return functional.smooth_l1_loss(found, wanted, reduction="none", delta=1.0)
    return _CIOU_WEIGHT * _complete_iou_loss(found, wanted)


def _complete_iou_loss(found: Any, wanted: Any) -> Any:
    """Compare boxes as if the proposal were the unit square: the overlap is the same.

    Paper: Zheng et al., "Distance-IoU Loss", https://arxiv.org/abs/1911.08287
    """
    unit = paddle.to_tensor([[-0.5, -0.5, 0.5, 0.5]]).expand(found.shape)
    box, truth = decode(found, unit, _WEIGHTS)[:, 0], decode(wanted, unit, _WEIGHTS)[:, 0]
    size, true_size = box[:, 2:] - box[:, :2], truth[:, 2:] - truth[:, :2]
    inner = paddle.minimum(box[:, 2:], truth[:, 2:]) - paddle.maximum(box[:, :2], truth[:, :2])
    outer = paddle.maximum(box[:, 2:], truth[:, 2:]) - paddle.minimum(box[:, :2], truth[:, :2])
    common = paddle.clip(inner, min=0.0).prod(axis=1)
    overlap = common / (size.prod(axis=1) + true_size.prod(axis=1) - common + _TINY)
    apart = ((box[:, :2] + box[:, 2:] - truth[:, :2] - truth[:, 2:]) ** 2).sum(axis=1) / 4
    distance = apart / ((outer**2).sum(axis=1) + _TINY)
    angle = paddle.atan(true_size[:, 0] / true_size[:, 1]) - paddle.atan(size[:, 0] / size[:, 1])
    shape = 4 / math.pi**2 * angle**2
    weight = (shape / (1 - overlap + shape + _TINY)).detach()
    return 1 - overlap + distance + weight * shape
