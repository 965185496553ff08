"""Swin: a transformer that attends within windows, and shifts them from block to block.

Attention over a whole map would cost the square of its pixels; within windows of 7 x 7 the cost is
linear. Every second block moves the windows by half their size, so that what they kept apart meets.
Paper: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV
2021, https://arxiv.org/abs/2103.14030

Names of layers are those of the published weights. Against PaddleSeg: maps stay (N, H, W, C)
within the stages, windows have an axis of their own, and no padding depends on Python numbers while
a graph is traced, so that an exported network takes images of any size. No value changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore_transformers.tokens import drop_path, drop_path_rates, linear

__all__ = ["SwinTransformer", "swin_small", "swin_tiny"]

# Added to the scores of pixels that are neighbours only because the map was rolled: after the
# softmax nothing of them is left.
_APART = -100.0


class Windows:
    """How maps of the size of `x` (N, H, W, C) are cut into windows of `window` x `window` pixels.

    Maps are padded with zeros at their far sides. `mask` (windows, 1, L, L), with L = window^2, is
    what attention within windows shifted by `shift` adds to its scores.
    """

    def __init__(self, x: Any, window: int, shift: int) -> None:
        self.window = window
        # while a graph is traced, these are tensors
        size = x.shape[1:3] if paddle.in_dynamic_mode() else paddle.shape(x)[1:3]
        self.height, self.width = size[0], size[1]
        self.rows = (self.height + window - 1) // window
        self.columns = (self.width + window - 1) // window
        self.mask = self._shift_mask(shift)

    def partition(self, x: Any, channels: int) -> Any:
        """Cut a padded map into windows: (N, rows * columns, L, channels)."""
        window = self.window
        x = x.reshape([0, self.rows, window, self.columns, window, channels])
        return x.transpose([0, 1, 3, 2, 4, 5]).reshape([0, -1, window * window, channels])

    def merge(self, windows: Any, channels: int) -> Any:
        """Put windows together to a padded map, the inverse of `partition`."""
        window = self.window
        x = windows.reshape([0, self.rows, self.columns, window, window, channels])
        shape = [0, self.rows * window, self.columns * window, channels]
        return x.transpose([0, 1, 3, 2, 4, 5]).reshape(shape)

    def pad(self, x: Any) -> Any:
        """Pad a map (N, H, W, C) to whole windows."""
        height, width = self.rows * self.window, self.columns * self.window
        if not paddle.in_dynamic_mode():
            # exporters know padding by numbers and slices by tensors, not the other way round
            more = self.window - 1
            return functional.pad(x, [0, more, 0, more], data_format="NHWC")[:, :height, :width]
        below, right = height - self.height, width - self.width
        if below == 0 and right == 0:
            return x
        return functional.pad(x, [0, right, 0, below], data_format="NHWC")

    def crop(self, x: Any) -> Any:
        """Cut the padding off again: (N, H, W, C)."""
        return x[:, : self.height, : self.width]

    def _shift_mask(self, shift: int) -> Any:
        row = self._region(self.rows, shift).unsqueeze(1)
        column = self._region(self.columns, shift).unsqueeze(0)
        regions = (row * 3 + column).unsqueeze([0, 3])  # (1, H, W, 1), a number for each region
        regions = self.partition(regions, 1).reshape([-1, self.window * self.window])
        is_apart = regions.unsqueeze(1) != regions.unsqueeze(2)  # (windows, L, L)
        return is_apart.astype(paddle.get_default_dtype()).unsqueeze(1) * _APART

    def _region(self, count: Any, shift: int) -> Any:
        """Number the pixels along an axis: 2 where they were rolled to, 1 next to those, else 0."""
        length = count * self.window
        position = paddle.arange(length, dtype="int32")
        beside = (position >= length - self.window).astype("int32")
        return beside + (position >= length - shift).astype("int32")


class WindowAttention(nn.Layer):
    """Attend within windows, with a learnt bias for each relative position and head."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_channels = channels // heads
        self.relative_position_bias_table = self.create_parameter(
            [(2 * window - 1) ** 2, heads],
            default_initializer=nn.initializer.TruncatedNormal(std=0.02),
        )
        index = paddle.to_tensor(relative_positions(window))
        self.register_buffer("relative_position_index", index)  # published weights carry it
        self.qkv = linear(channels, 3 * channels)
        self.proj = linear(channels, channels)

    def forward(self, windows: Any, mask: Any = None) -> Any:
        """Map (N, windows, L, C) to the same shape; `mask` (windows, 1, L, L) adds to scores."""
        qkv = self.qkv(windows).reshape([0, 0, 0, 3, self.heads, self.head_channels])
        # (N, windows, heads, L, C / heads) each; indexing has a gradient that is seven times slower
        query, key, value = paddle.unbind(qkv.transpose([3, 0, 1, 4, 2, 5]))
        scores = paddle.matmul(query * self.head_channels**-0.5, key, transpose_y=True)
        scores = scores + self._position_bias()
        if mask is not None:
            scores = scores + mask.astype(scores.dtype)
        attended = paddle.matmul(functional.softmax(scores), value)
        return self.proj(attended.transpose([0, 1, 3, 2, 4]).flatten(3))

    def _position_bias(self) -> Any:
        """Look the bias of each pair of pixels up: (heads, L, L)."""
        index = self.relative_position_index
        bias = paddle.index_select(self.relative_position_bias_table, index.flatten())
        return bias.transpose([1, 0]).reshape([self.heads, index.shape[0], index.shape[1]])


