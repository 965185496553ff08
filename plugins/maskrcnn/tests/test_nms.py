"""Each kind of suppression, against plain loops over few boxes."""

import numpy as np
import paddle
import pytest

from segcore_maskrcnn.nms import Suppression


def iou(one, two):
    low, high = np.maximum(one[:2], two[:2]), np.minimum(one[2:], two[2:])
    common = np.prod(np.clip(high - low, 0, None))
    return common / (np.prod(one[2:] - one[:2]) + np.prod(two[2:] - two[:2]) - common)


def centre_distance(one, two):
    low, high = np.minimum(one[:2], two[:2]), np.maximum(one[2:], two[2:])
    apart = ((one[:2] + one[2:] - two[:2] - two[2:]) ** 2).sum() / 4
    return apart / ((high - low) ** 2).sum()


SHARES = {
    "MultiClassNMS": lambda one, two: float(iou(one, two) <= 0.5),
    "MultiClassSoftNMS": lambda one, two: np.exp(-(iou(one, two) ** 2) / 0.5),
    "MultiClassCiouNMS": lambda one, two: float(iou(one, two) - centre_distance(one, two) <= 0.5),
}


def slowly(kind, boxes, scores, keep, threshold):
    """Suppress class by class, a box at a time; give the rows of an image, best first."""
    rows = []
    for label in range(scores.shape[1]):
        left = {i: s for i, s in enumerate(scores[:, label]) if s > threshold}
        while left:
            best = max(left, key=left.get)
            rows.append([label, left.pop(best), *boxes[best, label]])
            left = {
                i: s * SHARES[kind](boxes[best, label], boxes[i, label]) for i, s in left.items()
            }
            left = {i: s for i, s in left.items() if s > threshold}
    return np.array(sorted(rows, key=lambda row: -row[1])[:keep]).reshape(-1, 6)


def crowd(seed=0, rows=40, classes=3):
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 40, (rows, classes, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(10, 40, corners.shape)], axis=2)
    return boxes.astype(np.float32), generator.uniform(0, 1, (rows, classes)).astype(np.float32)


def suppress(kind, boxes, scores, counts, **options):
    rows, numbers = Suppression(kind, **options)(
        paddle.to_tensor(boxes), paddle.to_tensor(scores), paddle.to_tensor(counts, "int32")
    )
    return rows.numpy(), numbers.tolist()


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("keep", [7, 200])
def test_boxes_are_suppressed_image_by_image_and_class_by_class(kind, keep):
    boxes, scores = crowd()
    rows, numbers = suppress(kind, boxes, scores, [15, 25], keep=keep, score=0.2)
    wanted = [slowly(kind, boxes[s], scores[s], keep, 0.2) for s in (slice(15), slice(15, None))]
    assert numbers == [len(of_image) for of_image in wanted]
    ends = np.cumsum(numbers)
    for end, of_image in zip(ends, wanted, strict=True):
        found = rows[end - len(of_image) : end]
        found = found[np.argsort(-found[:, 1])]
        np.testing.assert_allclose(found, of_image, rtol=1e-4, atol=1e-5)


def test_matrix_suppression_lowers_scores_by_overlaps():
    """The paper's formula for three boxes in a row: the middle one is half covered by the first."""
    boxes = np.array([[[0, 0, 12, 10]], [[4, 0, 16, 10]], [[8, 0, 20, 10]]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7]], np.float32)
    rows, numbers = suppress("MatrixNMS", boxes, scores, [3], score=0.05)
    near, far = 8 / 16, 4 / 20
    lowered = [0.9, 0.8 * (1 - near), 0.7 * min(1 - far, (1 - near) / (1 - near))]
    assert numbers == [3]
    np.testing.assert_allclose(np.sort(rows[:, 1]), np.sort(lowered), rtol=1e-5)


@pytest.mark.parametrize("kind", [*SHARES, "MatrixNMS"])
def test_classes_do_not_suppress_each_other(kind):
    boxes = np.tile(np.array([[[0, 0, 10, 10]]], np.float32), (1, 2, 1))
    rows, _ = suppress(kind, boxes, np.array([[0.9, 0.8]], np.float32), [1])
    np.testing.assert_allclose(np.sort(rows[:, 1]), [0.8, 0.9])


@pytest.mark.parametrize("kind", [*SHARES, "MatrixNMS"])
def test_low_scores_leave_nothing(kind):
    boxes, scores = crowd()
    rows, numbers = suppress(kind, boxes, scores, [15, 25], score=0.9999)
    assert rows.shape == (0, 6)
    assert numbers == [0, 0]
