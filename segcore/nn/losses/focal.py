"""Focal losses: cross entropy that fades out pixels which are right already.

Paper: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017,
https://arxiv.org/abs/1708.02002
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.losses.pixel import PixelLabels, pixel_cross_entropy

__all__ = ["FocalLoss", "MultiClassFocalLoss"]

_EPSILON = 1e-10


class FocalLoss(nn.Layer):
    """Average alpha_t (1 - p_t)^gamma (-log p_t) over channels and valid pixels, with sigmoids.

    p_t is the probability of the truth, alpha_t is `alpha` for positives and 1 - `alpha` for
    negatives. With one channel of logits the labels are 0 and 1; with more (the reference takes
    two), each pixel is positive for its class and negative for all others.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, ignore_index: int = 255) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.ignore_index = ignore_index

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar."""
        pixels = PixelLabels(logits, labels, self.ignore_index, is_binary=True)
        with paddle.no_grad():
            targets = pixels.targets()
            signs = (2.0 * targets - 1.0) * pixels.valid
            alphas = (targets * self.alpha + (1.0 - targets) * (1.0 - self.alpha)) * pixels.valid
        # p_t = sigmoid(z); both factors as softplus, so that neither p_t = 0 nor p_t = 1 hurts
        z = logits * signs
        fading = paddle.exp(-self.gamma * functional.softplus(z))
        losses = alphas * fading * functional.softplus(-z)
        return losses.sum() / (pixels.valid.sum() * pixels.num_classes + _EPSILON)


class MultiClassFocalLoss(nn.Layer):
    """Average alpha (1 - p)^gamma (-log p) over the valid pixels, with p of a softmax."""

    def __init__(self, alpha: float = 1.0, gamma: float = 2.0, ignore_index: int = 255) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.ignore_index = ignore_index

    def forward(self, logits: Any, labels: Any) -> Any:
        """Reduce logits (N, C, H, W) against labels (N, H, W) to a scalar."""
        pixels = PixelLabels(logits, labels, self.ignore_index)
        losses = pixel_cross_entropy(logits, pixels)
        # kept above 0, where a power below 1 has an infinite slope
        wrongness = (-paddle.expm1(-losses)).clip(min=_EPSILON)
        focal = self.alpha * wrongness**self.gamma * losses
        return focal.mean() / (pixels.valid.mean() + _EPSILON)
