"""FastSCNN computes what PaddleSeg's does, with one, two or three branches."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from segcore import build_model
from segcore.config.resolve import resolve_config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.nn.losses.sum import SumOfLosses, Term
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_fastscnn.plugin import segcore_models

DATA = Path(__file__).parent / "data"
CHECKS = conformance_checks(Subject("FastSCNN", {"multi_loss_weight": [1.0, 0.4, 0.4]}, outputs=3))


@pytest.fixture(scope="module")
def reference():
    return Reference.read(DATA, "FastSCNN")


@pytest.fixture
def images():
    values = np.random.default_rng(0).uniform(-1, 1, (2, 3, 65, 97)).astype(np.float32)
    return paddle.to_tensor(values)


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_three_branches_conform(check):
    check()


def test_the_state_dict_is_that_of_the_published_weights(reference):
    check_layout(build_model("FastSCNN", num_classes=19), reference)


@pytest.mark.parity
def test_logits_are_those_of_the_reference(reference):
    assert len(check_outputs(build_model("FastSCNN", num_classes=19), reference)) == 6


@pytest.mark.parity
def test_a_training_step_is_that_of_the_reference(reference):
    network = build_model("FastSCNN", num_classes=19)
    loss = CrossEntropyLoss()

    def weighted(outputs, labels):
        pairs = zip(network.output_weights, outputs, strict=True)
        return [weight * loss(output, labels) for weight, output in pairs]

    check_training(network, reference, "ce", weighted)


def test_the_spec_counts_the_parameters_right():
    parameters = build_model("FastSCNN", num_classes=19).parameters()
    (spec,) = segcore_models()
    assert spec.parameters == sum(p.size for p in parameters if not p.stop_gradient)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.4], [1.0, 0.4, 0.2]])
def test_there_is_one_output_a_weight_in_training_and_one_in_eval_mode(weights, images):
    network = build_model("FastSCNN", num_classes=2, multi_loss_weight=weights)
    assert [list(y.shape) for y in network(images)] == [[2, 2, 65, 97]] * len(weights)
    network.eval()
    assert [list(y.shape) for y in network(images)] == [[2, 2, 65, 97]]


def test_branches_differ_in_auxiliary_layers_only():
    one, two, three = (
        set(build_model("FastSCNN", num_classes=2, multi_loss_weight=weights).state_dict())
        for weights in ([1.0], [1.0, 0.4], [1.0, 0.4, 0.4])
    )
    assert {key.partition(".")[0] for key in two - one} == {"auxlayer"}
    assert {key.partition(".")[0] for key in three - two} == {"auxlayer_lower"}
    assert one < two < three


def test_weights_of_branches_weigh_their_losses(images):
    network = build_model("FastSCNN", num_classes=2, multi_loss_weight=[1.0, 0.5, 0.25])
    outputs, labels = network(images), paddle.zeros([2, 65, 97], "int64")
    loss = CrossEntropyLoss()
    total = SumOfLosses([Term("CE", loss)])(outputs, labels, network.output_weights)["loss"]
    values = [float(loss(output, labels)) for output in outputs]
    assert float(total) == pytest.approx(values[0] + 0.5 * values[1] + 0.25 * values[2])


def test_a_branch_of_weight_zero_learns_nothing(images):
    network = build_model("FastSCNN", num_classes=2, multi_loss_weight=[1.0, 0.0, 0.4])
    outputs, labels = network(images), paddle.zeros([2, 65, 97], "int64")
    criterion = SumOfLosses([Term("CE", CrossEntropyLoss())])
    criterion(outputs, labels, network.output_weights)["loss"].backward()
    assert network.auxlayer.conv.weight.grad is None
    assert network.auxlayer_lower.conv.weight.grad is not None


@pytest.mark.parametrize(
    ("weights", "problem"),
    [([], "multi_loss_weight"), ([1.0] * 4, "multi_loss_weight"), ([0.0, 1.0], "predictions come")],
)
def test_weights_that_make_no_sense_are_refused(weights, problem):
    with pytest.raises(ConfigError, match=problem):
        build_model("FastSCNN", num_classes=2, multi_loss_weight=weights)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (31, 2), (97, 161)])
def test_odd_and_tiny_images_come_back_in_their_size(size):
    network = build_model("FastSCNN", num_classes=2)
    network.eval()
    assert list(network(paddle.zeros([1, 3, *size]))[0].shape) == [1, 2, *size]


def test_images_may_have_one_channel():
    network = build_model("FastSCNN", num_classes=2, in_channels=1)
    network.eval()
    assert list(network(paddle.zeros([1, 1, 32, 32]))[0].shape) == [1, 2, 32, 32]


def test_aligned_corners_change_the_logits(images):
    logits = []
    for align_corners in (False, True):
        paddle.seed(0)
        network = build_model("FastSCNN", num_classes=2, align_corners=align_corners)
        network.eval()
        logits.append(network(images)[0].numpy())
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_the_recipe_is_a_valid_configuration():
    train = resolve_config("FastSCNN", None, [], {}, get_catalogue()).config.train
    assert (train.iters, train.crop_size) == (160_000, (1024, 1024))
    assert train.schedule.end_lr == 1e-4
    assert train.output_weights is None  # the option multi_loss_weight says it
