"""MiT, the mixed transformer: the backbone of SegFormer.

Four stages of transformer blocks, each at half the resolution of the one before. Patches overlap
and a depthwise convolution stands in every feed-forward network, so that no positions need to be
encoded and any image size will do; attention looks at keys and values of reduced resolution, which
keeps it affordable on large maps. Paper: Xie et al., "SegFormer: Simple and Efficient Design for
Semantic Segmentation with Transformers", NeurIPS 2021, https://arxiv.org/abs/2105.15203

Names of layers are those of the published weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.errors import ImageError
from segcore.nn.backbone import Backbone
from segcore.nn.resize import spatial_size
from segcore_transformers.tokens import (
    drop_path,
    drop_path_rates,
    linear,
    merge_heads,
    split_heads,
    to_map,
    to_tokens,
)

__all__ = ["MixVisionTransformer", "mit_b0", "mit_b1", "mit_b2", "mit_b3", "mit_b4", "mit_b5"]

# The norms of blocks and stages; those within patch embeddings and reductions have Paddle's 1e-5.
_EPSILON = 1e-6


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> nn.Conv2D:
    """Create a convolution that keeps the variance of gradients at the start."""
    fan_out = kernel_size**2 * out_channels // groups
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=padding,
        groups=groups,
        weight_attr=nn.initializer.Normal(std=math.sqrt(2 / fan_out)),
    )


class OverlapPatchEmbed(nn.Layer):
    """Turn a map into normalised tokens of a smaller one, whose patches overlap."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.proj = _conv(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2
        )
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Any) -> tuple[Any, Any]:
        """Map (N, in, H, W) to tokens (N, L, out) and their size (H / stride, W / stride)."""
        x = self.proj(x)
        return self.norm(to_tokens(x)), spatial_size(x)


class EfficientAttention(nn.Layer):
    """Attend from every token to patches of `reduction` x `reduction` tokens."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.scale = (channels // heads) ** -0.5
        self.q = linear(channels, channels)
        self.kv = linear(channels, 2 * channels)
        self.proj = linear(channels, channels)
        if reduction > 1:
            self.sr = _conv(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Any, size: Any) -> Any:
        """Map tokens (N, L, C) of a map of `size` to tokens of the same shape."""
        query = split_heads(self.q(x), self.heads)  # (N, heads, L, C / heads)
        if self.reduction > 1:
            x = self.norm(to_tokens(self.sr(to_map(x, size))))
        # keys come before values, so the first half of the heads are the keys'
        key_value = split_heads(self.kv(x), 2 * self.heads)
        key, value = paddle.split(key_value, 2, axis=1)  # (N, heads, L / reduction^2, C / heads)
        scores = paddle.matmul(query, key, transpose_y=True) * self.scale
        return self.proj(merge_heads(paddle.matmul(functional.softmax(scores, axis=-1), value)))


class DepthwiseConv(nn.Layer):
    """Let every channel of tokens see the neighbours, which tells where a token stands."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = _conv(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Any, size: Any) -> Any:
        """Map tokens (N, L, C) of a map of `size` to tokens of the same shape."""
        return to_tokens(self.dwconv(to_map(x, size)))


