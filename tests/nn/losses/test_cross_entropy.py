"""Cross entropy and OHEM: what the reference's numbers do not show."""

import numpy as np
import paddle
import pytest

from segcore.errors import ConfigError, LabelError, SegcoreError
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.nn.losses.ohem import OhemCrossEntropyLoss
from segcore.nn.losses.pixel import PixelLabels, inverse_frequencies


def inputs(classes=3, seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((2, classes, 5, 6)).astype(np.float32)
    return paddle.to_tensor(logits), generator.integers(0, classes, (2, 5, 6))


def test_dynamic_weights_are_inverse_frequencies_that_sum_to_the_class_count():
    logits, labels = inputs()
    labels[:] = 255
    labels[0, :, 0], labels[0, 0, 1:3], labels[0, 0, 3] = 0, 1, 2  # 5, 2 and 1 pixels
    weights = inverse_frequencies(PixelLabels(logits, paddle.to_tensor(labels), 255)).numpy()
    assert weights == pytest.approx(3 * np.array([2, 5, 10]) / 17)


def test_a_class_absent_from_the_batch_weighs_nothing():
    logits, labels = inputs()
    labels = np.where(labels == 2, 1, labels)
    weights = inverse_frequencies(PixelLabels(logits, paddle.to_tensor(labels), 255)).numpy()
    assert weights[2] == 0.0
    assert weights.sum() == pytest.approx(3.0)


def test_dynamic_weights_act_like_given_ones():
    logits, labels = inputs()
    counts = np.bincount(labels.ravel(), minlength=3)
    weight = list(3 / counts / (1 / counts).sum())
    labels = paddle.to_tensor(labels)
    given = CrossEntropyLoss(weight=weight)(logits, labels)
    assert float(CrossEntropyLoss(weight="dynamic")(logits, labels)) == pytest.approx(float(given))


@pytest.mark.parametrize("weight", [None, "dynamic", (0.0, 2.5, 0.5)], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_a_batch_of_one_image_is_weighed_by_the_formula(weight, seed):
    logits, labels = (array[:1] for array in inputs(seed=seed))
    labels[0, 1, :4] = 255
    if seed % 2:
        labels[labels == 0] = 1  # a class that the batch does not have
    valid = labels != 255
    counts = np.bincount(labels[valid], minlength=3)
    shares = {None: np.ones(3), "dynamic": np.where(counts, 1 / np.maximum(counts, 1), 0)}
    weights = np.array(weight) if isinstance(weight, tuple) else shares[weight]
    scores = logits.numpy().astype(np.float64)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    own = np.take_along_axis(logs, np.where(valid, labels, 0)[:, None], 1)[:, 0]
    each = np.where(valid, weights[np.where(valid, labels, 0)], 0)
    found = CrossEntropyLoss(weight=weight)(logits, paddle.to_tensor(labels))
    assert float(found) == pytest.approx(-(own * each).sum() / each.sum(), rel=1e-5)


def test_ignored_pixels_do_not_thin_out_the_hardest_ones():
    logits, labels = inputs()
    labels[:, 1:] = 255
    labels = paddle.to_tensor(labels)
    # 20 % of all pixels are valid, so half of all pixels includes every valid one
    half = CrossEntropyLoss(top_k_percent_pixels=0.5)(logits, labels)
    assert float(half) == pytest.approx(float(CrossEntropyLoss()(logits, labels)), rel=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropyLoss, OhemCrossEntropyLoss])
def test_a_wrong_number_of_weights_is_refused(loss):
    logits, labels = inputs()
    with pytest.raises(ConfigError, match=r"2 values .* 3 classes"):
        loss(weight=[1.0, 2.0])(logits, paddle.to_tensor(labels))


@pytest.mark.parametrize("value", [3, -1])
def test_a_class_that_does_not_exist_is_refused(value):
    logits, labels = inputs()
    labels[0, 0, 0] = value
    with pytest.raises(LabelError, match=f"class {value}, .* 0 to 2, 255 is ignored"):
        CrossEntropyLoss()(logits, paddle.to_tensor(labels))


def test_logits_of_another_size_are_refused():
    logits, labels = inputs()
    with pytest.raises(SegcoreError, match="height and width must agree"):
        CrossEntropyLoss()(logits[:, :, :4], paddle.to_tensor(labels))


def slow_ohem(logits, labels, thresh, min_kept):
    """Mine by sorting all probabilities, as the definition says."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    valid = labels != 255
    own = np.take_along_axis(logs, np.where(valid, labels, 0)[:, None], axis=1)[:, 0]
    kept = valid
    if min_kept < valid.sum():
        sorted_own = np.sort(np.exp(own[valid]))
        limit = max(thresh, sorted_own[min_kept - 1]) if min_kept else thresh
        kept = valid & (np.exp(own) < limit)
    return -(own * kept).sum() / (kept.sum() + 1e-5 * labels.size)


@pytest.mark.parametrize("thresh", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("min_kept", [0, 1, 10, 40, 55, 1000])
def test_ohem_keeps_the_pixels_that_sorting_would_keep(thresh, min_kept):
    logits, labels = inputs(seed=7)
    labels[0, 0] = 255
    loss = OhemCrossEntropyLoss(thresh=thresh, min_kept=min_kept)
    expected = slow_ohem(logits.numpy().astype(np.float64), labels, thresh, min_kept)
    assert float(loss(logits, paddle.to_tensor(labels))) == pytest.approx(expected, rel=1e-5)


def test_the_dtype_of_labels_does_not_matter():
    logits, labels = inputs()
    loss = OhemCrossEntropyLoss(min_kept=10)
    values = {
        float(loss(logits, paddle.to_tensor(labels.astype(dtype))))
        for dtype in (np.uint8, np.int32, np.int64)
    }
    assert len(values) == 1


def test_one_channel_of_logits_is_no_softmax():
    labels = paddle.to_tensor(np.ones((1, 2, 2), np.int64))
    with pytest.raises(LabelError, match="1 classes apart"):
        CrossEntropyLoss()(paddle.zeros([1, 1, 2, 2]), labels)


def test_weights_work_in_double_precision():
    logits, labels = inputs()
    loss = CrossEntropyLoss(weight=[1.0, 2.0, 3.0])
    single = loss(logits, paddle.to_tensor(labels))
    double = loss(logits.astype("float64"), paddle.to_tensor(labels))
    assert float(double) == pytest.approx(float(single), rel=1e-6)
