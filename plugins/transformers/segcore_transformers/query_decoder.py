"""The transformer decoder of MaskFormer: queries that look for segments in a coarse feature.

As in DETR (Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020,
https://arxiv.org/abs/2005.12872), without an encoder. Names of layers are those of the published
weights.
"""

from __future__ import annotations

import math
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.resize import spatial_size

__all__ = ["QueryDecoder", "sine_positions"]

_TEMPERATURE = 10000.0
_EPSILON = 1e-6


def sine_positions(x: Any, channels: int) -> Any:
    """Encode the position of each pixel of `x` (N, C, H, W): (1, H * W, channels) in -1..1.

    The first half of the channels says y, the second x; within a half, sine and cosine alternate
    from the finest wave to the coarsest. One turn of the finest wave is the whole map.
    """
    size = spatial_size(x)
    down = _waves(size[0], channels // 2).unsqueeze(1)  # (H, 1, channels / 2)
    right = _waves(size[1], channels // 2).unsqueeze(0)  # (1, W, channels / 2)
    grid = paddle.broadcast_tensors([down, right])
    return paddle.concat(grid, axis=-1).flatten(0, 1).unsqueeze(0)


def _waves(length: Any, channels: int) -> Any:
    """Encode the positions along an axis: (length, channels)."""
    dtype = paddle.get_default_dtype()
    counts = paddle.arange(1, length + 1).astype(dtype)
    turns = counts / (counts[-1:] + _EPSILON)
    exponents = paddle.arange(0, channels, 2).astype(dtype) / channels
    wavelengths = _TEMPERATURE**exponents
    angles = (turns * (2 * math.pi)).unsqueeze(1) / wavelengths.unsqueeze(0)
    return paddle.stack([angles.sin(), angles.cos()], axis=2).flatten(1)


class QueryDecoderLayer(nn.Layer):
    """Let the queries look at each other, then at the pixels, then feed forward; norms come after.

    Positions are added to what is compared, not to what is passed on.
    """

    def __init__(self, channels: int, heads: int, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiHeadAttention(channels, heads, dropout)
        self.multihead_attn = nn.MultiHeadAttention(channels, heads, dropout)
        self.linear1 = nn.Linear(channels, hidden_channels)
        self.linear2 = nn.Linear(hidden_channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Any, query_positions: Any, pixels: Any, positions: Any) -> Any:
        """Map queries (N, Q, C) to the same shape; pixels are (N, H * W, C).

        The positions are (1, Q, C) and (1, H * W, C).
        """
        placed = queries + query_positions
        attended = self.self_attn(placed, placed, queries)
        queries = self.norm1(queries + self.dropout(attended))
        attended = self.multihead_attn(queries + query_positions, pixels + positions, pixels)
        queries = self.norm2(queries + self.dropout(attended))
        hidden = self.dropout(functional.relu(self.linear1(queries)))
        return self.norm3(queries + self.dropout(self.linear2(hidden)))


class QueryDecoder(nn.Layer):
    """Turn `queries` that know nothing, told apart by learnt positions, into segments' vectors."""

    def __init__(
        self, channels: int, *, heads: int, layers: int, hidden_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.decoder_list = nn.LayerList(
            [QueryDecoderLayer(channels, heads, hidden_channels, dropout) for _ in range(layers)]
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, query_positions: Any, pixels: Any, positions: Any) -> list[Any]:
        """Give the queries (N, Q, C) after each layer; see `QueryDecoderLayer`."""
        count = pixels.shape[0] if paddle.in_dynamic_mode() else paddle.shape(pixels)[0]
        queries = paddle.zeros([count, *query_positions.shape[1:]])
        answers = []
        for layer in self.decoder_list:
            queries = layer(queries, query_positions, pixels, positions)
            answers.append(self.norm(queries))
        return answers
