"""When an export counts as computing what the network computes."""

import numpy as np
import pytest

from segcore.tasks.agreement import disagreement

CLASSES = np.zeros((1, 100, 100), np.int32)


def with_different(pixels):
    changed = CLASSES.copy()
    changed.reshape(-1)[:pixels] = 1
    return changed


def test_equal_class_maps_agree():
    assert disagreement([CLASSES], [CLASSES.copy()]) is None


def test_a_pixel_in_a_thousand_may_be_decided_otherwise():
    assert disagreement([CLASSES], [with_different(10)]) is None
    assert "0.11%" in disagreement([CLASSES], [with_different(11)])


def test_logits_agree_within_a_thousandth_of_the_largest():
    logits = np.array([10.0, -3.0], np.float32)
    assert disagreement([logits], [logits + 0.009]) is None
    assert "off by up to 0.011" in disagreement([logits], [logits + np.float32(0.011)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(value):
    logits = np.ones(3, np.float32)
    assert disagreement([logits], [np.array([1, 1, value], np.float32)]) is not None


def test_another_shape_or_number_of_outputs_is_named():
    assert "shape (1, 100)" in disagreement([CLASSES], [CLASSES[:, 0]])
    assert "0 outputs instead of 1" in disagreement([CLASSES], [])
