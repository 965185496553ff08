"""SegFormer computes what PaddleSeg's does, and behaves as a network of segcore should.

The logits of `b`, an image of odd size, and both of SegFormer-B3 come from PaddleSeg run under
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
from segcore.errors import ConfigError, ImageError
from segcore.nn.build import build_backbone
from segcore.nn.flops import count_flops
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_transformers.plugin import segcore_models

DATA = Path(__file__).parent / "data"
SPECS = {spec.name: spec for spec in segcore_models() if spec.name.startswith("SegFormer")}


@pytest.mark.parametrize("check", conformance_checks(Subject("SegFormer-B0", outputs=1)), ids=str)
def test_the_smallest_model_conforms(check):
    check()


# the two deepest differ from SegFormer-B3 in nothing but the number of blocks
SLOW = {"SegFormer-B4", "SegFormer-B5"}
TIMED = [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in SPECS]


@pytest.mark.parametrize("name", SPECS)
def test_the_state_dict_is_that_of_the_published_weights(name):
    with paddle.LazyGuard():  # names and shapes need no values
        network = build_model(name, num_classes=19)
    check_layout(network, Reference.read(DATA, name))
    # running statistics are parameters to Paddle, but do not learn
    trainable = sum(p.size for p in network.parameters() if not p.stop_gradient)
    assert SPECS[name].parameters == trainable


@pytest.mark.parity
@pytest.mark.parametrize("name", TIMED)
def test_logits_are_those_of_the_reference(name):
    network = build_model(name, num_classes=19)
    assert len(check_outputs(network, Reference.read(DATA, name))) == 6


@pytest.mark.parity
def test_a_training_step_is_that_of_the_reference():
    loss = CrossEntropyLoss()
    check_training(
        build_model("SegFormer-B0", num_classes=19),
        Reference.read(DATA, "SegFormer-B0"),
        "ce",
        lambda outputs, labels: [loss(output, labels) for output in outputs],
    )


def test_residual_branches_drop_more_often_with_depth():
    backbone = build_backbone("MiT-B0", drop_path_rate=0.7)
    blocks = [block for stage in range(1, 5) for block in getattr(backbone, f"block{stage}")]
    rates = [block.drop_path.p for block in blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.7, 8))


def test_dropped_branches_leave_whole_samples_as_they_are():
    paddle.seed(0)
    block = build_backbone("MiT-B0", drop_path_rate=0.9).block4[1]
    tokens = paddle.randn([64, 4, 256])
    moved = (block(tokens, (2, 2)) != tokens).any(axis=[1, 2]).numpy()
    # each of two branches stays with a probability of 0.1, so most samples pass untouched
    assert 1 <= moved.sum() <= 32
    block.eval()
    assert (block(tokens, (2, 2)) != tokens).any(axis=[1, 2]).numpy().all()


@pytest.mark.parametrize("size", [(29, 29), (29, 131)])
def test_the_smallest_images_come_back_in_their_size(size):
    network = build_model("SegFormer-B0", num_classes=2)
    network.eval()
    assert list(network(paddle.zeros([1, 3, *size]))[0].shape) == [1, 2, *size]


def test_smaller_images_are_refused():
    network = build_model("SegFormer-B0", num_classes=2)
    with pytest.raises(ImageError, match=r"40 x 28 px.*29 px"):
        network(paddle.zeros([1, 3, 28, 40]))


def test_images_may_have_one_channel():
    network = build_model("SegFormer-B0", num_classes=2, in_channels=1)
    network.eval()
    assert list(network(paddle.zeros([1, 1, 32, 64]))[0].shape) == [1, 2, 32, 64]


def test_the_head_takes_features_of_any_backbone():
    network = build_model(
        "SegFormer-B1", num_classes=2, backbone="STDC1", backbone_indices=[1, 2, 3, 4]
    )
    network.eval()
    assert list(network(paddle.zeros([1, 3, 40, 70]))[0].shape) == [1, 2, 40, 70]


def test_a_feature_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices.*4 features"):
        build_model("SegFormer-B0", num_classes=2, backbone_indices=[0, 1, 2, 4])


def test_features_have_the_shapes_that_the_backbone_declares():
    backbone = build_backbone("MiT-B0")
    features = backbone(paddle.zeros([1, 3, 97, 161]))
    declared = zip(backbone.feature_channels, backbone.feature_strides, strict=True)
    expected = [[1, channels, -(-97 // by), -(-161 // by)] for channels, by in declared]
    assert [list(x.shape) for x in features] == expected


def test_the_names_of_other_documents_are_known():
    assert "SegFormer-B5 (slice)" in SPECS["SegFormer-B5"].aliases
    assert build_backbone("MixVisionTransformer_B0").feature_channels == (32, 64, 160, 256)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_recipe_is_a_valid_configuration_with_sliding_windows(spec):
    package, _, path = spec.recipe.partition(":")
    assert package == segcore_transformers.__name__
    with resources.as_file(resources.files(package) / path) as file:
        recipe = read_yaml(file)
    config = Config.model_validate({"model": {"name": spec.name}, **recipe})
    assert config.train.iters == 160_000
    assert config.train.optimizer.type == "adamw"
    assert config.eval.sliding.crop == config.train.crop_size == (1024, 1024)
    assert config.eval.sliding.stride == (768, 768)


def test_it_costs_what_the_paper_says():
    # table 1 of the paper: 8.4 GFLOPs for 512 x 512 pixels and the classes of ADE20K
    assert round(count_flops(build_model("SegFormer-B0", 150), 512, 512) / 1e9, 1) == 8.4
