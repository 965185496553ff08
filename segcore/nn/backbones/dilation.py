"""Trade strides for dilations, so that a classifier's network keeps its features larger."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["strides_and_dilations"]


def strides_and_dilations(strides: Iterable[int], output_stride: int) -> list[tuple[int, int]]:
    """Give stride and dilation of each layer so that the product of strides is `output_stride`.

    The strides beyond it become 1. The layer that loses its stride still sees the dilation so far;
    those after it see it multiplied by the stride, so that all look at the pixels that they were
    made for. Rule of Chen et al., https://arxiv.org/abs/1706.05587 (section 3.1).
    """
    product, dilation = 1, 1
    pairs = []
    for stride in strides:
        if product * stride <= output_stride:
            product *= stride
            pairs.append((stride, dilation))
        else:
            pairs.append((1, dilation))
            dilation *= stride
    return pairs
