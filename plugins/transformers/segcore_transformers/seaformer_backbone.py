"""The backbone of SeaFormer: attention along rows and columns, for phones.

A stem of inverted residuals shrinks the image; from stride 32 on (in the large one 16),
transformer blocks follow. Their attention squeezes a map to one column and to one row, attends
within these, and adds what comes out to every pixel; a convolution restores the detail that the
squeezing lost. Paper: Wan et al., "SeaFormer: Squeeze-enhanced Axial Transformer for Mobile
Semantic Segmentation", ICLR 2023, https://arxiv.org/abs/2301.13156

Names of layers are those of the published weights. Convolutions start from Paddle's default:
PaddleSeg draws them with the fan itself for the standard deviation, which saturates activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.conv import ConvBN
from segcore.nn.resize import spatial_size
from segcore_transformers.tokens import drop_path, drop_path_rates

__all__ = ["SeaFormer", "seaformer_base", "seaformer_large", "seaformer_small", "seaformer_tiny"]

_POSITIONS = 16  # how many positions along a row or column are learned; others lie between
_PlainConvBN = partial(ConvBN, bias=False)


class InvertedResidual(nn.Layer):
    """Widen by 1x1, filter each channel, narrow by 1x1; add the input where shapes agree."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        self.is_residual = stride == 1 and in_channels == out_channels
        width = in_channels * expansion
        widen = [] if expansion == 1 else [_PlainConvBN(in_channels, width, 1), nn.ReLU()]
        self.conv = nn.Sequential(
            *widen,
            _PlainConvBN(width, width, kernel_size, stride=stride, groups=width),
            nn.ReLU(),
            _PlainConvBN(width, out_channels, 1),
        )

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        return x + self.conv(x) if self.is_residual else self.conv(x)


class ConvStage(nn.Layer):
    """Chain inverted residuals, behind a stem of stride 2 if there are `stem_channels`.

    `blocks` lists kernel size, expansion, channels and stride of each.
    """

    def __init__(
        self,
        in_channels: int,
        blocks: Sequence[tuple[int, int, int, int]],
        stem_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.layers: list[nn.Layer] = []
        before = in_channels
        if stem_channels is not None:
            self.stem_block = nn.Sequential(
                _PlainConvBN(in_channels, stem_channels, 3, stride=2), nn.ReLU()
            )
            self.layers.append(self.stem_block)
            before = stem_channels
        for number, (kernel_size, expansion, channels, stride) in enumerate(blocks, start=1):
            block = InvertedResidual(before, channels, kernel_size, stride, expansion)
            self.layers.append(self.add_sublayer(f"layer{number}", block))
            before = channels

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, channels of the last block, H / strides, W / strides)."""
        for layer in self.layers:
            x = layer(x)
        return x


class AxialPosition(nn.Layer):
    """Add a learned position, drawn out linearly to the length of the row or column.

    No resize of Paddle's does it: to a length of 1 they give the first position up to Paddle 3.1,
    and the middle, as here, later on.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pos_embed = self.create_parameter(
            [1, channels, _POSITIONS], default_initializer=nn.initializer.Normal()
        )

    def forward(self, x: Any) -> Any:
        """Map (N, C, L) to the same shape."""
        # summed up, as tracing paddle.arange over a free length warns on Paddle 2.6
        ones = paddle.ones(spatial_size(x))
        # the centres of the pixels, counted in learned positions
        centres = (paddle.cumsum(ones) - 0.5) / paddle.sum(ones) * _POSITIONS - 0.5  # (L)
        learned = paddle.cumsum(paddle.ones([_POSITIONS, 1]), axis=0) - 1
        distances = paddle.abs(paddle.clip(centres, 0, _POSITIONS - 1) - learned)
        weights = functional.relu(1 - distances)  # (_POSITIONS, L)
        return x + paddle.matmul(self.pos_embed, weights)


