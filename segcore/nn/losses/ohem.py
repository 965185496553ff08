"""Cross entropy with online hard example mining: only pixels that are still wrong teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn

from segcore.nn.losses.pixel import (
    PixelLabels,
    class_weights,
    gather_weights,
    pixel_cross_entropy,
)

__all__ = ["OhemCrossEntropyLoss"]

_EPSILON = 1e-5  # as in the reference, where it is large enough to be seen in the fifth digit


class OhemCrossEntropyLoss(nn.Layer):
    """Average cross entropy over the pixels whose own class has a probability below `thresh`.

    Where fewer than `min_kept` pixels of the batch are that hard, the threshold rises to the
    probability of the `min_kept`-th hardest one. A batch with at most `min_kept` valid pixels keeps
    them all. `weight` multiplies each pixel's loss by its class; the average counts pixels, not
    weights.
    """

    def __init__(
        self,
        thresh: float = 0.7,
        min_kept: int = 10000,
        ignore_index: int = 255,
        weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.thresh = thresh
        self.min_kept = min_kept
        self.ignore_index = ignore_index
        self.weight = weight

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar.

        Raises ConfigError when the number of weights is not C.
        """
        pixels = PixelLabels(logits, labels, self.ignore_index)
        losses = pixel_cross_entropy(logits, pixels)
        kept = self._hard_pixels(losses, pixels)
        weights = class_weights(self.weight, pixels.num_classes, type(self).__name__)
        if weights is not None:
            losses = losses * gather_weights(weights, pixels)
        return (losses * kept).mean() / (kept.mean() + _EPSILON)

    def _hard_pixels(self, losses: Any, pixels: PixelLabels) -> Any:
        """Give 1.0 where a pixel is kept, else 0.0: (N, 1, H, W)."""
        if self.min_kept >= int(pixels.is_valid.sum()):
            return pixels.valid
        with paddle.no_grad():
            # the cross entropy is the logarithm of the probability, so no second softmax is
            # needed; ignored pixels move above every real probability
            probability = paddle.exp(-losses) + (1.0 - pixels.valid)
            threshold: Any = self.thresh
            # the order matters only where too few pixels are hard: sorting is the costly part
            hard = int((probability <= self.thresh).sum())
            if self.min_kept > 0 and hard < self.min_kept:
                threshold = paddle.kthvalue(probability.flatten(), self.min_kept)[0]
            return (probability < threshold).astype(losses.dtype)
