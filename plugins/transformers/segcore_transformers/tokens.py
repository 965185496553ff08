"""Tokens: the pixels of a feature map as a sequence, and what all these transformers do with them.

A map is (N, C, H, W), its tokens are (N, H * W, C), row by row.
"""

from __future__ import annotations

from typing import Any

from paddle import nn

__all__ = [
    "drop_path",
    "drop_path_rates",
    "linear",
    "merge_heads",
    "split_heads",
    "to_map",
    "to_tokens",
]


def to_tokens(x: Any) -> Any:
    """Turn a map (N, C, H, W) into tokens (N, H * W, C)."""
    return x.flatten(2).transpose([0, 2, 1])


def to_map(tokens: Any, size: Any) -> Any:
    """Turn tokens (N, H * W, C) into a map (N, C, H, W); `size` is (H, W)."""
    return tokens.transpose([0, 2, 1]).reshape([0, 0, size[0], size[1]])


def split_heads(tokens: Any, heads: int) -> Any:
    """Deal the channels out to heads: (N, L, C) to (N, heads, L, C / heads)."""
    return tokens.reshape([0, 0, heads, tokens.shape[2] // heads]).transpose([0, 2, 1, 3])


def merge_heads(x: Any) -> Any:
    """Put the channels of all heads side by side: (N, heads, L, C / heads) to (N, L, C)."""
    return x.transpose([0, 2, 1, 3]).flatten(2)


def linear(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Linear:
    """Create a linear layer that starts as vision transformers do: deviation 0.02, no bias."""
    return nn.Linear(
        in_channels,
        out_channels,
        weight_attr=nn.initializer.TruncatedNormal(std=0.02),
        bias_attr=None if bias else False,
    )


def drop_path(rate: float) -> nn.Dropout:
    """Drop the whole residual branch of a sample with probability `rate` (stochastic depth).

    Huang et al., "Deep Networks with Stochastic Depth", https://arxiv.org/abs/1603.09382. The
    branches that stay are scaled up, so that eval mode needs no correction.
    """
    return nn.Dropout(rate, axis=0)


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Let the rate rise evenly from 0 at the first of `depth` blocks to `last`."""
    return [last * index / max(depth - 1, 1) for index in range(depth)]
