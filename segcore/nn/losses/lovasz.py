"""Lovasz losses: convex surrogates of the intersection over union itself.

The Lovasz extension of the Jaccard loss weighs the sorted errors of all pixels by how much each one
changes the loss. Papers: Berman et al., "The Lovasz-Softmax loss", CVPR 2018,
https://arxiv.org/abs/1705.08790; Yu and Blaschko, "The Lovasz Hinge", https://arxiv.org/abs/1512.07797
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.errors import ConfigError
from segcore.nn.losses.pixel import PixelLabels

__all__ = ["LovaszHingeLoss", "LovaszSoftmaxLoss"]


class LovaszSoftmaxLoss(nn.Layer):
    """Average over classes the Lovasz extension of 1 - IoU at the errors |label - probability|.

    The pixels of the whole batch count as one image. `classes` are those that the labels contain
    ("present"), "all", or a list of numbers.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        classes: Literal["present", "all"] | Sequence[int] = "present",
    ) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.classes = classes

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar.

        Raises ConfigError when `classes` names one that the network does not have.
        """
        pixels = PixelLabels(logits, labels, self.ignore_index)
        probabilities = functional.softmax(logits, axis=1)
        hot = pixels.one_hot()
        valid = _valid_positions(pixels)
        if valid.shape[0] == 0:
            return probabilities.sum() * 0.0
        losses = []
        for number in self._classes(pixels.num_classes):
            truth = paddle.gather(hot[:, number].flatten(), valid)
            if self.classes == "present" and not bool(truth.any()):
                continue
            probability = paddle.gather(probabilities[:, number].flatten(), valid)
            errors = (truth - probability).abs()
            losses.append((errors * _jaccard_slopes(errors, truth)).sum())
        return paddle.stack(losses).mean()

    def _classes(self, num_classes: int) -> Sequence[int]:
        if isinstance(self.classes, str):
            return range(num_classes)
        if max(self.classes) >= num_classes:
            raise ConfigError(
                f"LovaszSoftmaxLoss.classes names class {max(self.classes)}, but there are "
                f"{num_classes} (0 to {num_classes - 1})."
            )
        return self.classes


class LovaszHingeLoss(nn.Layer):
    """Lovasz extension of 1 - IoU at the hinge errors 1 - score * sign, for labels 0 and 1.

    One channel of logits is the score. Two are reduced to log(p + e / (1 - p + e)) with p the
    softmax probability of class 1 and e = 1e-9, as the reference does; that is nearly log(p), so
    prefer one channel for a true hinge.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, 1 or 2, H, W) against labels (N, H, W) to a scalar.

        Raises ConfigError for another number of channels.
        """
        if logits.shape[1] > 2:
            raise ConfigError(
                f"LovaszHingeLoss is for two classes, but the network has {logits.shape[1]}: use "
                f"LovaszSoftmaxLoss."
            )
        pixels = PixelLabels(logits, labels, self.ignore_index, is_binary=True)
        scores = logits if logits.shape[1] == 1 else _score_of_pair(logits)
        valid = _valid_positions(pixels)
        if valid.shape[0] == 0:
            return scores.sum() * 0.0
        truth = paddle.gather(pixels.index.flatten(), valid).astype(logits.dtype)
        errors = 1.0 - paddle.gather(scores.flatten(), valid) * (2.0 * truth - 1.0)
        # slopes follow the order of the errors before they are cut off at 0
        return (functional.relu(errors) * _jaccard_slopes(errors, truth)).sum()


def _score_of_pair(logits: Any, epsilon: float = 1e-9) -> Any:
    probability = functional.softmax(logits, axis=1)[:, 1:]
    return paddle.log(probability + epsilon / (1.0 - probability + epsilon))


def _valid_positions(pixels: PixelLabels) -> Any:
    """Give the flat positions of the pixels that are not ignored: (P,)."""
    with paddle.no_grad():
        return paddle.nonzero(pixels.is_valid.flatten()).flatten()


def _jaccard_slopes(errors: Any, truth: Any) -> Any:
    """Give by how much each error (P,) moves the Jaccard loss against `truth` (P,) of 0 and 1.

    This is the gradient of the Lovasz extension, algorithm 1 of the paper, brought back to the
    order of the pixels so that the loss is a plain product and sorting needs no gradient.
    """
    with paddle.no_grad():
        order = paddle.argsort(errors, descending=True)
        sorted_truth = paddle.gather(truth, order)
        positives = sorted_truth.sum()
        intersection = positives - paddle.cumsum(sorted_truth)
        union = positives + paddle.cumsum(1.0 - sorted_truth)
        jaccard = 1.0 - intersection / union
        slopes = paddle.concat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        return paddle.scatter(paddle.zeros_like(slopes), order, slopes)
