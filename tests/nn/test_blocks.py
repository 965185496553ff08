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


def test_a_resize_to_the_same_size_is_the_tensor_itself():
    x = paddle.rand([1, 2, 4, 5])
    assert resize(x, [4, 5]) is x


def test_a_resize_aligns_the_centres_of_pixels():
    x = paddle.to_tensor([[[[0.0, 1.0]]]])
    assert resize(x, [1, 4]).numpy().ravel().tolist() == [0.0, 0.25, 0.75, 1.0]


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
