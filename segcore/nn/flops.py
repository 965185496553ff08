"""Count what a network computes for an image of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import paddle
from paddle import nn

__all__ = ["count_flops", "count_parameters"]

_CONVOLUTIONS = (nn.Conv1D, nn.Conv2D, nn.Conv3D)
_TRANSPOSED = (nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose)
_COUNTED = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)


def count_parameters(network: nn.Layer) -> int:
    """Count the weights that training changes; running statistics are none."""
    return sum(prod(p.shape) for p in network.parameters() if not p.stop_gradient)


def count_flops(network: nn.Layer, height: int, width: int, channels: int = 3) -> int:
    """Count the multiply-adds of a forward pass in eval mode over one image.

    A multiply-add is one operation, as in the tables of papers. Convolutions and linear layers
    count, which is nearly all of most networks; biases, norms, activations, resizes and the
    products of queries, keys and values in attention do not. The pass really runs, so it needs
    the memory of one. Raises what the network raises for the size.
    """
    counts: list[int] = []

    def count(layer: nn.Layer, inputs: tuple[Any, ...], output: Any) -> None:
        counts.append(_multiply_adds(layer, inputs[0].shape, output.shape))

    handles = [
        layer.register_forward_post_hook(count)
        for layer in network.sublayers(include_self=True)
        if isinstance(layer, _COUNTED)
    ]
    was_training = network.training
    network.eval()
    try:
        with paddle.no_grad():
            network(paddle.zeros([1, channels, height, width]))
    finally:
        for handle in handles:
            handle.remove()
        if was_training:
            network.train()
    return sum(counts)


def _multiply_adds(layer: nn.Layer, taken: Sequence[int], given: Sequence[int]) -> int:
    """Count for a layer that takes a tensor of one shape and gives one of another."""
    weight: Sequence[int] = layer.weight.shape
    if isinstance(layer, nn.Linear):  # (in, out)
        return prod(given) * weight[0]
    # a convolution weighs a window for each value it gives: (out, in / groups, kernel ...);
    # a transposed one spreads each value that it takes: (in, out / groups, kernel ...)
    return prod(taken if isinstance(layer, _TRANSPOSED) else given) * prod(weight[1:])
