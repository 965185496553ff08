"""The region proposal network: boxes that hold an object of whatever class.

A small convolution looks at every pixel of every feature map and says for each anchor there whether
it is near an object, and how to move it. Paper: Ren et al., "Faster R-CNN: Towards Real-Time Object
Detection with Region Proposal Networks", https://arxiv.org/abs/1506.01497

Names of layers are those of PaddleDetection's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional
from paddle.vision import ops

from segcore_maskrcnn.anchors import AnchorGrid
from segcore_maskrcnn.boxes import best_of_each_image, encode, image_index
from segcore_maskrcnn.matching import match, pick_balanced

__all__ = ["ProposalCounts", "RPNHead", "RPNLoss"]

_FOCAL_PRIOR = 0.01  # the score that focal loss starts from, "Focal Loss", section 3.3
_UNIT = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ProposalCounts:
    """How many boxes go into suppression, come out of it on each map, and are kept in all."""

    before: int
    after: int
    kept: int
    overlap: float = 0.7


@dataclass(frozen=True)
class RPNLoss:
    """How anchors are chosen and judged in training.

    `kind` "SigmoidCrossEntropy" looks at `batch_size` anchors an image, of which `positive_share`
    at most are positive; "SigmoidFocalLoss" looks at all of them.
    """

    kind: str = "SigmoidCrossEntropy"
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    batch_size: int = 256
    positive_share: float = 0.5
    positive_overlap: float = 0.7
    negative_overlap: float = 0.3


class _Feature(nn.Layer):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2D(channels, channels, 3, padding=1, weight_attr=_normal())

    def forward(self, x: Any) -> Any:
        return functional.relu(self.rpn_conv(x))


def _normal() -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.01))


class RPNHead(nn.Layer):
    """Score and move the anchors of `anchors` on features of `channels` channels."""

    def __init__(
        self,
        channels: int,
        anchors: AnchorGrid,
        training_counts: ProposalCounts,
        inference_counts: ProposalCounts,
        loss: RPNLoss,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.training_counts = training_counts
        self.inference_counts = inference_counts
        self.loss = loss
        self.rpn_feat = _Feature(channels)
        self.rpn_rois_score = nn.Conv2D(channels, anchors.count, 1, weight_attr=_normal())
        self.rpn_rois_delta = nn.Conv2D(channels, 4 * anchors.count, 1, weight_attr=_normal())
        if loss.kind == "SigmoidFocalLoss":
            bias = self.rpn_rois_score.bias
            bias.set_value(
                paddle.full(bias.shape, float(np.log(_FOCAL_PRIOR / (1 - _FOCAL_PRIOR))))
            )

    def forward(self, features: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Give for each map the logits (N, A, H, W), offsets (N, 4 * A, H, W) and anchors."""
        seen = [self.rpn_feat(feature) for feature in features]
        scores = [self.rpn_rois_score(x) for x in seen]
        deltas = [self.rpn_rois_delta(x) for x in seen]
        return scores, deltas, self.anchors(features)

    def propose(
        self, scores: list[Any], deltas: list[Any], anchors: list[Any], sizes: Any
    ) -> tuple[Any, Any]:
        """Give the best boxes of all images (M, 4), and how many are of each (N,), int32.

        `sizes` (N, 2) are height and width of each image, without the padding of the batch.
        """
        counts = self.training_counts if self.training else self.inference_counts
        boxes, logits, numbers = [], [], []
        for level in range(len(scores)):
            level_boxes, level_logits, level_numbers = ops.generate_proposals(
                scores[level],
                deltas[level],
                sizes,
                anchors[level],
                paddle.ones(paddle.shape(anchors[level])),
                pre_nms_top_n=counts.before,
                post_nms_top_n=counts.after,
                nms_thresh=counts.overlap,
                min_size=0.0,
                eta=1.0,
                return_rois_num=True,
            )
            boxes.append(level_boxes)
            logits.append(level_logits.flatten())
            numbers.append(_typed(level_boxes, level_numbers))
        if len(scores) == 1:
            return boxes[0], numbers[0]
        image = paddle.concat([image_index(numbers[i], boxes[i]) for i in range(len(boxes))])
        in_all = paddle.stack(numbers).sum(axis=0)
        chosen, kept = best_of_each_image(paddle.concat(logits), image, in_all, counts.kept)
        return paddle.concat(boxes).gather(chosen), kept

    def losses(
        self,
        scores: list[Any],
        deltas: list[Any],
        anchors: list[Any],
        objects: Sequence[Any],
        generator: np.random.Generator | None,
    ) -> dict[str, Any]:
        """Compare with `objects`, the boxes (K, 4) of each image; see `RPNLoss`."""
        flat_scores = paddle.concat([_rows(score, 1) for score in scores], axis=1)  # (N, M, 1)
        flat_deltas = paddle.concat([_rows(delta, 4) for delta in deltas], axis=1)  # (N, M, 4)
        grid = paddle.concat(anchors)  # (M, 4)
        positives, negatives, targets = [], [], []
        for image, boxes in enumerate(objects):
            found, labels, _ = match(
                grid,
                boxes,
                self.loss.positive_overlap,
                self.loss.negative_overlap,
                keep_best=True,
            )
            chosen, others = self._choose(labels, generator)
            positives.append(chosen + image * len(labels))
            negatives.append(others + image * len(labels))
            if len(chosen):
                rows = paddle.to_tensor(chosen)
                near = boxes.gather(found.gather(rows))
                targets.append(encode(grid.gather(rows), near, _UNIT))
        positive, negative = np.concatenate(positives), np.concatenate(negatives)
        looked_at = self.loss.batch_size * len(objects)
        if self.loss.kind == "SigmoidFocalLoss":
            looked_at = max(len(positive), 1)
        right = self._score_loss(flat_scores.reshape([-1]), positive, negative)
        # part of the graph in any case, so that every parameter has a gradient
        moved = (flat_deltas * 0.0).sum()
        if targets:
            found = flat_deltas.reshape([-1, 4]).gather(paddle.to_tensor(positive))
            moved = (found - paddle.concat(targets)).abs().sum()
        return {"loss_rpn_cls": right / looked_at, "loss_rpn_reg": moved / looked_at}

    def _choose(
        self, labels: np.ndarray, generator: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.loss.kind == "SigmoidFocalLoss":
            return np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        share = self.loss.positive_share
        return pick_balanced(labels, self.loss.batch_size, share, generator=generator)

    def _score_loss(self, scores: Any, positives: np.ndarray, negatives: np.ndarray) -> Any:
        """Sum up the terms of the anchors `positives` and `negatives` of `scores` (M,)."""
        logits = scores.gather(paddle.to_tensor(np.concatenate([positives, negatives])))
        labels = np.repeat([1.0, 0.0], [len(positives), len(negatives)])
        truth = paddle.to_tensor(labels, logits.dtype)
        terms = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        if self.loss.kind == "SigmoidFocalLoss":
            right = paddle.exp(-terms)  # the probability of the right answer
            alpha = self.loss.focal_alpha * truth + (1 - self.loss.focal_alpha) * (1 - truth)
            terms = alpha * (1 - right) ** self.loss.focal_gamma * terms
        return terms.sum()


def _typed(boxes: Any, numbers: Any) -> Any:
    """Give the `numbers` of boxes of each image as what they are, int32.

    While graphs are traced, Paddle (seen in 3.3.1) takes this output of `generate_proposals` for
    float32, and whatever computes with it fails when the graph runs. The operator that shares boxes
    out among maps counts them anew, with the right type.
    """
    if paddle.in_dynamic_mode():
        return numbers
    shares = ops.distribute_fpn_proposals(boxes, 2, 3, 2, 224, rois_num=numbers)[2]
    return shares[0] + shares[1]


def _rows(x: Any, width: int) -> Any:
    """Bring (N, A * width, H, W) to (N, H * W * A, width), the order of anchors."""
    return x.transpose([0, 2, 3, 1]).reshape([x.shape[0], -1, width])
