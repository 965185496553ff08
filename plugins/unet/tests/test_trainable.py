"""The class UNet has PaddleX's constructor and builds the networks of this plugin."""

import inspect

import pytest

from segcore.errors import ConfigError
from segcore_unet import UNet


def test_parameters_and_defaults_are_those_of_paddlex():
    parameters = inspect.signature(UNet).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "num_classes": 2,
        "upsample_mode": "bilinear",
        "use_bce_loss": False,
        "use_dice_loss": False,
        "class_weight": None,
        "ignore_index": 255,
        "input_channel": 3,
    }
    assert inspect.signature(UNet.train).parameters["pretrain_weights"].default == "COCO"


@pytest.mark.parametrize("mode", ["bilinear", "deconv"])
def test_the_way_up_is_interpolated_or_learnt(mode):
    assert UNet(upsample_mode=mode).name == f"UNet-{mode}"
    with pytest.raises(ConfigError, match="upsample_mode"):
        UNet(upsample_mode="nearest")
