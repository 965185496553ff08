"""U-Net computes what PaddleSeg's does, and UNet-deconv takes any size as well."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from segcore import build_model
from segcore.config.resolve import resolve_config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError, DataError
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_unet.plugin import segcore_models
from segcore_unet.unet import extend

DATA = Path(__file__).parent / "data"
MODELS = ("UNet-bilinear", "UNet-deconv")
CHECKS = [
    check
    for model in MODELS
    for check in conformance_checks(Subject(model, outputs=1, sizes=((32, 32), (33, 50), (16, 47))))
]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """A network and what the reference says of it."""
    return build_model(request.param, num_classes=19), Reference.read(DATA, request.param)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: f"{c.run.args[0].model}-{c}")
def test_both_models_conform(check):
    check()


def test_the_state_dict_is_that_of_the_published_weights(model):
    check_layout(*model)


@pytest.mark.parity
def test_logits_are_those_of_the_reference(model):
    network, reference = model
    # the reference has no odd size of the transposed convolutions
    assert (
        len(check_outputs(network, reference))
        == {"UNet-bilinear": 6, "UNet-deconv": 3}[reference.name]
    )


@pytest.mark.slow
@pytest.mark.parity
def test_a_training_step_is_that_of_the_reference():
    loss = CrossEntropyLoss()
    check_training(
        build_model("UNet-bilinear", num_classes=19),
        Reference.read(DATA, "UNet-bilinear"),
        "ce",
        lambda outputs, labels: [loss(output, labels) for output in outputs],
    )


def test_the_spec_counts_the_parameters_right(model):
    network, reference = model
    trainable = sum(p.size for p in network.parameters() if not p.stop_gradient)
    spec = next(spec for spec in segcore_models() if spec.name == reference.name)
    assert spec.parameters == trainable


@pytest.mark.parametrize("name", MODELS)
def test_odd_sizes_come_back_in_the_input_size(name):
    network = build_model(name, num_classes=2)
    network.eval()
    shapes = [list(network(paddle.zeros([1, 3, *s]))[0].shape) for s in [(97, 161), (16, 31)]]
    assert shapes == [[1, 2, 97, 161], [1, 2, 16, 31]]


def test_an_odd_size_repeats_the_last_row_and_column_and_moves_nothing():
    x = paddle.arange(4.0).reshape([1, 1, 2, 2])
    assert extend(x, [2, 2]) is x
    assert extend(x, [3, 2])[0, 0].tolist() == [[0.0, 1.0], [2.0, 3.0], [2.0, 3.0]]
    assert extend(x, [3, 3])[0, 0].tolist() == [[0.0, 1.0, 1.0], [2.0, 3.0, 3.0], [2.0, 3.0, 3.0]]


@pytest.mark.parametrize("name", MODELS)
def test_images_that_cannot_be_halved_four_times_are_refused(name):
    network = build_model(name, num_classes=2)
    with pytest.raises(DataError, match=r"40 x 15 pixels.*16 x 16"):
        network(paddle.zeros([1, 3, 15, 40]))


@pytest.mark.parametrize("name", MODELS)
def test_images_may_have_one_channel(name):
    network = build_model(name, num_classes=2, in_channels=1)
    network.eval()
    assert list(network(paddle.zeros([1, 1, 32, 32]))[0].shape) == [1, 2, 32, 32]


def test_aligned_corners_change_the_logits():
    images = paddle.to_tensor(np.random.default_rng(0).random((1, 3, 32, 32), np.float32))
    logits = []
    for align_corners in (False, True):
        paddle.seed(0)
        network = build_model("UNet-bilinear", num_classes=2, align_corners=align_corners)
        network.eval()
        logits.append(network(images)[0].numpy())
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_only_interpolation_has_corners_to_align():
    with pytest.raises(ConfigError, match="align_corners"):
        build_model("UNet-deconv", num_classes=2, align_corners=True)


@pytest.mark.parametrize("name", [*MODELS, "unet"])
def test_the_recipe_is_a_valid_configuration(name):
    train = resolve_config(name, None, [], {}, get_catalogue()).config.train
    assert (train.iters, train.crop_size) == (160_000, (1024, 512))
