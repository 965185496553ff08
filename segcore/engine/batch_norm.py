"""Batch norms that get a single value a channel, which no batch can normalise.

With one image a batch, a norm after a global pooling (DeepLab's image pooling and its like) has
one value a channel. Paddle then hands the value through as it is, without mean, variance, weight or
bias, so that a network trains on other numbers than it is measured with: with published weights
the difference is large. Such a norm uses its running statistics instead, as in evaluation, and
leaves them as they are.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paddle import nn

__all__ = ["single_values_normalised"]

log = logging.getLogger(__name__)

_NORMS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)


@contextmanager
def single_values_normalised(network: nn.Layer, batch_size: int) -> Iterator[None]:
    """Let norms of `network` that get one value a channel use their running statistics meanwhile.

    Larger batches than 1 have several values wherever they are normalised, and cost nothing here.
    """
    norms = {
        name: layer
        for name, layer in network.named_sublayers()
        if batch_size == 1 and isinstance(layer, _NORMS)
    }
    guards = [_Guard(name, layer) for name, layer in norms.items()]
    try:
        yield
    finally:
        for guard in guards:
            guard.remove()


class _Guard:
    """Looks at what goes into one norm."""

    def __init__(self, name: str, norm: Any) -> None:
        self._name = name
        self._norm = norm
        self._setting = norm._use_global_stats  # noqa: SLF001 - Paddle has no public way
        self._has_told = False
        self._hook = norm.register_forward_pre_hook(self._choose)

    def remove(self) -> None:
        self._hook.remove()
        self._norm._use_global_stats = self._setting  # noqa: SLF001

    def _choose(self, norm: Any, inputs: tuple[Any, ...]) -> None:
        is_single = norm.training and self._values_a_channel(inputs[0]) == 1
        norm._use_global_stats = True if is_single else self._setting  # noqa: SLF001
        if is_single and not self._has_told and self._setting is not True:
            self._has_told = True
            log.warning(
                "%s gets one value a channel of a batch of one image, which cannot be normalised; "
                "it uses its running statistics. A larger train.batch_size trains it, too",
                self._name,
            )

    def _values_a_channel(self, images: Any) -> int:
        channels_last = self._norm._data_format in ("NLC", "NHWC", "NDHWC")  # noqa: SLF001
        shape = list(images.shape)
        del shape[-1 if channels_last and len(shape) > 2 else 1]
        return math.prod(shape)
