"""The backbones that trade strides for dilations: ResNet_vd, Xception, MobileNetV2 and V3."""

import numpy as np
import paddle
import pytest

from segcore.builtin import segcore_backbones
from segcore.nn.backbones.mobilenet_v2 import mobilenet_v2_x0_25
from segcore.nn.backbones.mobilenet_v3 import (
    mobilenet_v3_large_x0_35,
    mobilenet_v3_large_x1_0,
    mobilenet_v3_small_x0_35,
)
from segcore.nn.backbones.resnet_vd import resnet18_vd, resnet50_vd
from segcore.nn.backbones.xception import xception41, xception71
from segcore.nn.build import build_backbone
from segcore.testing.parity import fill_network

BACKBONES = {
    "resnet18_vd": resnet18_vd,
    "xception41": xception41,
    "mobilenet_v2": mobilenet_v2_x0_25,
    "mobilenet_v3_large": mobilenet_v3_large_x0_35,
    "mobilenet_v3_small": mobilenet_v3_small_x0_35,
}


def images(*shape):
    return paddle.to_tensor(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))


def features(backbone, x):
    backbone.eval()
    with paddle.no_grad():
        return [feature.numpy() for feature in backbone(x)]


@pytest.fixture(params=BACKBONES.values(), ids=BACKBONES)
def build(request):
    return request.param


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_features_have_the_declared_channels_and_strides(build, output_stride):
    backbone = build(output_stride=output_stride)
    assert backbone.feature_strides[-1] == output_stride
    for feature, channels, stride in zip(
        features(backbone, images(1, 3, 67, 97)),
        backbone.feature_channels,
        backbone.feature_strides,
        strict=True,
    ):
        assert feature.shape == (1, channels, -(-67 // stride), -(-97 // stride))


def test_weights_fit_whatever_the_output_stride(build):
    fine, coarse = build(output_stride=8).state_dict(), build(output_stride=32).state_dict()
    assert {key: value.shape for key, value in fine.items()} == {
        key: value.shape for key, value in coarse.items()
    }


def test_images_may_have_one_channel(build):
    backbone = build(in_channels=1)
    assert backbone.in_channels == 1
    assert len(features(backbone, images(1, 1, 32, 32))) == len(backbone.feature_channels)


def test_every_parameter_of_xception_is_reached_by_a_gradient():
    backbone = xception41()
    fine, coarse = backbone(images(2, 3, 32, 32))
    (fine.mean() + coarse.mean()).backward()
    assert all(p.grad is not None for p in backbone.parameters() if not p.stop_gradient)


def test_xception_is_traced_for_images_of_any_size():
    backbone = xception41()
    fill_network(backbone, {})
    inputs = [images(1, 3, 33, 49), images(2, 3, 32, 32)]
    expected = [features(backbone, x)[-1] for x in inputs]
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "x")
    graph = paddle.jit.to_static(backbone, input_spec=[spec], full_graph=True)
    for x, values in zip(inputs, expected, strict=True):
        assert np.allclose(features(graph, x)[-1], values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["xception41", "mobilenet_v2"])
def test_dilated_features_are_the_strided_ones_and_those_between(name):
    # with the same weights, so that weights trained at one output stride serve another
    dilated, strided = BACKBONES[name](output_stride=8), BACKBONES[name](output_stride=32)
    for backbone in (dilated, strided):
        fill_network(backbone, {})
    fine, coarse = (features(backbone, images(1, 3, 75, 97))[-1] for backbone in (dilated, strided))
    error = np.linalg.norm(fine[:, :, ::4, ::4] - coarse) / np.linalg.norm(coarse)
    assert error < 1e-4


def test_two_of_a_kind_live_in_one_process():
    first, second = mobilenet_v2_x0_25(), mobilenet_v2_x0_25()
    assert first.state_dict().keys() == second.state_dict().keys()
    names = [parameter.name for net in (first, second) for parameter in net.parameters()]
    assert len(set(names)) == len(names)


def test_the_grid_multiplies_the_dilations_of_the_last_stage():
    backbone = resnet50_vd(output_stride=16, multi_grid=(1, 2, 4))
    layers = dict(backbone.named_sublayers())
    dilations = [layers[f"bb_3_{index}.conv1._conv"]._dilation[0] for index in range(3)]
    assert dilations == [2, 4, 8]


def test_an_entry_flow_of_five_blocks_strides_in_every_other_one():
    backbone = xception71(output_stride=32)
    strides = [
        block._short._conv._stride[0]
        for name, block in backbone.named_children()
        if "entry_flow" in name
    ]
    assert strides == [2, 1, 2, 1, 2]


def test_channels_of_mobilenet_v3_are_multiples_of_eight_near_what_was_asked_for():
    assert mobilenet_v3_large_x1_0().feature_channels == (24, 40, 112, 160)
    # 0.35 times 24, 40, 112, 160 is 8.4, 14, 39.2, 56
    assert mobilenet_v3_large_x0_35().feature_channels == (8, 16, 40, 56)


def test_batch_norms_of_mobilenet_v3_are_exempt_from_weight_decay():
    backbone = mobilenet_v3_small_x0_35()
    conv, norm = backbone.conv.conv, backbone.conv.bn
    norm.weight.set_value(paddle.full_like(norm.weight, 2.0))
    before = conv.weight.numpy().copy()
    decay = paddle.regularizer.L2Decay(0.5)
    optimizer = paddle.optimizer.Momentum(
        0.1, parameters=[conv.weight, norm.weight], weight_decay=decay
    )
    (0 * (conv.weight.sum() + norm.weight.sum())).backward()
    optimizer.step()
    assert np.allclose(conv.weight.numpy(), 0.95 * before)
    assert (norm.weight.numpy() == 2.0).all()


@pytest.mark.parametrize("spec", segcore_backbones(), ids=lambda spec: spec.name)
def test_every_declared_backbone_can_be_imported(spec):
    assert callable(spec.load_target())
    assert "in_channels" in spec.load_options().model_fields


@pytest.mark.parametrize(
    "name", ["MobileNetV2_x0.25", "MobileNetV2_x0_25", "mobilenetv2-x0.25", "mobilenetv2_x0_25"]
)
def test_a_backbone_is_found_in_every_spelling(name):
    assert build_backbone(name).feature_channels == (6, 8, 24, 80)
