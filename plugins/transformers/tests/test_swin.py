"""Swin as a backbone of its own."""

import numpy as np
import paddle
import pytest

from segcore.nn.build import build_backbone
from segcore_transformers.swin import SwinTransformer, Windows, relative_positions


@pytest.fixture(scope="module")
def small_swin():
    paddle.seed(0)
    network = SwinTransformer(channels=8, depths=(2, 2, 2, 2), heads=(1, 1, 2, 2), window=7)
    network.eval()
    return network


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (64, 32), (97, 161)])
def test_features_have_their_strides_rounded_up(small_swin, size):
    features = small_swin(paddle.zeros([2, 3, *size]))
    for feature, channels, stride in zip(
        features, small_swin.feature_channels, small_swin.feature_strides, strict=True
    ):
        assert list(feature.shape) == [2, channels, -(-size[0] // stride), -(-size[1] // stride)]


def test_zeros_beyond_the_image_are_as_good_as_none(small_swin):
    """What a side needs to be a multiple of the patch is padded with zeros."""
    image = np.random.default_rng(0).random((1, 3, 30, 61), np.float32)
    padded = np.pad(image, [(0, 0), (0, 0), (0, 2), (0, 3)])
    found, expected = (small_swin(paddle.to_tensor(x)) for x in (image, padded))
    for one, other in zip(found, expected, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()


def test_windows_are_cut_and_put_together_again():
    x = paddle.to_tensor(np.random.default_rng(0).random((2, 14, 21, 3), np.float32))
    windows = Windows(x, 7, 3)
    cut = windows.partition(x, 3)
    assert list(cut.shape) == [2, 6, 49, 3]
    np.testing.assert_array_equal(cut[0, 4].numpy().reshape(7, 7, 3), x[0, 7:, 7:14].numpy())
    np.testing.assert_array_equal(windows.merge(cut, 3).numpy(), x.numpy())


def test_only_pixels_that_were_neighbours_see_each_other_after_a_shift():
    """Rolling by 3 brings the first 3 rows and columns behind the last ones."""
    mask = Windows(paddle.zeros([1, 14, 14, 1]), 7, 3).mask.numpy().reshape(4, 49, 49)
    assert (mask[0] == 0).all()
    corner = mask[3].reshape(7, 7, 7, 7)
    is_behind = np.arange(7) >= 4
    together = (is_behind[:, None] == is_behind[None, :])[:, None, :, None]
    together = together & (is_behind[:, None] == is_behind[None, :])[None, :, None, :]
    np.testing.assert_array_equal(corner == 0, together)
    assert corner.min() == -100


def test_relative_positions_number_every_offset_once():
    index = relative_positions(7)
    assert index.shape == (49, 49)
    assert sorted(np.unique(index)) == list(range(169))
    assert (np.diagonal(index) == 84).all()
    # one pixel to the left lowers the offset by one, one pixel up by a row of 13
    assert index[0, 1] == 83
    assert index[0, 7] == 84 - 13


def test_residual_branches_drop_more_often_with_depth():
    backbone = build_backbone("Swin-T", drop_path_rate=0.2)
    rates = [block.drop_path.p for stage in backbone.layers for block in stage.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.2, 12))


@pytest.mark.parametrize("name", ["SwinTransformer_small_patch4_window7_224", "swin s"])
def test_backbones_are_known_by_the_names_of_the_reference(name):
    backbone = build_backbone(name, in_channels=1)
    assert [len(stage.blocks) for stage in backbone.layers] == [2, 2, 18, 2]
    assert backbone.in_channels == 1
