"""The Lovasz losses against a slow implementation of the papers."""

import itertools

import numpy as np
import paddle
import pytest

from segcore.errors import ConfigError
from segcore.nn.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss


def jaccard_loss(mispredicted, truth):
    """1 - IoU when exactly the pixels `mispredicted` are wrong (equation 5 of the paper)."""
    wrong = np.zeros(len(truth), bool)
    wrong[list(mispredicted)] = True
    union = (truth | wrong).sum()
    return wrong.sum() / union if union else 0.0


def extension(errors, truth):
    """Lovasz extension by its definition: gains of a growing set, weighted by sorted errors."""
    order = np.argsort(-errors, kind="stable")
    total, before = 0.0, 0.0
    for count in range(1, len(order) + 1):
        value = jaccard_loss(order[:count], truth)
        total += errors[order[count - 1]] * (value - before)
        before = value
    return total


def inputs(classes, seed=1):
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((2, classes, 4, 5))
    labels = generator.integers(0, max(classes, 2), (2, 4, 5))
    labels[0, 0, :2] = 255
    return logits, labels


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def slow_softmax_loss(logits, labels, classes):
    valid = labels != 255
    terms = []
    for number in classes:
        truth = labels[valid] == number
        terms.append(extension(np.abs(truth - softmax(logits)[:, number][valid]), truth))
    return np.mean(terms)


@pytest.mark.parametrize("classes", ["present", "all", (1,), (0, 3)])
def test_softmax_is_the_mean_extension_over_the_classes(classes):
    logits, labels = inputs(4)
    labels[labels == 2] = 1  # class 2 is absent
    numbers = {"present": (0, 1, 3), "all": range(4)}.get(classes, classes)
    value = LovaszSoftmaxLoss(classes=classes)(paddle.to_tensor(logits), paddle.to_tensor(labels))
    assert float(value) == pytest.approx(slow_softmax_loss(logits, labels, numbers), rel=1e-9)


def test_hinge_is_the_extension_of_the_positive_hinge_errors():
    logits, labels = inputs(1)
    valid = labels != 255
    truth = labels[valid] == 1
    errors = 1.0 - logits[:, 0][valid] * np.where(truth, 1.0, -1.0)
    value = LovaszHingeLoss()(paddle.to_tensor(logits), paddle.to_tensor(labels))
    # the order is that of the errors before they are cut off, which ties at 0 do not change
    assert float(value) == pytest.approx(extension(np.maximum(errors, 0), truth), rel=1e-9)


@pytest.mark.parametrize("wrong", list(itertools.product([0, 1], repeat=3)))
def test_at_hard_decisions_softmax_is_one_minus_the_intersection_over_union(wrong):
    truth = np.array([1, 1, 0])
    decided = np.where(wrong, 1 - truth, truth)
    logits = 200.0 * np.stack([1 - decided, decided])[None, :, None]
    value = LovaszSoftmaxLoss(classes=(1,))(
        paddle.to_tensor(logits), paddle.to_tensor(truth[None, None])
    )
    iou = (truth & decided).sum() / (truth | decided).sum()
    assert float(value) == pytest.approx(1.0 - iou)


def test_two_channels_count_as_the_logarithm_of_the_second_probability():
    logits, labels = inputs(2)
    score = np.log(softmax(logits)[:, 1:])
    pair = LovaszHingeLoss()(paddle.to_tensor(logits), paddle.to_tensor(labels))
    single = LovaszHingeLoss()(paddle.to_tensor(score), paddle.to_tensor(labels))
    assert float(pair) == pytest.approx(float(single), rel=1e-6)


def test_hinge_refuses_more_than_two_classes():
    logits, labels = inputs(3)
    with pytest.raises(ConfigError, match="LovaszSoftmaxLoss"):
        LovaszHingeLoss()(paddle.to_tensor(logits), paddle.to_tensor(labels))


def test_softmax_refuses_a_class_beyond_the_network():
    logits, labels = inputs(3)
    with pytest.raises(ConfigError, match="class 5"):
        LovaszSoftmaxLoss(classes=(5,))(paddle.to_tensor(logits), paddle.to_tensor(labels))