def relative_positions(window: int) -> np.ndarray:
    """Number the offsets between the pixels of a window: (L, L), int64, 0 to (2 window - 1)^2 - 1.

    Offsets in y count by rows of 2 window - 1 offsets in x, both from the smallest one.
    """
    y, x = np.divmod(np.arange(window * window), window)
    down = y[:, None] - y[None, :] + window - 1
    right = x[:, None] - x[None, :] + window - 1
    offsets: np.ndarray = down * (2 * window - 1) + right
    return offsets.astype(np.int64)


class FeedForward(nn.Layer):
    """Two linear layers with a GELU between them, pixel by pixel."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = linear(channels, hidden_channels)
        self.fc2 = linear(hidden_channels, channels)

    def forward(self, x: Any) -> Any:
        """Map (..., channels) to the same shape."""
        return self.fc2(functional.gelu(self.fc1(x)))


class SwinBlock(nn.Layer):
    """Attend within windows shifted by `shift` pixels, then feed forward, both residual."""

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        window: int,
        shift: int,
        mlp_ratio: int,
        drop_rate: float,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.shift = shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.drop_path = drop_path(drop_rate)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = FeedForward(channels, mlp_ratio * channels)

    def forward(self, x: Any, windows: Windows) -> Any:
        """Map (N, H, W, C) to the same shape."""
        x = x + self.drop_path(self._attend(self.norm1(x), windows))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _attend(self, x: Any, windows: Windows) -> Any:
        x = windows.pad(x)
        if self.shift == 0:
            attended = self.attn(windows.partition(x, self.channels))
            return windows.crop(windows.merge(attended, self.channels))
        x = paddle.roll(x, [-self.shift, -self.shift], axis=[1, 2])
        attended = self.attn(windows.partition(x, self.channels), windows.mask)
        x = windows.merge(attended, self.channels)
        return windows.crop(paddle.roll(x, [self.shift, self.shift], axis=[1, 2]))


class PatchMerging(nn.Layer):
    """Halve the resolution and double the channels: squares of 2 x 2 pixels become one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: Any) -> Any:
        """Map (N, H, W, C) to (N, ceil(H / 2), ceil(W / 2), 2C)."""
        # One row and column of zeros serve odd sizes, and even ones do not see them: the first
        # slice stops before, the second does not get there.
        x = functional.pad(x, [0, 1, 0, 1], data_format="NHWC")
        top, bottom = x[:, :-1:2], x[:, 1::2]
        parts = [top[:, :, :-1:2], bottom[:, :, :-1:2], top[:, :, 1::2], bottom[:, :, 1::2]]
        return self.reduction(self.norm(paddle.concat(parts, axis=-1)))


