"""Cross entropy over pixels, with class weights and mining of the hardest pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import paddle
from paddle import nn

from segcore.nn.losses.pixel import (
    PixelLabels,
    class_weights,
    gather_weights,
    inverse_frequencies,
    pixel_cross_entropy,
)

__all__ = ["CrossEntropyLoss"]

_EPSILON = 1e-8  # keeps a batch without valid pixels at 0 / epsilon = 0


class CrossEntropyLoss(nn.Layer):
    """Average -log softmax(logits)[label] over the pixels.

    `weight` has one number a class, or is "dynamic": the inverse of each class's frequency in the
    batch, normalised to sum to the number of classes. `avg_non_ignore` divides by the (weighted)
    count of valid pixels, else by the count of all pixels. `top_k_percent_pixels` below 1 averages
    over that share of all pixels, the ones with the largest loss; with `avg_non_ignore` ignored
    pixels among them do not count.
    """

    def __init__(
        self,
        weight: Sequence[float] | Literal["dynamic"] | None = None,
        ignore_index: int = 255,
        top_k_percent_pixels: float = 1.0,
        avg_non_ignore: bool = True,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.ignore_index = ignore_index
        self.top_k_percent_pixels = top_k_percent_pixels
        self.avg_non_ignore = avg_non_ignore

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar.

        Raises ConfigError when the number of weights is not C.
        """
        pixels = PixelLabels(logits, labels, self.ignore_index)
        losses = pixel_cross_entropy(logits, pixels)
        share = pixels.valid
        weights = self._weights(pixels)
        if weights is not None:
            share = gather_weights(weights, pixels)
            losses = losses * share
        if not self.avg_non_ignore:
            share = paddle.ones_like(pixels.valid)
        if self.top_k_percent_pixels < 1.0:
            count = max(1, int(self.top_k_percent_pixels * pixels.valid.size))
            losses, hardest = paddle.topk(losses.flatten(), count)
            share = paddle.gather(share.flatten(), hardest)
        return losses.mean() / (share.mean() + _EPSILON)

    def _weights(self, pixels: PixelLabels) -> Any:
        if self.weight == "dynamic":
            return inverse_frequencies(pixels)
        return class_weights(self.weight, pixels.num_classes, type(self).__name__)
