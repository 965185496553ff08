"""The whole state of a training as files in memory, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import paddle
from paddle import nn

from segcore.checkpoint import pdparams
from segcore.engine.ema import WeightAverage
from segcore.engine.optimizer import optimizer_arrays, restore_optimizer
from segcore.engine.state import STATE, TrainState
from segcore.errors import CheckpointError, DivergedError

__all__ = [
    "AVERAGE",
    "OPTIMIZER",
    "WEIGHTS",
    "decode_weights",
    "put_back",
    "set_weights",
    "take_snapshot",
]

WEIGHTS = "model.pdparams"
OPTIMIZER = "model.pdopt"
AVERAGE = "model.pdema"


def take_snapshot(
    network: nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    average: WeightAverage | None,
    state: TrainState,
) -> dict[str, bytes]:
    """Encode the state of a training, by file name.

    Raises DivergedError when any number of it is not finite.
    """
    weights = {key: np.array(value.numpy()) for key, value in network.state_dict().items()}
    parts = {WEIGHTS: weights, OPTIMIZER: optimizer_arrays(optimizer, network)}
    if average is not None:
        parts[AVERAGE] = average.arrays()
    for arrays in parts.values():
        _require_finite(arrays, state.step)
    files = {name: pdparams.encode(arrays) for name, arrays in parts.items()}
    return {**files, STATE: state.to_json()}


def put_back(
    files: Mapping[str, bytes],
    network: nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    average: WeightAverage | None,
) -> TrainState:
    """Give everything the state that `take_snapshot` encoded, and return the numbers.

    Raises CheckpointError when the snapshot belongs to another network or configuration.
    """
    set_weights(network, decode_weights(files))
    restore_optimizer(optimizer, network, _arrays(files, OPTIMIZER))
    if average is not None:
        average.restore(_arrays(files, AVERAGE))
    return TrainState.from_json(files[STATE])


def decode_weights(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the weights in `files`. Raise CheckpointError where there are none."""
    return _arrays(files, WEIGHTS)


def set_weights(network: nn.Layer, weights: Mapping[str, np.ndarray]) -> None:
    """Give `network` all of `weights`. Raise CheckpointError when they are of another network."""
    own = network.state_dict()
    if set(weights) != set(own) or any(
        tuple(own[key].shape) != value.shape for key, value in weights.items()
    ):
        raise CheckpointError("the checkpoint holds the weights of another network")
    for key, value in weights.items():
        own[key].set_value(value)


def _arrays(files: Mapping[str, bytes], name: str) -> dict[str, np.ndarray]:
    if name not in files:
        raise CheckpointError(f"the checkpoint has no {name}")
    arrays: dict[str, np.ndarray] = pdparams.decode(files[name], source=name).arrays()
    return arrays


def _require_finite(arrays: Mapping[str, np.ndarray], step: int) -> None:
    for key, value in arrays.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise DivergedError(
                f"step {step}: {key} is no longer finite, so this state is not saved. The newest "
                "checkpoint is from before it; lower train.learning_rate or set "
                "train.optimizer.clip_norm."
            )
