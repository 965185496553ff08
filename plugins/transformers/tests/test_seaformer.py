"""SeaFormer computes what PaddleSeg's does, and behaves as a network of segcore should.

The logits of `b`, an image of odd size, and both of SeaFormer_base come from PaddleSeg run under
PaddlePaddle 3.3.1.
"""

from importlib import resources
from pathlib import Path

import numpy as np
import paddle
import pytest

import segcore_transformers
from segcore import build_model
from segcore.config.load import read_yaml
from segcore.config.schema import Config
from segcore.engine.optimizer import create_optimizer
from segcore.errors import ConfigError
from segcore.nn.build import build_backbone
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_transformers.plugin import segcore_models
from segcore_transformers.seaformer_backbone import AxialPosition

DATA = Path(__file__).parent / "data"
SPECS = {spec.name: spec for spec in segcore_models() if spec.name.startswith("SeaFormer")}


@pytest.mark.parametrize("check", conformance_checks(Subject("SeaFormer_tiny", outputs=1)), ids=str)
def test_the_smallest_model_conforms(check):
    check()


@pytest.mark.parity
@pytest.mark.parametrize("name", SPECS)
def test_the_network_is_that_of_the_reference(name):
    network, reference = build_model(name, num_classes=150), Reference.read(DATA, name)
    check_layout(network, reference)
    # running statistics are parameters to Paddle, but do not learn
    trainable = sum(p.size for p in network.parameters() if not p.stop_gradient)
    assert SPECS[name].parameters == trainable
    assert len(check_outputs(network, reference)) == 6


@pytest.mark.parity
def test_a_training_step_is_that_of_the_reference():
    loss = CrossEntropyLoss()
    check_training(
        build_model("SeaFormer_tiny", num_classes=150),
        Reference.read(DATA, "SeaFormer_tiny"),
        "ce",
        lambda outputs, labels: [loss(output, labels) for output in outputs],
    )


@pytest.mark.parametrize("length", [1, 5, 16, 37])
def test_positions_are_drawn_out_linearly(length):
    position = AxialPosition(1)
    position.pos_embed.set_value(np.arange(16, dtype=np.float32)[None, None])
    found = position(paddle.zeros([2, 1, length])).numpy()
    # centres of pixels, of which those beyond the outermost learned ones take their values
    expected = ((np.arange(length) + 0.5) * 16 / length - 0.5).clip(0, 15)
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, 1, length)), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (31, 2)])
def test_the_smallest_images_come_back_in_their_size(size):
    network = build_model("SeaFormer_tiny", num_classes=2)
    network.eval()
    assert list(network(paddle.zeros([1, 3, *size]))[0].shape) == [1, 2, *size]


def test_images_may_have_one_channel():
    network = build_model("SeaFormer_tiny", num_classes=2, in_channels=1)
    network.eval()
    assert list(network(paddle.zeros([1, 1, 32, 64]))[0].shape) == [1, 2, 32, 64]


@pytest.mark.parametrize(
    ("name", "strides"), [("SeaFormer_small", (8, 32, 64)), ("SeaFormer_large", (8, 16, 32, 64))]
)
def test_features_have_the_shapes_that_the_backbone_declares(name, strides):
    backbone = build_backbone(name)
    assert backbone.feature_strides == strides
    declared = zip(backbone.feature_channels, strides, strict=True)
    expected = [[1, channels, -(-97 // by), -(-161 // by)] for channels, by in declared]
    backbone.eval()
    assert [list(x.shape) for x in backbone(paddle.zeros([1, 3, 97, 161]))] == expected


def test_the_head_takes_features_of_any_backbone():
    network = build_model(
        "SeaFormer_tiny",
        num_classes=2,
        backbone="STDC1",
        backbone_indices=[2, 4],
        embed_dims=[32],
        is_dw=False,
    )
    network.eval()
    assert list(network(paddle.zeros([1, 3, 40, 70]))[0].shape) == [1, 2, 40, 70]


def test_a_feature_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices.*3 features"):
        build_model("SeaFormer_tiny", num_classes=2, backbone_indices=[0, 1, 3])


def test_a_width_for_each_fused_feature_is_asked_for():
    with pytest.raises(ConfigError, match=r"embed_dims has 1 numbers.*2 features"):
        build_model("SeaFormer_tiny", num_classes=2, embed_dims=[64])


@pytest.fixture(params=SPECS.values(), ids=SPECS)
def recipe(request):
    """The configuration that the recipe of a model makes."""
    package, _, path = request.param.recipe.partition(":")
    assert package == segcore_transformers.__name__
    with resources.as_file(resources.files(package) / path) as file:
        text = read_yaml(file)
    return Config.model_validate({"model": {"name": request.param.name}, **text})


def test_the_recipe_is_a_valid_configuration_with_sliding_windows(recipe):
    assert recipe.train.iters == 160_000
    assert recipe.eval.sliding.crop == recipe.train.crop_size == (512, 512)
    assert [step.type for step in recipe.eval.transforms] == ["Resize", "Normalize"]


def test_positions_and_norms_do_not_decay(recipe):
    network = build_model("SeaFormer_tiny", num_classes=2)
    optimizer = create_optimizer(recipe.train.optimizer, network, 0.0)
    kept = {p.name for group in optimizer._param_groups[:2] for p in group["params"]}
    named = {key for key, p in network.named_parameters() if p.name in kept}
    assert len(named) == 2 * 72 + 4 * 4  # scale and shift of norms, and the positions of 4 blocks
    assert all(key.endswith("pos_embed") or "_batch_norm" in key for key in named)
