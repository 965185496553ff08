"""HRNet-FCN behaves as a network of segcore should."""

import paddle
import pytest

from segcore import build_model
from segcore.errors import ConfigError
from segcore.testing.conformance import Subject, conformance_checks
from segcore_hrnet.fcn import build_fcn

SMALL = "HRNet-FCN-W18_Small_V1"


@pytest.mark.parametrize("check", conformance_checks(Subject(SMALL, outputs=1)), ids=str)
def test_the_small_model_conforms(check):
    check()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (97, 161)])
def test_odd_and_tiny_images_come_back_in_their_size(size):
    network = build_model(SMALL, num_classes=2, in_channels=1)
    network.eval()
    assert list(network(paddle.zeros([1, 1, *size]))[0].shape) == [1, 2, *size]


def test_the_head_may_be_narrower_and_without_biases():
    head = build_model(SMALL, num_classes=2, channels=24, bias=False).head
    shapes = {key: list(tensor.shape) for key, tensor in head.state_dict().items()}
    assert shapes["cls.weight"] == [2, 24, 1, 1]
    assert not {"cls.bias", "conv_1._conv.bias"} & shapes.keys()


def test_corners_of_the_logits_stay_in_place_where_asked():
    network = build_model(SMALL, num_classes=2, align_corners=True)
    network.eval()
    images = paddle.rand([1, 3, 32, 32])
    coarse = network.head(network.backbone(images)[0])
    corners = network(images)[0][:, :, ::31, ::31] - coarse[:, :, ::7, ::7]
    assert float(corners.abs().max()) < 1e-5 * float(coarse.abs().max())


def test_another_plugins_backbone_serves():
    network = build_model(SMALL, num_classes=2, backbone="STDC1")
    assert network.head.conv_1._conv.weight.shape[1] == 1024
    assert build_fcn(2, backbone="STDC1", backbone_indices=[1]).head.cls.weight.shape[1] == 64


def test_a_feature_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices \[1\].*1 features"):
        build_model(SMALL, num_classes=2, backbone_indices=[1])
