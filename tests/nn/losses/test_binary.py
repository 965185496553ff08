"""Losses on a single channel of logits, where the labels are 0 and 1."""

import numpy as np
import paddle
import pytest

from segcore.errors import LabelError
from segcore.nn.losses.bce import BCELoss
from segcore.nn.losses.focal import FocalLoss
from segcore.nn.losses.lovasz import LovaszHingeLoss

LOSSES = [BCELoss, FocalLoss, LovaszHingeLoss]


def inputs(highest):
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((2, 1, 6, 7)).astype(np.float32)
    labels = generator.integers(0, highest + 1, (2, 6, 7))
    labels[0, 0] = 255
    return paddle.to_tensor(logits, stop_gradient=False), labels


@pytest.mark.parametrize("loss", LOSSES)
def test_following_the_gradient_tells_the_classes_apart(loss):
    logits, labels = inputs(1)
    loss()(logits, paddle.to_tensor(labels)).backward()
    gradient = logits.grad.numpy()[:, 0]
    assert (gradient[labels == 1] <= 0).all()
    assert (gradient[labels == 0] >= 0).all()
    assert (gradient[labels == 255] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_third_class_is_refused(loss):
    logits, labels = inputs(2)
    with pytest.raises(LabelError, match="class 2"):
        loss()(logits, paddle.to_tensor(labels))


def test_focal_without_fading_is_weighted_binary_cross_entropy():
    logits, labels = inputs(1)
    labels = paddle.to_tensor(labels)
    focal = FocalLoss(alpha=0.5, gamma=0.0)(logits, labels)
    assert float(focal) == pytest.approx(0.5 * float(BCELoss()(logits, labels)), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradients_are_finite_at_certainty(gamma):
    logits = paddle.to_tensor(np.full((1, 1, 1, 2), 200.0, np.float32), stop_gradient=False)
    FocalLoss(gamma=gamma)(logits, paddle.to_tensor(np.array([[[0, 1]]]))).backward()
    assert np.isfinite(logits.grad.numpy()).all()
