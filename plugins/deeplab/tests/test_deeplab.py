"""DeepLab computes what PaddleSeg's does, and behaves as a network of segcore should."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import paddle
import pytest

import segcore_deeplab
from segcore import build_model
from segcore.config.load import read_yaml
from segcore.config.schema import Config
from segcore.discovery.names import name_key
from segcore.errors import ConfigError, UnknownNameError
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.testing.conformance import Subject, conformance_checks
from segcore.testing.parity import (
    Reference,
    check_layout,
    check_outputs,
    check_training,
    fill_network,
)
from segcore.testing.site import Site
from segcore_deeplab.plugin import segcore_models

DATA = Path(__file__).parent / "data"
SPECS = {spec.name: spec for spec in segcore_models()}
# no logits of these are known; their parts are those of other models
LAYOUT_ONLY = ("DeepLabv3p-Xception41", "DeepLabv3p-MobileNetV2_x0.5")
SMALL = "DeepLabv3p-MobileNetV2_x0.25"
# what the backbones bring in besides costs less to see on their smallest
FEW = ((32, 32), (33, 49))
SUBJECTS = [
    Subject(SMALL, outputs=1),
    Subject(
        "DeepLabv3p-MobileNetV3_large_x1_0", {"backbone": "MobileNetV3_small_x0_35"}, sizes=FEW
    ),
    Subject(
        "Deeplabv3-R50", {"backbone": "ResNet18_vd", "in_channels": 4}, in_channels=4, sizes=FEW
    ),
]


def images(*shape):
    return paddle.to_tensor(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))


def logits(network, x):
    network.eval()
    with paddle.no_grad():
        return network(x)[0]


@pytest.fixture(scope="module", params=SPECS)
def model(request):
    """A network and what the reference says of it."""
    return build_model(request.param, num_classes=19), Reference.read(DATA, request.param)


def test_the_state_dict_is_that_of_the_published_weights(model):
    check_layout(*model)


def test_the_spec_counts_the_parameters_right(model):
    network, reference = model
    # running statistics are parameters to Paddle, but do not learn
    trainable = sum(p.size for p in network.parameters() if not p.stop_gradient)
    assert SPECS[reference.name].parameters == trainable


@pytest.mark.parity
@pytest.mark.parametrize(
    "model", [name for name in SPECS if name not in LAYOUT_ONLY], indirect=True
)
def test_logits_are_those_of_the_reference(model):
    assert len(check_outputs(*model)) == 6


@pytest.mark.parity
def test_a_training_step_is_that_of_the_reference():
    loss = CrossEntropyLoss()
    check_training(
        build_model("Deeplabv3_Plus-R50", num_classes=19),
        Reference.read(DATA, "Deeplabv3_Plus-R50"),
        "ce",
        lambda outputs, labels: [loss(output, labels) for output in outputs],
    )


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{subject.options.get('backbone', subject.model)}-{check}")
        for subject in SUBJECTS
        for check in conformance_checks(subject)
    ],
)
def test_the_models_conform(check):
    check()


@pytest.mark.parametrize("plain", ["aspp_with_sep_conv", "decoder_use_sep_conv"])
def test_plain_convolutions_take_the_place_of_separable_ones(plain):
    separable = build_model(SMALL, num_classes=2)
    network = build_model(SMALL, num_classes=2, **{plain: False})
    part = "aspp.aspp_blocks.1" if plain == "aspp_with_sep_conv" else "decoder.conv_bn_relu2"
    assert f"head.{part}.depthwise_conv._conv.weight" in separable.state_dict()
    assert f"head.{part}._conv.weight" in network.state_dict()
    assert list(logits(network, images(1, 3, 33, 47)).shape) == [1, 2, 33, 47]


@pytest.mark.parametrize("encoder_with_aspp", [True, False])
@pytest.mark.parametrize("enable_decoder", [True, False])
def test_encoder_and_decoder_may_be_left_out(encoder_with_aspp, enable_decoder):
    network = build_model(
        SMALL,
        num_classes=2,
        encoder_with_aspp=encoder_with_aspp,
        enable_decoder=enable_decoder,
    )
    network(images(2, 3, 33, 47))[0].mean().backward()
    parts = {key.split(".")[1] for key in network.state_dict() if key.startswith("head.")}
    assert parts == {
        *(["aspp"] if encoder_with_aspp else []),
        "decoder" if enable_decoder else "cls",
    }
    assert all(p.grad is not None for p in network.head.parameters() if not p.stop_gradient)


def test_deeplabv3_is_deeplabv3_plus_without_decoder_and_separable_convolutions():
    network = build_model(
        "Deeplabv3_Plus-R50", num_classes=19, enable_decoder=False, aspp_with_sep_conv=False
    )
    check_layout(network, Reference.read(DATA, "Deeplabv3-R50"))


@pytest.mark.parametrize(("output_stride", "first"), [(8, 12), (16, 6), (32, 6)])
def test_the_output_stride_sets_the_dilations_and_leaves_the_layout_alone(output_stride, first):
    network = build_model(SMALL, num_classes=19, output_stride=output_stride)
    check_layout(network, Reference.read(DATA, SMALL))
    assert network.backbone.feature_strides[-1] == output_stride
    assert network.head.aspp.aspp_blocks[1].depthwise_conv._conv._dilation == [first, first]


def test_the_dilations_of_the_last_stage_are_one_two_four_by_default():
    network = build_model("Deeplabv3_Plus-R50", num_classes=2, backbone="ResNet34_vd")
    dilations = [
        network.backbone._sub_layers[f"bb_3_{index}"].conv0._conv._dilation[0] for index in range(3)
    ]
    assert dilations == [4, 8, 16]


def test_a_mean_over_the_crop_is_that_over_all_of_an_image_of_its_size():
    whole = build_model(SMALL, num_classes=19)
    windows = build_model(SMALL, num_classes=19, pooling_crop_size=[96, 64])
    for network in (whole, windows):
        fill_network(network, Reference.read(DATA, SMALL).fill_scale)
    same, larger = images(1, 3, 64, 96), images(1, 3, 160, 160)
    assert np.allclose(logits(windows, same), logits(whole, same), atol=1e-4)
    assert not np.allclose(logits(windows, larger), logits(whole, larger), atol=0.1)


def test_a_mean_over_the_crop_is_traced_for_images_of_any_size():
    network = build_model(SMALL, num_classes=2, pooling_crop_size=[96, 64])
    sizes = [(64, 96), (33, 200), (20, 30), (130, 170)]
    expected = [logits(network, images(1, 3, *size)).numpy() for size in sizes]
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "x")
    graph = paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
    for size, values in zip(sizes, expected, strict=True):
        assert np.allclose(logits(graph, images(1, 3, *size)), values, atol=1e-4)


@pytest.mark.parametrize("backbone", ["STDC1", "MobileNetV2_x0_5", "Xception41_deeplab"])
def test_a_backbone_of_another_kind_gets_the_features_that_fit(backbone):
    network = build_model("Deeplabv3_Plus-R50", num_classes=2, backbone=backbone)
    strides = network.backbone.feature_strides
    assert strides[network.fine_index] == 4
    assert network.coarse_index == len(strides) - 1
    assert list(logits(network, images(1, 3, 65, 97)).shape) == [1, 2, 65, 97]


def test_a_backbone_of_a_strangers_plugin_is_taken(tmp_path):
    site = Site(tmp_path)
    site.write(
        tmp_path / "mine_network.py",
        "from paddle import nn\n"
        "from segcore.nn.backbone import Backbone\n"
        "class Mine(Backbone):\n"
        "    in_channels, feature_channels, feature_strides = 3, (8,), (8,)\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2D(3, 8, 9, stride=8, padding=4)\n"
        "    def forward(self, images):\n"
        "        return [self.conv(images)]\n",
    )
    site.install(
        "mine",
        "from segcore.plugin import BackboneSpec, hookimpl\n"
        "@hookimpl\n"
        "def segcore_backbones():\n"
        "    return [BackboneSpec(name='Mine', target='mine_network:Mine')]\n",
    )
    code = (
        "import paddle\n"
        "from segcore import build_model\n"
        "network = build_model('Deeplabv3_Plus-R50', num_classes=2, backbone='mine')\n"
        "print(list(network(paddle.zeros([2, 3, 40, 50]))[0].shape))\n"
    )
    answer = site.python("-W", "ignore", "-c", code)
    assert answer.stdout.split("\n")[-2] == "[2, 2, 40, 50]", answer.stderr


def test_an_output_stride_that_the_backbone_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"STDC1: output_stride: no such option"):
        build_model(SMALL, num_classes=2, backbone="STDC1", output_stride=8)


def test_a_backbone_that_nobody_offers_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match="ResNet50_vd"):
        build_model("Deeplabv3-R50", num_classes=2, backbone="ResNet51_vd")


def test_a_feature_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices \[0, 7\].*4 features"):
        build_model(SMALL, num_classes=2, backbone_indices=[0, 7])


def test_a_decoder_without_a_feature_of_its_own_is_refused():
    with pytest.raises(ConfigError, match=r"backbone_indices \[3\] has one number"):
        build_model(SMALL, num_classes=2, backbone_indices=[3])


def test_one_index_is_enough_without_decoder():
    network = build_model(SMALL, num_classes=2, backbone_indices=[-2], enable_decoder=False)
    assert list(network.head.cls.weight.shape) == [2, 256, 1, 1]
    assert list(logits(network, images(1, 3, 40, 40)).shape) == [1, 2, 40, 40]


@pytest.mark.parametrize("backbone", ["ResNet18_vd", "Xception41", "MobileNetV2_x0.25"])
def test_an_image_of_one_pixel_comes_back_in_its_size(backbone):
    network = build_model("Deeplabv3_Plus-R50", num_classes=2, backbone=backbone)
    assert list(logits(network, images(1, 3, 1, 1)).shape) == [1, 2, 1, 1]


def test_the_models_are_those_that_segcore_announces():
    core = resources.files("segcore.discovery") / "first_party.json"
    announced = json.loads(core.read_text(encoding="utf-8"))["segcore-deeplab"]["model"]
    names = {name: {name_key(alias) for alias in aliases} for name, aliases in announced.items()}
    assert names == {
        name: {name_key(alias) for alias in spec.aliases} for name, spec in SPECS.items()
    }


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_recipe_is_a_valid_configuration(spec):
    package, _, path = spec.recipe.partition(":")
    assert package == segcore_deeplab.__name__
    with resources.as_file(resources.files(package) / path) as file:
        recipe = read_yaml(file)
    config = Config.model_validate({"model": {"name": spec.name}, **recipe})
    assert (config.train.iters, config.train.learning_rate) == (80_000, 0.01)
