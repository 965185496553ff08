"""Convolution blocks, resizing and the STDC backbones."""

import numpy as np
import paddle
import pytest

from segcore.nn.backbones.stdc import stdc1, stdc2
from segcore.nn.build import build_backbone
from segcore.nn.conv import ConvBNReLU, SeparableConvBNReLU
from segcore.nn.resize import resize


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_a_block_keeps_the_size_whatever_the_dilation(dilation):
    block = ConvBNReLU(2, 3, 3, dilation=dilation)
    assert list(block(paddle.zeros([1, 2, 9, 11])).shape) == [1, 3, 9, 11]


def test_a_block_is_named_as_published_weights_are():
    assert list(ConvBNReLU(2, 3, 1).state_dict())[:3] == [
        "_conv.weight",
        "_conv.bias",
        "_batch_norm.weight",
    ]


def test_a_separable_block_has_its_biases_apart():
    keys = SeparableConvBNReLU(2, 3, bias=False).state_dict()
    assert "piontwise_conv._conv.bias" in keys
    assert "depthwise_conv._conv.bias" not in keys


@pytest.mark.parametrize(("size", "first_seen"), [(8, 0), (9, -1)])
def test_padding_same_looks_at_even_sizes_from_the_first_pixel_on(size, first_seen):
    block = ConvBNReLU(1, 1, 3, stride=2, padding="same", bias=False)
    block._conv.weight.set_value(np.eye(9, dtype=np.float32)[0].reshape(1, 1, 3, 3))
    columns = paddle.arange(1.0, size + 1).expand([1, 1, size, size])
    seen = block._conv(columns)[0, 0, 1].numpy()
    assert seen.tolist()[:3] == [max(0, first_seen + step + 1) for step in (0, 2, 4)]


def test_a_separable_block_strides_in_its_depthwise_half():
    block = SeparableConvBNReLU(2, 3, stride=2)
    assert list(block.depthwise_conv(paddle.zeros([1, 2, 9, 12])).shape) == [1, 2, 5, 6]
    assert list(block(paddle.zeros([1, 2, 9, 12])).shape) == [1, 3, 5, 6]


def test_a_resize_to_the_same_size_is_the_tensor_itself():
    x = paddle.rand([1, 2, 4, 5])
    assert resize(x, [4, 5]) is x


def test_a_resize_aligns_the_centres_of_pixels():
    x = paddle.to_tensor([[[[0.0, 1.0]]]])
    assert resize(x, [1, 4]).numpy().ravel().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_a_resize_with_aligned_corners_keeps_the_outermost_pixels():
    x = paddle.to_tensor([[[[0.0, 1.0]]]])
    resized = resize(x, [1, 5], align_corners=True)
    assert resized.numpy().ravel().tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("build", [stdc1, stdc2])
def test_features_are_as_the_backbone_declares_them(build):
    backbone = build()
    backbone.eval()
    features = backbone(paddle.zeros([1, 3, 97, 33]))
    expected = [
        [1, channels, -(-97 // stride), -(-33 // stride)]
        for channels, stride in zip(
            backbone.feature_channels, backbone.feature_strides, strict=True
        )
    ]
    assert [list(feature.shape) for feature in features] == expected


def test_backbones_are_built_by_name_for_any_number_of_channels():
    backbone = build_backbone("stdc-1", in_channels=1)
    assert backbone.in_channels == 1
    assert len(backbone(paddle.zeros([2, 1, 32, 32]))) == 5


def test_a_fresh_backbone_keeps_activations_at_unit_scale():
    paddle.seed(0)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    last = stdc1()(paddle.to_tensor(images))[-1].numpy()
    assert 0.3 < last.std() < 3.0
