"""HRNet as a backbone, in both variants."""

import gzip
import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.errors import ConfigError
from segcore.nn.build import build_backbone
from segcore.testing.parity import Agreement, reference_image

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def detection():
    """The backbone of Mask R-CNN, and layout and features of PaddleDetection's."""
    layout = json.loads(gzip.decompress((DATA / "HRNet_W18.detection.layout.json.gz").read_bytes()))
    with np.load(DATA / "HRNet_W18.detection.npz") as arrays:
        features = dict(arrays)
    backbone = build_backbone("HRNet_W18", variant="detection")
    return nn.Sequential(("backbone", backbone)), layout, features


def test_the_state_dict_for_detection_is_that_of_the_published_weights(detection):
    network, layout, _ = detection
    found = [[key, list(tensor.shape)] for key, tensor in network.state_dict().items()]
    assert found == [entry[:2] for entry in layout["entries"]]


@pytest.mark.parity
def test_the_features_for_detection_are_those_of_the_reference(detection):
    network, layout, expected = detection

    def run(network):
        network.eval()
        images = reference_image(192, 256, seed=5)
        with paddle.no_grad():
            features = network(paddle.to_tensor(images, paddle.get_default_dtype()))
        found = {}
        for index, (feature, step) in enumerate(zip(features, (4, 2, 1, 1), strict=True)):
            found[f"backbone{index}"] = feature.numpy()[:, :8, ::step, ::step]
            found[f"deviation{index}"] = feature.numpy().std()
        return found

    wanted = {
        **{f"backbone{index}": expected[f"backbone{index}"] for index in range(4)},
        **{f"deviation{index}": expected[f"backbone{index}_stats"][1] for index in range(4)},
    }
    name = "HRNet_W18: features for detection"
    Agreement(name, network, layout["fill_scale"], run, wanted, DATA).check()


@pytest.mark.parametrize("variant", ["segmentation", "detection"])
@pytest.mark.parametrize("size", [(64, 96), (97, 161), (33, 1)])
def test_features_are_as_the_backbone_declares_them(variant, size):
    backbone = build_backbone("HRNet_W18_Small_V1", in_channels=2, variant=variant)
    backbone.eval()
    features = backbone(paddle.zeros([1, 2, *size]))
    shapes = [
        [1, channels, -(-size[0] // stride), -(-size[1] // stride)]
        for channels, stride in zip(
            backbone.feature_channels, backbone.feature_strides, strict=True
        )
    ]
    assert [list(feature.shape) for feature in features] == shapes


def test_an_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match=r"variant.*'segmentation' or 'detection'"):
        build_backbone("HRNet_W18", variant="classification")
