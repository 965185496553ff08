"""Binary cross entropy: every class is a question of its own, answered by a sigmoid."""

from __future__ import annotations

from typing import Any, Literal

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.losses.pixel import PixelLabels

__all__ = ["BCELoss"]

_EPSILON = 1e-10


class BCELoss(nn.Layer):
    """Sum over the classes' binary cross entropies, averaged over channels and valid pixels.

    With one channel of logits the labels are 0 and 1; with more, each pixel is positive for its
    class and negative for all others. Let p be the share of positives among all targets, in which
    ignored pixels count as negatives, as in the reference. `weight="dynamic"` weighs positives by
    2(1 - p) and negatives by 2p; `pos_weight` weighs positives only, by a number or, if
    "dynamic", by 2(1 - p).
    """

    def __init__(
        self,
        weight: Literal["dynamic"] | None = None,
        pos_weight: float | Literal["dynamic"] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.pos_weight = pos_weight
        self.ignore_index = ignore_index

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar."""
        pixels = PixelLabels(logits, labels, self.ignore_index, is_binary=True)
        with paddle.no_grad():
            targets = pixels.targets()
            factors = self._factors(targets) * pixels.valid
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (losses * factors).mean() / (pixels.valid.mean() + _EPSILON)

    def _factors(self, targets: Any) -> Any:
        """Weigh each target (N, C, H, W): the weight of its side, positive or negative."""
        positives = targets.mean()
        positive = negative = paddle.ones_like(positives)
        if self.weight == "dynamic":
            positive, negative = 2.0 * (1.0 - positives), 2.0 * positives
        if self.pos_weight == "dynamic":
            positive = positive * 2.0 * (1.0 - positives)
        elif self.pos_weight is not None:
            positive = positive * self.pos_weight
        return targets * positive + (1.0 - targets) * negative
