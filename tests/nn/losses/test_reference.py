"""Every loss gives the reference's value and gradient, and keeps the house's promises."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from segcore.discovery.catalogue import get_own_catalogue
from segcore.nn.losses.sum import SumOfLosses, Term
from segcore.testing.parity import reference_labels

CASES = json.loads((Path(__file__).parent / "data" / "losses.json").read_text())
SINGLE = [case for case in CASES if case["loss"] != "MixedLoss"]
NAMES = sorted(entry.name for entry in get_own_catalogue().losses)


def build(name, **options):
    return get_own_catalogue().losses.find(name).load_target()(**options)


def logits_of(case):
    generator = np.random.RandomState(90001 + case["seed"])
    values = 2 * generator.standard_normal((2, case["num_classes"], 32, 48))
    return paddle.to_tensor(values.astype(np.float32), stop_gradient=False)


def labels_of(case):
    labels = reference_labels(32, 48, case["num_classes"], batch=2, seed=case["seed"])
    if case["labels"] == "ignored as 0":
        labels[labels == 255] = 0
    elif case["labels"] == "binary":
        drawn = np.random.RandomState(77).randint(0, 2, labels.shape)
        labels = np.where(labels == 255, 255, drawn)
    return labels


def describe(case):
    return f"{case['loss']}-{case['num_classes']}-{case['options']}"


def small_inputs(name, *, ignored=0.3):
    """Draw logits and labels that suit the loss: two classes where it knows no more."""
    generator = np.random.default_rng(3)
    classes = 2 if name in {"FocalLoss", "LovaszHingeLoss"} else 4
    logits = 2 * generator.standard_normal((2, classes, 6, 7)).astype(np.float32)
    labels = generator.integers(0, classes, (2, 6, 7))
    labels[generator.random(labels.shape) < ignored] = 255
    return paddle.to_tensor(logits, stop_gradient=False), labels


@pytest.mark.parametrize("case", SINGLE, ids=describe)
def test_values_and_gradients_are_those_of_the_reference(case):
    logits = logits_of(case)
    value = build(case["loss"], **case["options"])(logits, paddle.to_tensor(labels_of(case)))
    value.backward()
    gradient = logits.grad.numpy().astype(np.float64)
    # the order of float32 additions differs, nothing else
    assert float(value) == pytest.approx(case["value"], rel=2e-6)
    assert np.linalg.norm(gradient) == pytest.approx(case["grad_l2"], rel=2e-6)
    assert np.abs(gradient).sum() == pytest.approx(case["grad_sum_abs"], rel=1e-5)
    assert gradient[0, 0, 0, :4] == pytest.approx(case["grad_first4"], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_mixed_loss_is_that_of_the_reference_in_either_order(order):
    case = next(case for case in CASES if case["loss"] == "MixedLoss")
    terms = [Term(case["losses"][i], build(case["losses"][i]), case["coef"][i]) for i in order]
    logits = logits_of(case)
    labels = reference_labels(32, 48, case["num_classes"], batch=2, seed=case["seed"])
    total = SumOfLosses(terms)(logits, paddle.to_tensor(labels))["loss"]
    total.backward()
    assert float(total) == pytest.approx(case["value"], rel=2e-6)
    norm = np.linalg.norm(logits.grad.numpy().astype(np.float64))
    assert norm == pytest.approx(case["grad_l2"], rel=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_have_exactly_no_gradient(name):
    logits, labels = small_inputs(name)
    build(name)(logits, paddle.to_tensor(labels)).backward()
    gradient = logits.grad.numpy().transpose(0, 2, 3, 1)
    assert (gradient[labels == 255] == 0.0).all()
    assert (gradient[labels != 255] != 0.0).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_of_ignored_pixels_do_not_change_the_loss(name):
    logits, labels = small_inputs(name)
    other = logits.numpy().copy()
    other.transpose(0, 2, 3, 1)[labels == 255] += 3.0
    loss, labels = build(name), paddle.to_tensor(labels)
    assert float(loss(logits, labels)) == float(loss(paddle.to_tensor(other), labels))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_ignored_pixels_costs_nothing(name):
    logits, labels = small_inputs(name, ignored=2.0)
    value = build(name)(logits, paddle.to_tensor(labels))
    value.backward()
    assert float(value) == 0.0
    assert (logits.grad.numpy() == 0.0).all()


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_left_as_they_are(name):
    logits, labels = small_inputs(name)
    given = paddle.to_tensor(labels)
    build(name)(logits, given).backward()
    assert (given.numpy() == labels).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences(name):
    logits, labels = small_inputs(name)
    values = logits.numpy().astype(np.float64)
    loss, labels = build(name), paddle.to_tensor(labels)

    def evaluate(shift):
        return float(loss(paddle.to_tensor(values + shift), labels))

    exact = paddle.to_tensor(values, stop_gradient=False)
    loss(exact, labels).backward()
    direction = np.random.default_rng(4).standard_normal(values.shape)
    slope = (evaluate(1e-6 * direction) - evaluate(-1e-6 * direction)) / 2e-6
    # central differences in float64: errors of 1e-12 from the step, 1e-10 from rounding
    assert float((exact.grad.numpy() * direction).sum()) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_labels_may_carry_a_channel_axis(name):
    logits, labels = small_inputs(name)
    loss, labels = build(name), paddle.to_tensor(labels)
    assert float(loss(logits, labels)) == float(loss(logits, labels.unsqueeze(1)))


@pytest.mark.parametrize("name", NAMES)
def test_the_option_model_has_the_names_and_defaults_of_the_loss(name):
    entry = get_own_catalogue().losses.find(name)
    options = dict(entry.load_options()())
    assert options.pop("ignore_index") is None
    loss = entry.load_target()(**options)
    assert {key: getattr(loss, key) for key in options} == options
