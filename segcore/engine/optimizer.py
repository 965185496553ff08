"""Optimisers, and their state by the names of the network's parameters.

Paddle keys the state of an optimiser by parameter names that count up over the whole process
(`conv2d_37.w_0`), so a state saved in one process fits another only by luck. Here it travels under
the keys of the network's state dict, as `backbone.conv.weight/velocity_0`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from paddle import nn

from segcore.config.schema import OptimizerConfig
from segcore.errors import CheckpointError, ConfigError

__all__ = ["create_optimizer", "optimizer_arrays", "restore_optimizer"]

_SEPARATOR = "/"


def create_optimizer(
    config: OptimizerConfig, network: nn.Layer, learning_rate: float
) -> paddle.optimizer.Optimizer:
    """Create the optimiser of `config` over the trainable parameters of `network`.

    The learning rate is a number that the loop sets anew before each step. Raises ConfigError for
    a group that no parameter belongs to.
    """
    parameters = _grouped(config, network)
    clip: Any = None
    if config.clip_norm is not None and config.groups:
        clip = _ClipAllGroups(config.clip_norm, network)
    elif config.clip_norm is not None:
        clip = nn.ClipGradByGlobalNorm(config.clip_norm)
    common = {"learning_rate": learning_rate, "parameters": parameters, "grad_clip": clip}
    decay = config.weight_decay
    if config.type == "adamw":
        return paddle.optimizer.AdamW(
            beta1=config.beta1, beta2=config.beta2, weight_decay=decay, **common
        )
    penalty = paddle.regularizer.L2Decay(decay) if decay else None
    if config.type == "adam":
        return paddle.optimizer.Adam(
            beta1=config.beta1, beta2=config.beta2, weight_decay=penalty, **common
        )
    if config.type == "momentum":
        return paddle.optimizer.Momentum(momentum=config.momentum, weight_decay=penalty, **common)
    return paddle.optimizer.SGD(weight_decay=penalty, **common)


class _ClipAllGroups(nn.ClipGradByGlobalNorm):  # type: ignore[misc]  # Paddle ships no types
    """Shorten the gradients of all parameters together.

    Paddle's own clips each group of parameters by itself, which lets small groups grow.
    """

    def __init__(self, clip_norm: float, network: nn.Layer) -> None:
        super().__init__(clip_norm)
        self._all = network.parameters()

    def __call__(self, pairs: list[Any]) -> list[Any]:
        """Scale the gradients in `pairs` of parameter and gradient, which are those of a group."""
        gradients = [p.grad.astype("float32") for p in self._all if p.grad is not None]
        norm = paddle.sqrt(paddle.add_n([paddle.sum(g * g) for g in gradients]))
        scale = self.clip_norm / paddle.clip(norm, min=self.clip_norm)
        return [(p, None if grad is None else grad * scale.astype(grad.dtype)) for p, grad in pairs]


def _grouped(config: OptimizerConfig, network: nn.Layer) -> list[Any]:
    """List the trainable parameters, in groups as Paddle takes them if `config` has any."""
    trainable = {key: p for key, p in network.named_parameters() if not p.stop_gradient}
    if not config.groups:
        return list(trainable.values())
    groups = []
    for index, group in enumerate(config.groups):
        chosen = [key for key in trainable if group.name in key]
        if not chosen:
            raise ConfigError(
                f"train.optimizer.groups.{index}: the network has no parameter whose name contains "
                f"{group.name!r} that an earlier group has not taken; correct or remove the group"
            )
        groups.append(
            {
                "params": [trainable.pop(key) for key in chosen],
                "learning_rate": group.learning_rate_factor,
                "weight_decay": config.weight_decay * group.weight_decay_factor,
            }
        )
    rest = {"params": list(trainable.values()), "weight_decay": config.weight_decay}
    return [*groups, rest] if trainable else groups


def optimizer_arrays(
    optimizer: paddle.optimizer.Optimizer, network: nn.Layer
) -> dict[str, np.ndarray]:
    """Copy the state of `optimizer` to arrays under the keys of `network`'s state dict."""
    key_of = {p.name: key for key, p in network.named_parameters()}
    # the longest name first, so that no name is taken for the beginning of another one
    names = sorted(key_of, key=len, reverse=True)
    arrays = {}
    # Paddle 2.6 keeps what was restored apart until the first step, and hands out nothing
    state = optimizer.state_dict() or getattr(optimizer, "_accumulators_holder", {})
    for full_name, value in state.items():
        name = next((n for n in names if full_name.startswith(n + "_")), None)
        if name is not None:
            suffix = full_name[len(name) + 1 :]
            arrays[key_of[name] + _SEPARATOR + suffix] = np.array(value.numpy())
    return arrays


def restore_optimizer(
    optimizer: paddle.optimizer.Optimizer, network: nn.Layer, arrays: Mapping[str, np.ndarray]
) -> None:
    """Give `optimizer` the state that `optimizer_arrays` copied.

    Raises CheckpointError when the arrays belong to parameters that `network` does not have.
    """
    name_of = {key: p.name for key, p in network.named_parameters()}
    state = {}
    for full_key, value in arrays.items():
        key, _, suffix = full_key.rpartition(_SEPARATOR)
        if key not in name_of:
            raise CheckpointError(
                f"the saved optimiser state has {full_key!r}, but the network has no parameter "
                f"{key!r}: the checkpoint belongs to another network"
            )
        name = f"{name_of[key]}_{suffix}"
        state[name] = paddle.to_tensor(value)
        state[name].name = name
    optimizer.set_state_dict(state)