class PatchEmbedding(nn.Layer):
    """Turn each square of `patch` x `patch` pixels into a vector; the last ones may stick out."""

    def __init__(self, in_channels: int, channels: int, patch: int) -> None:
        super().__init__()
        # padding of the far sides only: a square that the image fills in part counts, too
        padding = [0, patch - 1, 0, patch - 1]
        self.proj = nn.Conv2D(in_channels, channels, patch, stride=patch, padding=padding)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, ceil(H / patch), ceil(W / patch), channels)."""
        return self.norm(self.proj(images).transpose([0, 2, 3, 1]))


class SwinStage(nn.Layer):
    """Blocks of one resolution; `downsample` leads to the next stage and belongs to this one."""

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        window: int,
        mlp_ratio: int,
        drop_rates: Sequence[float],
        is_last: bool,
    ) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.LayerList(
            [
                SwinBlock(
                    channels,
                    heads,
                    window=window,
                    shift=window // 2 if index % 2 else 0,
                    mlp_ratio=mlp_ratio,
                    drop_rate=rate,
                )
                for index, rate in enumerate(drop_rates)
            ]
        )
        self.downsample = None if is_last else PatchMerging(channels)

    def forward(self, x: Any) -> Any:
        """Map (N, H, W, C) to the same shape."""
        windows = Windows(x, self.window, self.window // 2)
        for block in self.blocks:
            x = block(x, windows)
        return x


class SwinTransformer(Backbone):
    """Four features of strides 4, 8, 16 and 32, from images of any size.

    `channels` is the width of the first stage, doubled by each of the others; `depths` counts the
    blocks of each stage and `heads` their attention heads. `drop_path_rate` is the probability that
    the last block leaves out a residual branch; it rises evenly from 0 at the first one.
    """

    feature_strides = (4, 8, 16, 32)

    def __init__(
        self,
        *,
        channels: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int = 7,
        mlp_ratio: int = 4,
        in_channels: int = 3,
        drop_path_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.feature_channels = tuple(channels * 2**stage for stage in range(len(depths)))
        self.patch_embed = PatchEmbedding(in_channels, channels, patch=4)
        rates = drop_path_rates(drop_path_rate, sum(depths))
        self.layers = nn.LayerList()
        for stage, depth in enumerate(depths):
            before = sum(depths[:stage])
            self.layers.append(
                SwinStage(
                    self.feature_channels[stage],
                    heads[stage],
                    window=window,
                    mlp_ratio=mlp_ratio,
                    drop_rates=rates[before : before + depth],
                    is_last=stage == len(depths) - 1,
                )
            )
        for stage, width in enumerate(self.feature_channels):
            self.add_sublayer(f"norm{stage}", nn.LayerNorm(width))

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to (N, C, H / s, W / s), rounded up, of each stride s."""
        features = []
        x = self.patch_embed(images)
        for index, stage in enumerate(self.layers):
            x = stage(x)
            norm = getattr(self, f"norm{index}")
            features.append(norm(x).transpose([0, 3, 1, 2]))
            if stage.downsample is not None:
                x = stage.downsample(x)
        return features


def swin_tiny(in_channels: int = 3, drop_path_rate: float = 0.3) -> SwinTransformer:
    """Build the tiny Swin: 2, 2, 6 and 2 blocks."""
    return SwinTransformer(
        channels=96,
        depths=(2, 2, 6, 2),
        heads=(3, 6, 12, 24),
        in_channels=in_channels,
        drop_path_rate=drop_path_rate,
    )


def swin_small(in_channels: int = 3, drop_path_rate: float = 0.3) -> SwinTransformer:
    """Build the small Swin, three times as deep at stride 16: 2, 2, 18 and 2 blocks."""
    return SwinTransformer(
        channels=96,
        depths=(2, 2, 18, 2),
        heads=(3, 6, 12, 24),
        in_channels=in_channels,
        drop_path_rate=drop_path_rate,
    )
