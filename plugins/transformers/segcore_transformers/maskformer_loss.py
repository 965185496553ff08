"""The loss of MaskFormer: match segments with the classes of an image, then compare the pairs.

Matching and costs are those of DETR (https://arxiv.org/abs/2005.12872) with a focal and a Dice term
for the masks (MaskFormer, https://arxiv.org/abs/2107.06278, section 3.3). The targets of an image
are the classes that it has, in ascending order, each with a binary mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from segcore.errors import ConfigError, LabelError
from segcore.nn.resize import resize
from segcore_transformers.assignment import assign

__all__ = ["MaskFormerLoss"]

# Constants of the focal loss in all published trainings.
_ALPHA = 0.25
_GAMMA = 2


@dataclass(frozen=True)
class _Target:
    """What an image shows: `classes` (M,), int64, and their `masks` (M, H, W) of 0.0 and 1.0."""

    classes: np.ndarray
    masks: Any


class MaskFormerLoss(nn.Layer):
    """Add up cross entropy, `mask_weight` times focal and `dice_weight` times Dice loss.

    Every decoder layer counts, with a matching of its own. `eos_coef` is the weight of "nothing",
    the class of segments without a partner. A pixel of `ignore_index` belongs to no mask: it counts
    as outside of all of them, as in the published trainings. A batch of nothing but such pixels
    has a loss of 0 and no gradient.
    """

    def __init__(
        self,
        eos_coef: float = 0.1,
        mask_weight: float = 20.0,
        dice_weight: float = 1.0,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.eos_coef = eos_coef
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.ignore_index = ignore_index

    def forward(self, outputs: Any, labels: Any) -> Any:
        """Reduce a training output of `MaskFormer` against labels (N, H, W) to a scalar.

        Raises ConfigError for the output of another network, LabelError for a class that does not
        exist.
        """
        if not isinstance(outputs, Mapping) or "pred_masks" not in outputs:
            raise ConfigError(
                "MaskFormerLoss compares segments, which MaskFormer gives in training, but this "
                "network gives something else: use another loss in train.losses"
            )
        layers = [*outputs.get("aux_outputs", ()), outputs]
        num_classes = int(outputs["pred_logits"].shape[2]) - 1
        targets = self._targets(labels, num_classes)
        if not any(target.classes.size for target in targets):
            return sum((x["pred_logits"].sum() + x["pred_masks"].sum()) * 0.0 for x in layers)
        losses = [self._layer_loss(layer, targets) for layer in layers]
        return sum(losses[1:], losses[0])

    def _targets(self, labels: Any, num_classes: int) -> list[_Target]:
        if len(labels.shape) == 4:
            labels = labels.squeeze(1)
        targets = []
        with paddle.no_grad():
            for label, values in zip(labels, labels.numpy(), strict=True):
                classes = np.unique(values).astype(np.int64)
                classes = classes[classes != self.ignore_index]
                self._check(classes, num_classes)
                numbers = paddle.to_tensor(classes).astype(label.dtype).reshape([-1, 1, 1])
                # an image without targets has no tensor to compute with
                masks = (label.unsqueeze(0) == numbers).astype("float32") if classes.size else None
                targets.append(_Target(classes, masks))
        return targets

    def _check(self, classes: np.ndarray, num_classes: int) -> None:
        wrong = classes[(classes < 0) | (classes >= num_classes)]
        if wrong.size:
            raise LabelError(
                f"a label has class {wrong[0]}, but the network tells {num_classes} classes apart "
                f"(valid: 0 to {num_classes - 1}, {self.ignore_index} is ignored). Fix the labels, "
                f"or set data.num_classes or data.ignore_index."
            )

    def _layer_loss(self, segments: Mapping[str, Any], targets: Sequence[_Target]) -> Any:
        """Match the segments of one decoder layer and compare them: a scalar."""
        is_double = segments["pred_logits"].dtype == paddle.float64
        dtype = "float64" if is_double else "float32"  # half precision is too coarse
        logits = segments["pred_logits"].astype(dtype)  # (N, Q, C + 1)
        masks = segments["pred_masks"].astype(dtype)  # (N, Q, h, w), h and w those of a feature
        nothing = logits.shape[2] - 1
        wanted = np.full(logits.shape[:2], nothing, np.int64)
        pairs = sum(target.classes.size for target in targets)
        focal, dice = [], []
        for index, target in enumerate(targets):
            if target.classes.size == 0:
                continue
            queries, numbers = self._match(logits[index], masks[index], target)
            wanted[index, queries] = target.classes[numbers]
            found = paddle.gather(masks[index], paddle.to_tensor(queries))
            truth = paddle.gather(target.masks, paddle.to_tensor(numbers)).flatten(1)
            truth = truth.astype(dtype)
            found = resize(found.unsqueeze(0), target.masks.shape[1:]).squeeze(0).flatten(1)
            focal.append(_focal(found, truth))
            dice.append(_dice(found, truth))
        weights = np.ones(nothing + 1)
        weights[nothing] = self.eos_coef
        cross_entropy = functional.cross_entropy(
            logits,
            paddle.to_tensor(wanted),
            weight=paddle.to_tensor(weights, dtype),
            ignore_index=-100,
        )
        mask_loss = self.mask_weight * sum(focal) + self.dice_weight * sum(dice)
        return cross_entropy + mask_loss / pairs

    def _match(self, logits: Any, masks: Any, target: _Target) -> tuple[np.ndarray, np.ndarray]:
        """Pair segments of one image with classes of `target`: indices of both, int64."""
        with paddle.no_grad():
            classes = paddle.to_tensor(target.classes)
            likelihood = paddle.gather(functional.softmax(logits), classes, axis=1)  # (Q, M)
            small = resize(target.masks.unsqueeze(0), masks.shape[1:], "nearest")
            truth = small.squeeze(0).flatten(1).astype(masks.dtype)  # (M, h * w)
            found = masks.flatten(1)  # (Q, h * w)
            costs = self.mask_weight * _focal_costs(found, truth) - likelihood
            costs = costs + self.dice_weight * _dice_costs(found, truth)
        # A network that diverged matches nothing better than anything else; its loss is not finite
        # either, which is what stops the training.
        return assign(np.nan_to_num(costs.numpy()))


def _focal(logits: Any, truth: Any) -> Any:
    """Give the focal loss of masks (M, P) against 0.0 and 1.0, averaged over P, summed over M."""
    signed = logits * (truth * 2.0 - 1.0)
    alpha = truth * _ALPHA + (1.0 - truth) * (1.0 - _ALPHA)
    losses = alpha * functional.sigmoid(-signed) ** _GAMMA * functional.softplus(-signed)
    return losses.mean(axis=1).sum()


def _dice(logits: Any, truth: Any) -> Any:
    """Give the Dice loss of masks (M, P) against 0.0 and 1.0, summed over M."""
    probability = functional.sigmoid(logits)
    overlap = (probability * truth).sum(axis=1)
    areas = probability.sum(axis=1) + truth.sum(axis=1)
    return (1.0 - (2.0 * overlap + 1.0) / (areas + 1.0)).sum()


def _focal_costs(logits: Any, truth: Any) -> Any:
    """Give the focal loss of each mask (Q, P) against each truth (M, P), a mean over P: (Q, M)."""
    probability = functional.sigmoid(logits)
    inside = _ALPHA * (1.0 - probability) ** _GAMMA * functional.softplus(-logits)
    outside = (1.0 - _ALPHA) * probability**_GAMMA * functional.softplus(logits)
    costs = paddle.matmul(inside, truth, transpose_y=True)
    return (costs + paddle.matmul(outside, 1.0 - truth, transpose_y=True)) / logits.shape[1]


def _dice_costs(logits: Any, truth: Any) -> Any:
    """Give the Dice loss of each mask (Q, P) against each truth (M, P): (Q, M)."""
    probability = functional.sigmoid(logits)
    overlap = paddle.matmul(probability, truth, transpose_y=True)
    areas = probability.sum(axis=1, keepdim=True) + truth.sum(axis=1).unsqueeze(0)
    return 1.0 - (2.0 * overlap + 1.0) / (areas + 1.0)
