"""OCRNet behaves as a network of segcore should."""

import numpy as np
import paddle
import pytest

from segcore import build_model
from segcore.errors import ConfigError
from segcore.testing.conformance import Subject, conformance_checks
from segcore_hrnet.ocrnet import gather_regions

NAME = "OCRNet_HRNet-W18"
SMALL = {"backbone": "HRNet_W18_Small_V1", "ocr_mid_channels": 32, "ocr_key_channels": 16}


@pytest.mark.parametrize("check", conformance_checks(Subject(NAME, SMALL, outputs=2)), ids=str)
def test_a_small_model_conforms(check):
    check()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (97, 161)])
def test_odd_and_tiny_images_come_back_in_their_size(size):
    network = build_model(NAME, num_classes=2, in_channels=1, **SMALL)
    network.eval()
    assert [list(y.shape) for y in network(paddle.zeros([1, 1, *size]))] == [[1, 2, *size]]


def test_a_region_is_the_mean_of_the_pixels_that_its_class_is_sure_of():
    pixels = np.random.default_rng(0).normal(size=(1, 4, 2, 3)).astype(np.float32)
    scores = np.zeros((1, 2, 2, 3), np.float32)
    scores[0, 1, 0, :2] = 100.0
    regions = gather_regions(paddle.to_tensor(pixels), paddle.to_tensor(scores)).numpy()
    expected = [pixels[0].mean(axis=(1, 2)), pixels[0, :, 0, :2].mean(axis=1)]
    assert regions.shape == (1, 4, 2, 1)
    np.testing.assert_allclose(regions[0, :, :, 0].T, expected, rtol=1e-5, atol=1e-6)


def test_the_coarse_segmentation_may_use_a_feature_of_its_own():
    network = build_model(
        NAME, num_classes=2, **{**SMALL, "backbone": "STDC1"}, backbone_indices=[2, 2]
    )
    outputs = network(paddle.rand([2, 3, 64, 64]))
    assert [list(output.shape) for output in outputs] == [[2, 2, 64, 64]] * 2


def test_features_of_two_sizes_are_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices \[3, 4\].*strides \[16, 32\]"):
        build_model(NAME, num_classes=2, **{**SMALL, "backbone": "STDC1"}, backbone_indices=[3, 4])
