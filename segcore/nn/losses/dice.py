"""Dice loss: one minus the overlap of prediction and label, class by class.

Paper: Milletari et al., "V-Net", 3DV 2016, https://arxiv.org/abs/1606.04797, here with the sum of
the probabilities in the denominator instead of that of their squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddle import nn
from paddle.nn import functional

from segcore.nn.losses.pixel import PixelLabels, class_weights

__all__ = ["DiceLoss"]

_EPSILON = 1e-8


class DiceLoss(nn.Layer):
    """Average 1 - (2 |P and L| + smooth) / (|P| + |L| + smooth) over images and classes.

    P are softmax probabilities, L the labels. `weight` multiplies the term of each class. Classes
    absent from an image count, too: there the loss pushes their probability down.
    """

    def __init__(
        self,
        weight: Sequence[float] | None = None,
        ignore_index: int = 255,
        smooth: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.ignore_index = ignore_index
        self.smooth = smooth

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar.

        Raises ConfigError when the number of weights is not C.
        """
        pixels = PixelLabels(logits, labels, self.ignore_index)
        hot = pixels.one_hot()
        probabilities = functional.softmax(logits, axis=1) * pixels.valid
        overlap = (probabilities * hot).sum(axis=[2, 3])  # (N, C)
        areas = probabilities.sum(axis=[2, 3]) + hot.sum(axis=[2, 3])
        terms = 1.0 - (2.0 * overlap + self.smooth) / (areas + self.smooth + _EPSILON)
        weights = class_weights(self.weight, pixels.num_classes, type(self).__name__)
        return terms.mean() if weights is None else (terms * weights).mean()