class AxialAttention(nn.Layer):
    """Attend within the mean of all columns and the mean of all rows, and restore the detail.

    `ratio` is the number of channels of values for each of the `key_channels` of a head.
    """

    def __init__(self, channels: int, key_channels: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = key_channels**-0.5
        keys, values = key_channels * heads, ratio * key_channels * heads
        self.to_q = _PlainConvBN(channels, keys, 1)
        self.to_k = _PlainConvBN(channels, keys, 1)
        self.to_v = _PlainConvBN(channels, values, 1)
        self.proj = nn.Sequential(nn.ReLU6(), _PlainConvBN(values, channels, 1))
        self.proj_encode_row = nn.Sequential(nn.ReLU6(), _PlainConvBN(values, values, 1))
        self.pos_emb_rowq = AxialPosition(keys)
        self.pos_emb_rowk = AxialPosition(keys)
        self.proj_encode_column = nn.Sequential(nn.ReLU6(), _PlainConvBN(values, values, 1))
        self.pos_emb_columnq = AxialPosition(keys)
        self.pos_emb_columnk = AxialPosition(keys)
        both = 2 * keys + values
        self.dwconv = _PlainConvBN(both, both, 3, groups=both)
        self.pwconv = _PlainConvBN(both, channels, 1)

    def forward(self, x: Any) -> Any:
        """Map (N, C, H, W) to the same shape."""
        query, key, value = self.to_q(x), self.to_k(x), self.to_v(x)
        detail = paddle.concat([query, key, value], axis=1)
        detail = self.pwconv(functional.relu6(self.dwconv(detail)))  # (N, C, H, W)
        # a number for each row is a column, and the other way round
        squeezed = [paddle.mean(y, axis=3) for y in (query, key, value)]  # (N, C, H)
        rows = self._attend(squeezed, self.pos_emb_rowq, self.pos_emb_rowk)
        rows = self.proj_encode_row(rows.unsqueeze(3))  # (N, values, H, 1)
        squeezed = [paddle.mean(y, axis=2) for y in (query, key, value)]  # (N, C, W)
        columns = self._attend(squeezed, self.pos_emb_columnq, self.pos_emb_columnk)
        columns = self.proj_encode_column(columns.unsqueeze(2))  # (N, values, 1, W)
        return functional.hardsigmoid(self.proj(value + (rows + columns))) * detail

    def _attend(self, squeezed: Sequence[Any], query_position: Any, key_position: Any) -> Any:
        """Attend among the L pixels of query, key and value (N, C, L): (N, values, L)."""
        query, key, value = squeezed
        # channels of a head stand together: (N, heads, channels of a head, L)
        query, key, value = (
            y.reshape([0, self.heads, y.shape[1] // self.heads, -1])
            for y in (query_position(query), key_position(key), value)
        )
        scores = paddle.matmul(query, key, transpose_x=True) * self.scale  # (N, heads, L, L)
        weights = functional.softmax(scores, axis=-1)
        return paddle.matmul(value, weights, transpose_y=True).flatten(1, 2)


class ConvFeedForward(nn.Layer):
    """Widen the pixels, mix neighbours, and narrow them again."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = _PlainConvBN(channels, hidden_channels, 1)
        self.dwconv = nn.Conv2D(
            hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels
        )
        self.fc2 = _PlainConvBN(hidden_channels, channels, 1)

    def forward(self, x: Any) -> Any:
        """Map (N, C, H, W) to the same shape."""
        return self.fc2(functional.relu6(self.dwconv(self.fc1(x))))


class AxialBlock(nn.Layer):
    """Add attention, then a feed-forward network, to the map."""

    def __init__(
        self, channels: int, key_channels: int, heads: int, mlp_ratio: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.attn = AxialAttention(channels, key_channels, heads, ratio=2)
        self.drop_path = drop_path(drop_rate)
        self.mlp = ConvFeedForward(channels, channels * mlp_ratio)

    def forward(self, x: Any) -> Any:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.drop_path(self.attn(x))
        return x + self.drop_path(self.mlp(x))


class AxialStage(nn.Layer):
    """Chain axial blocks, of which later ones are dropped more often."""

    def __init__(self, depth: int, last_drop_rate: float, **block: int) -> None:
        super().__init__()
        rates = drop_path_rates(last_drop_rate, depth)
        blocks = [AxialBlock(drop_rate=rate, **block) for rate in rates]
        self.transformer_blocks = nn.LayerList(blocks)

    def forward(self, x: Any) -> Any:
        """Map (N, C, H, W) to the same shape."""
        for block in self.transformer_blocks:
            x = block(x)
        return x


@dataclass(frozen=True)
class Shape:
    """What makes a size of SeaFormer.

    `stages` lists the inverted residuals of five stages: kernel size, expansion, channels, stride.
    `key_channels` and `mlp_ratios` have one number for each stage of axial blocks; these stand
    behind the last stages.
    """

    stem_channels: int
    stages: tuple[tuple[tuple[int, int, int, int], ...], ...]
    depth: int
    heads: int
    key_channels: tuple[int, ...] = (16, 24)
    mlp_ratios: tuple[int, ...] = (2, 4)


class SeaFormer(Backbone):
    """A fine feature of stride 8, and one for each stage of axial blocks, the last of stride 64."""

    def __init__(self, shape: Shape, *, in_channels: int, drop_path_rate: float) -> None:
        super().__init__()
        self.in_channels = in_channels
        before = in_channels
        for number, blocks in enumerate(shape.stages, start=1):
            stem = shape.stem_channels if number == 1 else None
            self.add_sublayer(f"smb{number}", ConvStage(before, blocks, stem))
            before = blocks[-1][2]
        axial_stages = len(shape.key_channels)
        self._first_axial = len(shape.stages) - axial_stages + 1
        widths = [blocks[-1][2] for blocks in shape.stages]
        for index in range(axial_stages):
            stage = AxialStage(
                shape.depth,
                drop_path_rate,
                channels=widths[index - axial_stages],
                key_channels=shape.key_channels[index],
                heads=shape.heads,
                mlp_ratio=shape.mlp_ratios[index],
            )
            self.add_sublayer(f"trans{index + 1}", stage)
        self.feature_channels = (widths[1], *widths[-axial_stages:])
        self.feature_strides = (8, *(4 * 2**n for n in range(self._first_axial - 1, 5)))

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features, finest first."""
        features = []
        x = images
        for number in range(1, 6):
            x = getattr(self, f"smb{number}")(x)
            if number == 2:
                features.append(x)  # (N, C, H/8, W/8)
            if number >= self._first_axial:
                x = getattr(self, f"trans{number - self._first_axial + 1}")(x)
                features.append(x)
        return features


_TINY = Shape(
    stem_channels=16,
    stages=(
        ((3, 1, 16, 1), (3, 4, 16, 2), (3, 3, 16, 1)),
        ((5, 3, 32, 2), (5, 3, 32, 1)),
        ((3, 3, 64, 2), (3, 3, 64, 1)),
        ((5, 3, 128, 2),),
        ((3, 6, 160, 2),),
    ),
    depth=2,
    heads=4,
)
_SMALL = Shape(
    stem_channels=16,
    stages=(
        ((3, 1, 16, 1), (3, 4, 24, 2), (3, 3, 24, 1)),
        ((5, 3, 48, 2), (5, 3, 48, 1)),
        ((3, 3, 96, 2), (3, 3, 96, 1)),
        ((5, 4, 160, 2),),
        ((3, 6, 192, 2),),
    ),
    depth=3,
    heads=6,
)
_BASE = Shape(
    stem_channels=16,
    stages=(
        ((3, 1, 16, 1), (3, 4, 32, 2), (3, 3, 32, 1)),
        ((5, 3, 64, 2), (5, 3, 64, 1)),
        ((3, 3, 128, 2), (3, 3, 128, 1)),
        ((5, 4, 192, 2),),
        ((3, 6, 256, 2),),
    ),
    depth=4,
    heads=8,
)
_LARGE = Shape(
    stem_channels=32,
    stages=(
        ((3, 3, 32, 1), (3, 4, 64, 2), (3, 4, 64, 1)),
        ((5, 4, 128, 2), (5, 4, 128, 1)),
        ((3, 4, 192, 2), (3, 4, 192, 1)),
        ((5, 4, 256, 2),),
        ((3, 6, 320, 2),),
    ),
    depth=3,
    heads=8,
    key_channels=(16, 20, 24),
    mlp_ratios=(2, 4, 6),
)


def seaformer_tiny(in_channels: int = 3, drop_path_rate: float = 0.1) -> SeaFormer:
    """Build the tiny SeaFormer, with features of strides 8, 32 and 64."""
    return SeaFormer(_TINY, in_channels=in_channels, drop_path_rate=drop_path_rate)


def seaformer_small(in_channels: int = 3, drop_path_rate: float = 0.1) -> SeaFormer:
    """Build the small SeaFormer, with features of strides 8, 32 and 64."""
    return SeaFormer(_SMALL, in_channels=in_channels, drop_path_rate=drop_path_rate)


def seaformer_base(in_channels: int = 3, drop_path_rate: float = 0.1) -> SeaFormer:
    """Build the base SeaFormer, with features of strides 8, 32 and 64."""
    return SeaFormer(_BASE, in_channels=in_channels, drop_path_rate=drop_path_rate)


def seaformer_large(in_channels: int = 3, drop_path_rate: float = 0.1) -> SeaFormer:
    """Build the large SeaFormer, with features of strides 8, 16, 32 and 64."""
    return SeaFormer(_LARGE, in_channels=in_channels, drop_path_rate=drop_path_rate)
