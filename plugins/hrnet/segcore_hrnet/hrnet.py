"""HRNet: a backbone that keeps its high resolution and adds coarser branches beside it.

A stem halves the image twice. Then the branches of strides 4, 8, 16 and 32 join one after the
other, and at the end of every module each branch receives the sum of all of them, brought to its
own resolution. Paper: Wang et al., "Deep High-Resolution Representation Learning for Visual
Recognition", TPAMI 2020, https://arxiv.org/abs/1908.07919

Names of layers are those of the published weights, which come in two variants, for segmentation
and for detection. Against PaddleSeg: where a 3x3 convolution keeps the size, its "same" padding is
written as one pixel, which is equal and for which Paddle has faster kernels; and convolutions start
from Paddle's default, Kaiming's normal distribution, not from a standard deviation of 0.001, which
leaves the variance before the first batch norms below the norm's epsilon.
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
from segcore.nn.resize import resize, spatial_size

__all__ = [
    "HRNet",
    "hrnet_w18",
    "hrnet_w18_small_v1",
    "hrnet_w30",
    "hrnet_w32",
    "hrnet_w40",
    "hrnet_w44",
    "hrnet_w48",
    "hrnet_w60",
    "hrnet_w64",
]


@dataclass(frozen=True)
class _Variant:
    """How the networks of PaddleSeg and of PaddleDetection differ, which share the name HRNet.

    `conv` and `norm` are the names of the layers of a block, `bottleneck` begins those of the
    first stage. `halving_padding` is for convolutions of stride 2, `resize_mode` for the way from
    a coarse branch to a fine one. `concatenates` says whether there is one feature or one a branch.
    """

    conv: str
    norm: str
    bottleneck: str
    halving_padding: int | str
    resize_mode: str
    concatenates: bool


_VARIANTS = {
    # "same" pads even sizes on their far side only, and the weights were trained that way
    "segmentation": _Variant("_conv", "_batch_norm", "bb", "same", "bilinear", concatenates=True),
    "detection": _Variant("conv", "norm", "block", 1, "nearest", concatenates=False),
}


def _conv_norm(
    variant: _Variant,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Build a convolution without bias, its batch norm and, with `relu`, the activation."""
    conv = nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=variant.halving_padding if stride == 2 else kernel_size // 2,
        bias_attr=False,
    )
    layers = [(variant.conv, conv), (variant.norm, nn.BatchNorm2D(out_channels))]
    return nn.Sequential(*layers, *([("relu", nn.ReLU())] if relu else []))


class _Bottleneck(nn.Layer):
    """Add to x what three convolutions make of it, the middle one with a quarter of the channels.

    The first of a stage brings x to the channels of the sum by a 1x1 convolution.
    """

    def __init__(self, variant: _Variant, in_channels: int, channels: int, is_first: bool) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = _conv_norm(variant, in_channels, channels, 1)
        self.conv2 = _conv_norm(variant, channels, channels, 3)
        self.conv3 = _conv_norm(variant, channels, out_channels, 1, relu=False)
        self.conv_down = (
            _conv_norm(variant, in_channels, out_channels, 1, relu=False) if is_first else None
        )

    def forward(self, x: Any) -> Any:
        """Map (N, in, H, W) to (N, 4 * channels, H, W)."""
        shortcut = x if self.conv_down is None else self.conv_down(x)
        return functional.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut)


