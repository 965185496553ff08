"""PP-LiteSeg computes what PaddleSeg's does, and behaves as a network of segcore should."""

from importlib import resources
from pathlib import Path

import numpy as np
import paddle
import pytest

import segcore_pplite
from segcore import build_model
from segcore.config.load import read_yaml
from segcore.config.schema import Config
from segcore.errors import ConfigError
from segcore.nn.losses.ohem import OhemCrossEntropyLoss
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_pplite.config import PPLiteSegBOptions, PPLiteSegTOptions
from segcore_pplite.plugin import segcore_models
from segcore_pplite.pp_liteseg import build_pp_liteseg

DATA = Path(__file__).parent / "data"
MODELS = ("PP-LiteSeg-T", "PP-LiteSeg-B")
FUSIONS = (
    "UAFM",
    "UAFM_SpAtten_S",
    "UAFM_ChAtten",
    "UAFM_ChAtten_S",
    "UAFMMobile",
    "UAFMMobile_SpAtten",
)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """A network and what the reference says of it."""
    return build_model(request.param, num_classes=19), Reference.read(DATA, request.param)


@pytest.mark.parametrize("check", conformance_checks(Subject("PP-LiteSeg-T", outputs=3)), ids=str)
def test_the_tiny_model_conforms(check):
    check()


def test_the_state_dict_is_that_of_the_published_weights(model):
    check_layout(*model)


@pytest.mark.parity
def test_logits_are_those_of_the_reference(model):
    assert len(check_outputs(*model)) == 6


@pytest.mark.parity
@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("ohem_min_kept_130000", {"min_kept": 130000}),
        ("ohem_thresh_0.02_min_kept_4096", {"thresh": 0.02, "min_kept": 4096}),
    ],
)
def test_a_training_step_is_that_of_the_reference(case, options):
    loss = OhemCrossEntropyLoss(**options)
    check_training(
        build_model("PP-LiteSeg-T", num_classes=19),
        Reference.read(DATA, "PP-LiteSeg-T"),
        case,
        lambda outputs, labels: [loss(output, labels) for output in outputs],
    )


def test_the_spec_counts_the_parameters_right(model):
    network, reference = model
    # running statistics are parameters to Paddle, but do not learn
    trainable = sum(p.size for p in network.parameters() if not p.stop_gradient)
    spec = next(spec for spec in segcore_models() if spec.name == reference.name)
    assert spec.parameters == trainable


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_trains_and_predicts(fusion):
    network = build_model("PP-LiteSeg-T", num_classes=3, arm_type=fusion)
    images = paddle.to_tensor(np.random.default_rng(0).random((2, 3, 65, 97), np.float32))
    outputs = network(images)
    sum(output.mean() for output in outputs).backward()
    assert all(p.grad is not None for p in network.ppseg_head.parameters() if not p.stop_gradient)
    network.eval()
    assert [list(y.shape) for y in network(images)] == [[2, 3, 65, 97]]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (31, 2)])
def test_the_smallest_images_come_back_in_their_size(size):
    network = build_model("PP-LiteSeg-T", num_classes=2)
    network.eval()
    assert list(network(paddle.zeros([1, 3, *size]))[0].shape) == [1, 2, *size]


def test_images_may_have_one_channel():
    network = build_model("PP-LiteSeg-T", num_classes=2, in_channels=1)
    network.eval()
    assert list(network(paddle.zeros([1, 1, 32, 32]))[0].shape) == [1, 2, 32, 32]


def test_fewer_features_give_fewer_outputs():
    network = build_model(
        "PP-LiteSeg-B",
        num_classes=2,
        backbone_indices=[3, 4],
        arm_out_chs=[64, 64],
        seg_head_inter_chs=[32, 32],
    )
    assert len(network(paddle.zeros([1, 3, 64, 64]))) == 2


def test_a_feature_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices.*5 features"):
        build_pp_liteseg(2, backbone="STDC1", backbone_indices=(2, 3, 7))


def test_lists_of_unequal_lengths_are_refused():
    with pytest.raises(ConfigError, match=r"arm_out_chs has 2 numbers"):
        build_model("PP-LiteSeg-T", num_classes=2, arm_out_chs=[32, 64])


def test_the_tiny_model_is_the_smaller_one():
    assert PPLiteSegTOptions().arm_out_chs == (32, 64, 128)
    assert PPLiteSegBOptions().backbone == "STDC2"


@pytest.mark.parametrize("spec", segcore_models(), ids=lambda spec: spec.name)
def test_the_recipe_is_a_valid_configuration(spec):
    package, _, path = spec.recipe.partition(":")
    assert package == segcore_pplite.__name__
    with resources.as_file(resources.files(package) / path) as file:
        recipe = read_yaml(file)
    config = Config.model_validate({"model": {"name": spec.name}, **recipe})
    assert config.train.iters == 160_000
    assert config.train.losses[0].options == {"thresh": 0.7, "min_kept": 130_000}