class MixFeedForward(nn.Layer):
    """Widen the tokens, mix neighbours, and narrow them again."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = linear(channels, hidden_channels)
        self.dwconv = DepthwiseConv(hidden_channels)
        self.fc2 = linear(hidden_channels, channels)

    def forward(self, x: Any, size: Any) -> Any:
        """Map tokens (N, L, C) of a map of `size` to tokens of the same shape."""
        return self.fc2(functional.gelu(self.dwconv(self.fc1(x), size)))


class TransformerBlock(nn.Layer):
    """Add attention, then a feed-forward network, to the tokens."""

    def __init__(
        self, channels: int, heads: int, reduction: int, mlp_ratio: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, epsilon=_EPSILON)
        self.attn = EfficientAttention(channels, heads, reduction)
        self.drop_path = drop_path(drop_rate)
        self.norm2 = nn.LayerNorm(channels, epsilon=_EPSILON)
        self.mlp = MixFeedForward(channels, channels * mlp_ratio)

    def forward(self, x: Any, size: Any) -> Any:
        """Map tokens (N, L, C) of a map of `size` to tokens of the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class MixVisionTransformer(Backbone):
    """Four features of strides 4, 8, 16 and 32.

    `channels`, `depths` (blocks), `heads` and `reductions` (of keys and values, along each side)
    have one number a stage. `drop_path_rate` is that of the last block.
    """

    feature_strides = (4, 8, 16, 32)
    # smaller images leave less than one patch of keys in the first stage
    min_size = 29

    def __init__(
        self,
        channels: tuple[int, int, int, int],
        depths: tuple[int, int, int, int],
        *,
        in_channels: int = 3,
        heads: Sequence[int] = (1, 2, 5, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        mlp_ratio: int = 4,
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.feature_channels = channels
        before = in_channels
        for stage, width in enumerate(channels, start=1):
            kernel_size, stride = (7, 4) if stage == 1 else (3, 2)
            embed = OverlapPatchEmbed(before, width, kernel_size, stride)
            self.add_sublayer(f"patch_embed{stage}", embed)
            before = width
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        for stage in range(1, 5):
            width, count = channels[stage - 1], depths[stage - 1]
            shape = (width, heads[stage - 1], reductions[stage - 1], mlp_ratio)
            blocks = [TransformerBlock(*shape, next(rates)) for _ in range(count)]
            self.add_sublayer(f"block{stage}", nn.LayerList(blocks))
            self.add_sublayer(f"norm{stage}", nn.LayerNorm(width, epsilon=_EPSILON))

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features of strides 4, 8, 16 and 32.

        Raises ImageError for images of less than `min_size` px along a side.
        """
        if paddle.in_dynamic_mode() and min(images.shape[2:]) < self.min_size:
            raise ImageError(
                f"images of {images.shape[3]} x {images.shape[2]} px: MiT takes {self.min_size} px "
                "or more along each side; resize the images, or pad them with the transform Padding"
            )
        features = []
        x = images
        for stage in range(1, 5):
            x, size = getattr(self, f"patch_embed{stage}")(x)
            for block in getattr(self, f"block{stage}"):
                x = block(x, size)
            x = to_map(getattr(self, f"norm{stage}")(x), size)
            features.append(x)
        return features


def mit_b0(in_channels: int = 3, drop_path_rate: float = 0.1) -> MixVisionTransformer:
    """Build MiT-B0, the narrow one: 3.3 million parameters."""
    return _mit((2, 2, 2, 2), in_channels, drop_path_rate, channels=(32, 64, 160, 256))


def mit_b1(in_channels: int = 3, drop_path_rate: float = 0.1) -> MixVisionTransformer:
    """Build MiT-B1: as many blocks as B0, twice as wide, as all larger ones are."""
    return _mit((2, 2, 2, 2), in_channels, drop_path_rate)


def mit_b2(in_channels: int = 3, drop_path_rate: float = 0.1) -> MixVisionTransformer:
    """Build MiT-B2, of 16 blocks."""
    return _mit((3, 4, 6, 3), in_channels, drop_path_rate)


def mit_b3(in_channels: int = 3, drop_path_rate: float = 0.1) -> MixVisionTransformer:
    """Build MiT-B3, of 28 blocks."""
    return _mit((3, 4, 18, 3), in_channels, drop_path_rate)


def mit_b4(in_channels: int = 3, drop_path_rate: float = 0.1) -> MixVisionTransformer:
    """Build MiT-B4, of 41 blocks."""
    return _mit((3, 8, 27, 3), in_channels, drop_path_rate)


def mit_b5(in_channels: int = 3, drop_path_rate: float = 0.1) -> MixVisionTransformer:
    """Build MiT-B5, of 52 blocks."""
    return _mit((3, 6, 40, 3), in_channels, drop_path_rate)


def _mit(
    depths: tuple[int, int, int, int],
    in_channels: int,
    drop_path_rate: float,
    channels: tuple[int, int, int, int] = (64, 128, 320, 512),
) -> MixVisionTransformer:
    return MixVisionTransformer(
        channels, depths, in_channels=in_channels, drop_path_rate=drop_path_rate
    )
