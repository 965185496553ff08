"""Reductions over channels or pixels, as attention modules use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional

__all__ = ["channel_max", "channel_mean_and_max", "pixel_mean_and_max"]


class _ChannelMax(PyLayer):
    """The maximum over axis 1 with a gradient of a few elementwise operations.

    Paddle's own kernel (`max_grad`, all versions to 3.3.1) took six sevenths of a training step of
    PP-LiteSeg on CPU. The rule is that of Paddle 3 and of `paddle.amax`: elements that tie for
    the maximum share the gradient evenly. (`paddle.max` of 2.6 gives each of them all of it.)
    """

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = paddle.max(x, axis=1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        x, y = ctx.saved_tensor()
        is_maximum = (x == y).astype(x.dtype)
        # where a NaN equals nothing, not even itself, there is nothing to share
        ties = is_maximum.sum(axis=1, keepdim=True).clip(min=1.0)
        return is_maximum * (gradient / ties)


def channel_max(x: Any) -> Any:
    """Take the maximum over the channels: (N, C, H, W) to (N, 1, H, W)."""
    # a static graph knows nothing of Python's backward functions, and needs none for inference
    if paddle.in_dynamic_mode() and not x.stop_gradient:
        return _ChannelMax.apply(x)
    return paddle.max(x, axis=1, keepdim=True)


def channel_mean_and_max(features: Sequence[Any]) -> Any:
    """Concatenate mean and maximum over the channels of each input: (N, 2 * inputs, H, W)."""
    reduced = []
    for x in features:
        reduced += [paddle.mean(x, axis=1, keepdim=True), channel_max(x)]
    return paddle.concat(reduced, axis=1)


def pixel_mean_and_max(features: Sequence[Any]) -> Any:
    """Concatenate the means over the pixels of all inputs, then their maxima: (N, sum of 2C, 1, 1).

    The maximum is a pooling, whose gradient goes to one of several equal pixels.
    """
    means = [functional.adaptive_avg_pool2d(x, 1) for x in features]
    maxima = [functional.adaptive_max_pool2d(x, 1) for x in features]
    return paddle.concat(means + maxima, axis=1)


def pixel_mean(features: Sequence[Any]) -> Any:
    """Concatenate the means over the pixels of all inputs: (N, sum of C, 1, 1)."""
    return paddle.concat([functional.adaptive_avg_pool2d(x, 1) for x in features], axis=1)
