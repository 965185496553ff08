"""Count what a network computes for an image of a given size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import paddle
from paddle import nn

__all__ = ["count_flops", "count_flops_of", "count_parameters"]

_CONVOLUTIONS = (nn.Conv1D, nn.Conv2D, nn.Conv3D)
_TRANSPOSED = (nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose)
_COUNTED = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)


def count_parameters(network: nn.Layer) -> int:
    """Count the weights that training changes; running statistics are none."""
    return sum(prod(p.shape) for p in network.parameters() if not p.stop_gradient)


def count_flops(network: nn.Layer, height: int, width: int, channels: int = 3) -> int:
    """Count the multiply-adds of a forward pass in eval mode over one image of zeros.

    As `count_flops_of`, for networks that take images (N, C, H, W).
    """
    return count_flops_of(network, paddle.zeros([1, channels, height, width]))


def count_flops_of(network: nn.Layer, *inputs: paddle.Tensor) -> int:
    """Count the multiply-adds of a forward pass in eval mode over `inputs`.

    A multiply-add is one operation, as in the tables of papers. Convolutions, linear layers and
    the products that a network forms itself by `paddle.matmul` or `paddle.bmm`, as attention does,
    count; biases, norms, activations and resizes do not. The pass really runs, so it needs the
    memory of one. Raises what the network raises for the sizes.
    """
    counts: list[int] = []

    def count(layer: nn.Layer, taken: tuple[Any, ...], output: Any) -> None:
        counts.append(_multiply_adds(layer, taken[0].shape, output.shape))

    handles = [
        layer.register_forward_post_hook(count)
        for layer in network.sublayers(include_self=True)
        if isinstance(layer, _COUNTED)
    ]
    was_training = network.training
    network.eval()
    try:
        with paddle.no_grad(), _counted_products(counts):
            network(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        if was_training:
            network.train()
    return sum(counts)


@contextmanager
def _counted_products(counts: list[int]) -> Iterator[None]:
    """Count every call of `paddle.matmul` and `paddle.bmm` while the block runs.

    Paddle has no hooks for functions, so they are replaced for that long.
    """
    matmul, bmm = paddle.matmul, paddle.bmm

    def counted_matmul(x: Any, y: Any, *rest: Any, **options: Any) -> Any:
        output = matmul(x, y, *rest, **options)
        is_transposed = options.get("transpose_x", rest[0] if rest else False)
        inner = x.shape[-2 if is_transposed and len(x.shape) > 1 else -1]
        counts.append(prod(output.shape) * inner)
        return output

    def counted_bmm(x: Any, y: Any, *rest: Any, **options: Any) -> Any:
        output = bmm(x, y, *rest, **options)
        counts.append(prod(output.shape) * x.shape[-1])
        return output

    paddle.matmul, paddle.bmm = counted_matmul, counted_bmm
    try:
        yield
    finally:
        paddle.matmul, paddle.bmm = matmul, bmm


def _multiply_adds(layer: nn.Layer, taken: Sequence[int], given: Sequence[int]) -> int:
    """Count for a layer that takes a tensor of one shape and gives one of another."""
    weight: Sequence[int] = layer.weight.shape
    if isinstance(layer, nn.Linear):  # (in, out)
        return prod(given) * weight[0]
    # a convolution weighs a window for each value it gives: (out, in / groups, kernel ...);
    # a transposed one spreads each value that it takes: (in, out / groups, kernel ...)
    return prod(taken if isinstance(layer, _TRANSPOSED) else given) * prod(weight[1:])
