"""The parts of Mask R-CNN that are arithmetic: boxes, anchors, samples, masks."""

import numpy as np
import paddle
import pytest

from segcore.errors import ConfigError
from segcore_maskrcnn.anchors import AnchorGrid
from segcore_maskrcnn.boxes import best_of_each_image, decode, encode, image_index, pairwise_iou
from segcore_maskrcnn.mask_head import paste_masks
from segcore_maskrcnn.mask_target import draw_targets
from segcore_maskrcnn.matching import match, pick_balanced, pick_libra

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def boxes(*rows):
    return paddle.to_tensor(np.array(rows, np.float32).reshape(-1, 4))


def test_offsets_lead_back_to_boxes():
    anchors, truth = boxes([0, 0, 10, 20], [5, 5, 9, 6]), boxes([1, -3, 30, 4], [5, 5, 9, 6])
    found = decode(encode(anchors, truth, WEIGHTS), anchors, WEIGHTS)[:, 0]
    np.testing.assert_allclose(found.numpy(), truth.numpy(), atol=1e-4)


def test_overlap_is_intersection_over_union():
    found = pairwise_iou(boxes([0, 0, 2, 2]), boxes([1, 0, 3, 2], [2, 2, 3, 3], [0, 0, 0, 0]))
    np.testing.assert_allclose(found.numpy(), [[1 / 3, 0, 0]], rtol=1e-6)


def test_rows_know_their_image():
    index = image_index(paddle.to_tensor([2, 0, 1], "int32"), paddle.zeros([3, 4]))
    assert index.tolist() == [0, 0, 2]


def test_the_best_of_each_image_are_kept():
    scores = paddle.to_tensor([0.1, 0.5, 0.3, 0.9, 0.2])
    image = paddle.to_tensor([0, 1, 0, 0, 1])
    chosen, numbers = best_of_each_image(scores, image, paddle.to_tensor([3, 2]), 2)
    assert numbers.tolist() == [2, 2]
    assert chosen.tolist() == [3, 2, 1, 4]  # sorted where some are dropped, else as they were


def test_anchors_have_the_area_and_shape_they_were_given():
    grid = AnchorGrid((4, 8), [[16], [32]], (0.5, 2.0))
    first, second = grid([paddle.zeros([1, 1, 3, 2]), paddle.zeros([1, 1, 2, 1])])
    assert first.shape == [12, 4]
    assert second.shape == [4, 4]
    sides = first.numpy()[:, 2:] - first.numpy()[:, :2]
    np.testing.assert_allclose(sides.prod(axis=1), 256, rtol=1e-5)
    np.testing.assert_allclose(sides[:, 1] / sides[:, 0], [0.5, 2.0] * 6, rtol=1e-5)
    np.testing.assert_allclose((first.numpy()[2] + first.numpy()[3])[::2].sum() / 4, 4, rtol=1e-5)


@pytest.mark.parametrize("sizes", [[32], [[16, 32], [64]], [16, 32, 64]])
def test_anchor_sizes_that_fit_no_map_are_refused(sizes):
    with pytest.raises(ConfigError, match="there are 2 feature maps"):
        AnchorGrid((4, 8), sizes, (1.0,))


def test_boxes_are_matched_with_what_they_overlap_most():
    candidates = boxes([0, 0, 10, 10], [0, 0, 10, 4], [20, 20, 24, 30], [90, 90, 95, 95])
    objects = boxes([20, 20, 30, 30], [0, 0, 10, 11])
    found, labels, overlaps = match(candidates, objects, 0.7, 0.3, keep_best=False)
    assert found.tolist()[:3] == [1, 1, 0]
    assert labels.tolist() == [1, -1, -1, 0]
    np.testing.assert_allclose(overlaps, [10 / 11, 4 / 11, 0.4, 0], rtol=1e-5)
    labels = match(candidates, objects, 0.7, 0.3, keep_best=True)[1]
    assert labels.tolist() == [1, -1, 1, 0]


def test_samples_keep_their_share():
    labels = np.array([1] * 50 + [0] * 50 + [-1] * 50)
    positives, negatives = pick_balanced(labels, 40, 0.25, generator=np.random.default_rng(0))
    assert len(positives) == 10
    assert len(negatives) == 30
    assert (labels[positives] == 1).all()
    assert (labels[negatives] == 0).all()
    assert pick_balanced(labels, 40, 0.25, generator=None)[0].tolist() == list(range(10))


def test_libra_spreads_over_objects_and_overlaps():
    """One object has 90 of 100 positives, and few negatives overlap anything."""
    labels = np.array([1] * 100 + [0] * 300)
    matches = np.array([0] * 90 + [1] * 10 + [0] * 300)
    overlaps = np.concatenate(
        [np.full(100, 0.8), np.zeros(280), np.full(10, 0.2), np.full(10, 0.45)]
    )
    positives, negatives = pick_libra(
        labels,
        50,
        0.4,
        generator=np.random.default_rng(0),
        matches=matches,
        overlaps=overlaps,
    )
    assert np.bincount(matches[positives]).tolist() == [10, 10]
    assert [(overlaps[negatives] == value).sum() for value in (0.2, 0.45)] == [10, 10]
    assert len(set(negatives)) == len(negatives) == 30


def test_masks_are_stretched_over_their_boxes():
    masks = paddle.ones([2, 4, 4])
    masks[1, :, 2:] = 0.0
    found = paste_masks(
        masks,
        boxes([2, 1, 6, 5], [0, 0, 8, 4]),
        paddle.to_tensor([[5.0, 8.0], [6.0, 8.0]]),
        paddle.to_tensor([6.0, 9.0]),
    ).numpy()
    wanted = np.zeros((2, 6, 9), np.int32)
    wanted[0, 1:5, 2:6] = 1
    wanted[1, :4, :4] = 1
    np.testing.assert_array_equal(found, wanted)


def test_targets_are_the_part_of_an_object_within_a_box():
    square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float64)
    bitmap = np.zeros((16, 16), np.uint8)
    bitmap[:8, :8] = 1
    around = np.array([[0, 0, 16, 16], [4, 4, 12, 12], [0, 0, 8, 8]], np.float32)
    found = draw_targets([[square], bitmap], np.array([0, 0, 0]), around, 8)
    wanted = np.zeros((3, 8, 8), np.uint8)
    wanted[0, :4, :4] = wanted[1, :4, :4] = wanted[2] = 1
    np.testing.assert_array_equal(found, wanted)
    found = draw_targets([[square], bitmap], np.array([1, 1, 1]), around, 8)
    np.testing.assert_array_equal(found, wanted)
