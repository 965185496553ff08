"""The class HRNet has PaddleX's constructor and builds the networks of this plugin."""

import inspect

import pytest

from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError
from segcore_hrnet import HRNet


def test_parameters_and_defaults_are_those_of_paddlex():
    parameters = inspect.signature(HRNet).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "num_classes": 2,
        "width": 18,
        "use_bce_loss": False,
        "use_dice_loss": False,
        "class_weight": None,
        "ignore_index": 255,
        "input_channel": 3,
    }
    assert inspect.signature(HRNet.train).parameters["pretrain_weights"].default == "IMAGENET"
    assert HRNet.weight_decay == 5e-4


@pytest.mark.parametrize("width", [18, 30, 32, 40, 44, 48, 60, 64, "18_small_v1"])
def test_every_width_is_a_model(width):
    name = HRNet(width=width).name
    assert get_catalogue().models.find(name).name == name


@pytest.mark.parametrize("width", [19, "18", None])
def test_other_widths_are_refused_with_those_there_are(width):
    with pytest.raises(ConfigError, match="18_small_v1"):
        HRNet(width=width)