class _BasicBlock(nn.Layer):
    """Add to x what two 3x3 convolutions make of it."""

    def __init__(self, variant: _Variant, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(variant, channels, channels, 3)
        self.conv2 = _conv_norm(variant, channels, channels, 3, relu=False)

    def forward(self, x: Any) -> Any:
        return functional.relu(self.conv2(self.conv1(x)) + x)


class _Transition(nn.Layer):
    """Give each branch of the next stage its channels, and halve the last one for a new branch."""

    def __init__(
        self, variant: _Variant, name: str, before: Sequence[int], after: Sequence[int]
    ) -> None:
        super().__init__()
        # what each new branch is made of: an old branch, and a convolution where one is needed
        self._steps: list[tuple[int, nn.Layer | None]] = []
        for index, channels in enumerate(after):
            source = min(index, len(before) - 1)
            is_new = index >= len(before)
            conv = None
            if is_new or before[source] != channels:
                conv = _conv_norm(variant, before[source], channels, 3, stride=2 if is_new else 1)
                self.add_sublayer(f"transition_{name}_layer_{index + 1}", conv)
            self._steps.append((source, conv))

    def forward(self, branches: Sequence[Any]) -> list[Any]:
        """Map the branches of one stage to those of the next, finest first."""
        return [
            branches[source] if conv is None else conv(branches[source])
            for source, conv in self._steps
        ]


class _Branches(nn.Layer):
    """Send every branch through basic blocks of its own."""

    def __init__(self, variant: _Variant, name: str, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self._chains: list[list[nn.Layer]] = []
        for branch, width in enumerate(channels, start=1):
            chain = [_BasicBlock(variant, width) for _ in range(blocks)]
            for number, block in enumerate(chain, start=1):
                self.add_sublayer(f"bb_{name}_branch_layer_{branch}_{number}", block)
            self._chains.append(chain)

    def forward(self, branches: Sequence[Any]) -> list[Any]:
        """Map each (N, C, H, W) to one of its shape."""
        outputs = []
        for index, chain in enumerate(self._chains):
            x = branches[index]
            for block in chain:
                x = block(x)
            outputs.append(x)
        return outputs


class _Fusion(nn.Layer):
    """Add to every branch all the others, brought to its channels and its size.

    Coarser ones come by a 1x1 convolution and a resize, finer ones by as many convolutions of
    stride 2 as there are halvings between the two, the last without activation.
    """

    def __init__(self, variant: _Variant, name: str, channels: Sequence[int]) -> None:
        super().__init__()
        self._resize_mode = variant.resize_mode
        # for each target: the sources, and the convolutions on the way from there
        self._ways: list[list[tuple[int, list[nn.Layer]]]] = []
        for target, out_channels in enumerate(channels):
            ways = []
            for source, in_channels in enumerate(channels):
                key = f"residual_{name}_layer_{target + 1}_{source + 1}"
                if source > target:
                    conv = _conv_norm(variant, in_channels, out_channels, 1, relu=False)
                    ways.append((source, [self.add_sublayer(key, conv)]))
                elif source < target:
                    halvings = _halvings(variant, in_channels, out_channels, target - source)
                    for number, halving in enumerate(halvings, start=1):
                        self.add_sublayer(f"{key}_{number}", halving)
                    ways.append((source, halvings))
            self._ways.append(ways)

    def forward(self, branches: Sequence[Any]) -> list[Any]:
        """Map each (N, C, H, W) to one of its shape."""
        outputs = []
        for target, ways in enumerate(self._ways):
            fused = branches[target]
            size = spatial_size(fused)
            for source, convs in ways:
                x = branches[source]
                for conv in convs:
                    x = conv(x)
                if source > target:
                    x = resize(x, size, self._resize_mode)
                fused = fused + x
            outputs.append(functional.relu(fused))
        return outputs


def _halvings(
    variant: _Variant, in_channels: int, out_channels: int, count: int
) -> list[nn.Sequential]:
    """Build `count` convolutions of stride 2, of which the last changes the channels."""
    keeping = [_conv_norm(variant, in_channels, in_channels, 3, stride=2) for _ in range(count - 1)]
    return [*keeping, _conv_norm(variant, in_channels, out_channels, 3, stride=2, relu=False)]


class _Module(nn.Layer):
    """Let the branches work apart, then exchange what they found."""

    def __init__(self, variant: _Variant, name: str, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches_func = _Branches(variant, name, channels, blocks)
        self.fuse_func = _Fusion(variant, name, channels)

    def forward(self, branches: Sequence[Any]) -> list[Any]:
        return self.fuse_func(self.branches_func(branches))  # type: ignore[no-any-return]


class HRNet(Backbone):
    """Four branches of strides 4, 8, 16 and 32, for images of any size of at least 1 x 1 pixel.

    `width` is the channels of the finest branch; each coarser one has twice as many. The first
    stage has `bottlenecks` blocks of `bottleneck_channels`, the other three have `modules` of
    `blocks` blocks on every branch.

    `variant` is "segmentation" for PaddleSeg's network, which concatenates the branches to one
    feature of stride 4 and 15 * `width` channels, or "detection" for PaddleDetection's, which
    gives them as four features for a feature pyramid.
    """

    def __init__(
        self,
        width: int,
        *,
        in_channels: int = 3,
        variant: str = "segmentation",
        bottleneck_channels: int = 64,
        bottlenecks: int = 4,
        blocks: int = 4,
        modules: tuple[int, int, int] = (1, 4, 3),
    ) -> None:
        super().__init__()
        kind = _VARIANTS[variant]
        channels = [width * 2**branch for branch in range(4)]
        self.in_channels = in_channels
        self.feature_channels = (sum(channels),) if kind.concatenates else tuple(channels)
        self.feature_strides = (4,) if kind.concatenates else (4, 8, 16, 32)
        self._concatenates = kind.concatenates

        self.conv_layer1_1 = _conv_norm(kind, in_channels, 64, 3, stride=2)
        self.conv_layer1_2 = _conv_norm(kind, 64, 64, 3, stride=2)
        inputs = [64] + [4 * bottleneck_channels] * (bottlenecks - 1)
        self.la1 = nn.Sequential(
            *(
                (
                    f"{kind.bottleneck}_layer2_{number}",
                    _Bottleneck(kind, before, bottleneck_channels, is_first=number == 1),
                )
                for number, before in enumerate(inputs, start=1)
            )
        )
        self.tr1 = _Transition(kind, "tr1", [4 * bottleneck_channels], channels[:2])
        self.st2 = _stage(kind, "st2", channels[:2], modules[0], blocks)
        self.tr2 = _Transition(kind, "tr2", channels[:2], channels[:3])
        self.st3 = _stage(kind, "st3", channels[:3], modules[1], blocks)
        self.tr3 = _Transition(kind, "tr3", channels[:3], channels)
        self.st4 = _stage(kind, "st4", channels, modules[2], blocks)

    def forward(self, images: Any) -> list[Any]:
        """Map (N, in_channels, H, W) to the features; see the class."""
        x = self.la1(self.conv_layer1_2(self.conv_layer1_1(images)))  # (N, C, H/4, W/4)
        branches = self.st2(self.tr1([x]))
        branches = self.st3(self.tr2(branches))
        branches = self.st4(self.tr3(branches))
        if not self._concatenates:
            return list(branches)
        size = spatial_size(branches[0])
        coarser = [resize(branch, size) for branch in branches[1:]]
        return [paddle.concat([branches[0], *coarser], axis=1)]  # (N, 15 * width, H/4, W/4)


def _stage(
    variant: _Variant, name: str, channels: Sequence[int], modules: int, blocks: int
) -> nn.Sequential:
    return nn.Sequential(
        *(
            (f"stage_{name}_{number}", _Module(variant, f"{name}_{number}", channels, blocks))
            for number in range(1, modules + 1)
        )
    )


hrnet_w18 = partial(HRNet, 18)
hrnet_w30 = partial(HRNet, 30)
hrnet_w32 = partial(HRNet, 32)
hrnet_w40 = partial(HRNet, 40)
hrnet_w44 = partial(HRNet, 44)
hrnet_w48 = partial(HRNet, 48)
hrnet_w60 = partial(HRNet, 60)
hrnet_w64 = partial(HRNet, 64)
hrnet_w18_small_v1 = partial(
    HRNet, 16, bottleneck_channels=32, bottlenecks=1, blocks=2, modules=(1, 1, 1)
)
