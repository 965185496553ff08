"""An exponential moving average of a network's weights (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Follow the weights of `network`: average = decay * average + (1 - decay) * weight.

    Early averages forget faster, with decay min(decay, (1 + n) / (10 + n)) after n steps, so that
    the random start does not linger. Batch-norm statistics and other buffers are taken over as
    they are, since they are averages already.
    """

    def __init__(self, network: nn.Layer, decay: float) -> None:
        self._network = network
        self._decay = decay
        # by the tensor's own name, since a layer that stands in the network twice has two keys
        self._trained = {p.name for p in network.parameters() if not p.stop_gradient}
        self._average = {key: value.clone() for key, value in network.state_dict().items()}

    def update(self, step: int) -> None:
        """Take in the weights as they are after `step` steps (1 is the first)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with paddle.no_grad():
            for key, value in self._network.state_dict().items():
                if value.name in self._trained:
                    average = self._average[key]
                    average.set_value(average * decay + value * (1.0 - decay))
                else:
                    self._average[key].set_value(value)

    def arrays(self) -> dict[str, np.ndarray]:
        """Copy the average to arrays by the keys of the network's state dict."""
        return {key: np.array(value.numpy()) for key, value in self._average.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `arrays` copied."""
        for key, value in self._average.items():
            value.set_value(arrays[key])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network carry the average for a while."""
        weights = {key: value.clone() for key, value in self._network.state_dict().items()}
        self._network.set_state_dict(self._average)
        try:
            yield
        finally:
            self._network.set_state_dict(weights)
