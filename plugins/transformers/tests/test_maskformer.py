"""MaskFormer computes what PaddleSeg's does, and behaves as a network of segcore should.

The logits of `b`, an image of odd size, come from PaddleSeg run under PaddlePaddle 3.3.1.
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
from segcore.errors import ConfigError
from segcore.nn.build import build_backbone
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_transformers.maskformer import MaskFormer, class_scores
from segcore_transformers.maskformer_loss import MaskFormerLoss
from segcore_transformers.plugin import segcore_models
from segcore_transformers.query_decoder import sine_positions
from segcore_transformers.swin import SwinTransformer

DATA = Path(__file__).parent / "data"
SPECS = {spec.name: spec for spec in segcore_models() if spec.name.startswith("MaskFormer")}


class NarrowMaskFormer(Subject):
    """MaskFormer on a Swin of a third of the width: a quarter of the parameters."""

    def build(self, num_classes=None, seed=0):
        paddle.seed(seed)
        backbone = SwinTransformer(channels=32, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8))
        return MaskFormer(self.num_classes if num_classes is None else num_classes, backbone)


CONFORMING = NarrowMaskFormer(
    "MaskFormer_tiny", sizes=((33, 65), (64, 32)), loss=MaskFormerLoss(), learning_rate=3e-5
)


@pytest.mark.parametrize("check", conformance_checks(CONFORMING), ids=str)
def test_a_narrow_model_conforms(check):
    check()


@pytest.mark.parity
@pytest.mark.parametrize("name", SPECS)
def test_the_network_is_that_of_the_reference(name):
    network, reference = build_model(name, num_classes=150), Reference.read(DATA, name)
    check_layout(network, reference)
    assert SPECS[name].parameters == sum(p.size for p in network.parameters())
    assert len(check_outputs(network, reference)) == 6


@pytest.mark.slow
@pytest.mark.parity
def test_a_training_step_is_that_of_the_reference():
    loss = MaskFormerLoss()
    check_training(
        build_model("MaskFormer_tiny", num_classes=150, dropout=0.0, drop_path_rate=0.0),
        Reference.read(DATA, "MaskFormer_tiny"),
        "own",
        lambda outputs, labels: [loss(outputs, labels)],
    )


@pytest.fixture(scope="module")
def small_network():
    """MaskFormer on a light backbone of another family."""
    paddle.seed(0)
    options = {"backbone": "STDC1", "backbone_indices": (1, 2, 3, 4), "num_queries": 10}
    return build_model("MaskFormer_tiny", num_classes=2, in_channels=1, **options)


def test_training_gives_segments_of_every_decoder_layer(small_network):
    small_network.train()
    outputs = small_network(paddle.zeros([2, 1, 33, 50]))
    assert len(outputs["aux_outputs"]) == 5
    for segments in (outputs, *outputs["aux_outputs"]):
        assert list(segments["pred_logits"].shape) == [2, 10, 3]
        assert list(segments["pred_masks"].shape) == [2, 10, 9, 13]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (31, 2)])
def test_the_smallest_images_come_back_in_their_size(small_network, size):
    small_network.eval()
    assert list(small_network(paddle.zeros([2, 1, *size]))[0].shape) == [2, 2, *size]


def test_a_segment_lends_its_class_to_the_pixels_of_its_mask():
    """Two queries: the left half is surely class 1, everything is "nothing" or else class 0."""
    logits = paddle.to_tensor([[[-90.0, 90.0, -90.0], [0.0, -90.0, 0.0]]])
    masks = np.full((1, 2, 2, 4), 90.0, np.float32)
    masks[0, 0, :, 2:] = -90.0
    segments = {"pred_logits": logits, "pred_masks": paddle.to_tensor(masks)}
    scores = class_scores(segments, (2, 4)).numpy()
    np.testing.assert_allclose(scores[0, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(scores[0, 1], [[1, 1, 0, 0]] * 2, atol=1e-6)


def test_positions_are_waves_from_the_finest_to_the_coarsest():
    found = sine_positions(paddle.zeros([1, 1, 2, 3]), 8).numpy().reshape(2, 3, 8)
    for row, column in ((0, 0), (1, 2), (1, 0)):
        y, x = 2 * np.pi * (row + 1) / 2, 2 * np.pi * (column + 1) / 3
        expected = [f(a / w) for a in (y, x) for w in (1, 100) for f in (np.sin, np.cos)]
        np.testing.assert_allclose(found[row, column], expected, atol=1e-5)


def test_a_feature_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices.*4 features"):
        build_model("MaskFormer_tiny", num_classes=2, backbone_indices=[0, 4])


def test_stochastic_depth_is_the_backbones():
    network = build_model("MaskFormer_tiny", num_classes=2, drop_path_rate=0.1)
    assert network.backbone.layers[3].blocks[1].drop_path.p == pytest.approx(0.1)
    assert build_backbone("Swin-T").layers[3].blocks[1].drop_path.p == pytest.approx(0.3)


def test_stochastic_depth_is_refused_for_backbones_without():
    with pytest.raises(ConfigError, match="drop_path_rate"):
        build_model("MaskFormer_tiny", num_classes=2, backbone="STDC1", drop_path_rate=0.1)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_recipe_is_a_valid_configuration(spec):
    package, _, path = spec.recipe.partition(":")
    assert package == segcore_transformers.__name__
    with resources.as_file(resources.files(package) / path) as file:
        recipe = read_yaml(file)
    config = Config.model_validate({"model": {"name": spec.name}, **recipe})
    assert config.train.iters == 160_000
    assert [term.type for term in config.train.losses] == ["MaskFormerLoss"]
    assert config.train.optimizer.groups[0].weight_decay_factor == 0.0
