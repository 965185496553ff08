"""Transforms by PaddleX's names, with its parameters and defaults, are transforms of segcore."""

import inspect

import numpy as np
import pytest

from segcore.config.schema import Component, Config
from segcore.data.transforms.build import build_transforms
from segcore.discovery.catalogue import get_own_catalogue
from segcore.errors import ConfigError, RequestError
from segcore.tasks.sample import Sample
from segcore.trainable import transforms

NEEDED = object()
GREY = [127.5, 127.5, 127.5]

# as in paddlex 1.3.11, paddlex/cv/transforms/seg_transforms.py
SIGNATURES = {
    "Compose": {"transforms": NEEDED},
    "ComposedSegTransforms": {
        "mode": NEEDED,
        "min_max_size": [400, 600],
        "train_crop_size": [512, 512],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "random_horizontal_flip": True,
    },
    "RandomHorizontalFlip": {"prob": 0.5},
    "RandomVerticalFlip": {"prob": 0.1},
    "Resize": {"target_size": NEEDED, "interp": "LINEAR"},
    "ResizeByLong": {"long_size": NEEDED},
    "ResizeByShort": {"short_size": 800, "max_size": 1333},
    "ResizeRangeScaling": {"min_value": 400, "max_value": 600},
    "ResizeStepScaling": {
        "min_scale_factor": 0.75,
        "max_scale_factor": 1.25,
        "scale_step_size": 0.25,
    },
    "Normalize": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "min_val": [0, 0, 0],
        "max_val": [255.0, 255.0, 255.0],
    },
    "Padding": {"target_size": NEEDED, "im_padding_value": GREY, "label_padding_value": 255},
    "RandomPaddingCrop": {"crop_size": 512, "im_padding_value": GREY, "label_padding_value": 255},
    "RandomBlur": {"prob": 0.1},
    "RandomRotate": {"rotate_range": 15, "im_padding_value": GREY, "label_padding_value": 255},
    "RandomScaleAspect": {"min_scale": 0.5, "aspect_ratio": 0.33},
    "RandomDistort": {
        "brightness_range": 0.5,
        "brightness_prob": 0.5,
        "contrast_range": 0.5,
        "contrast_prob": 0.5,
        "saturation_range": 0.5,
        "saturation_prob": 0.5,
        "hue_range": 18,
        "hue_prob": 0.5,
    },
}
NEEDS = {"Resize": [32], "ResizeByLong": [48], "Padding": [[64, 80]]}


def build(composed):
    config = Config.model_validate({"model": {"name": "any"}})
    components = map(Component.model_validate, composed.components())
    return build_transforms(components, config, get_own_catalogue())


def sample():
    values = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return Sample(values, np.zeros((40, 50), np.uint8))


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_and_defaults_are_those_of_paddlex(name):
    parameters = inspect.signature(getattr(transforms, name)).parameters
    found = {key: parameter.default for key, parameter in parameters.items()}
    found = {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}
    empty = inspect.Parameter.empty
    assert found == {k: empty if v is NEEDED else v for k, v in SIGNATURES[name].items()}


@pytest.mark.parametrize("name", [name for name in SIGNATURES if not name.startswith("Compose")])
def test_each_is_a_transform_of_segcore(name):
    transform = getattr(transforms, name)(*NEEDS.get(name, []))
    changed = build(transforms.Compose([transform]))(sample(), np.random.default_rng(0))
    assert changed.image.ndim == 3
    assert changed.label.shape == changed.image.shape[:2]


@pytest.mark.parametrize(
    ("mode", "size", "names"),
    [
        (
            "train",
            (400, 600),
            "RandomHorizontalFlip ResizeRangeScaling RandomPaddingCrop Normalize",
        ),
        ("train", None, "RandomHorizontalFlip RandomPaddingCrop Normalize"),
        ("eval", (400, 600), "ResizeByLong Normalize"),
        ("test", None, "Normalize"),
    ],
)
def test_composed_transforms_are_those_of_paddlex(mode, size, names):
    composed = transforms.ComposedSegTransforms(mode, min_max_size=size)
    assert [component["type"] for component in composed.components()] == names.split()


@pytest.mark.parametrize("high", [[200.0], [200.0, 240.0, 255.0]])
def test_a_range_of_values_is_normalised_as_paddlex_does(high):
    mean, std, low = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4], [10.0, 20.0, 0.0]
    step = transforms.Normalize(mean=mean, std=std, min_val=low, max_val=high)
    image = build(transforms.Compose([step]))(sample(), np.random.default_rng(0)).image
    low, high = np.array(low), np.broadcast_to(high, 3)
    wanted = ((sample().image - low) / (high - low) - mean) / std
    np.testing.assert_allclose(image, wanted, rtol=1e-5, atol=1e-5)  # float32 against float64


def test_deeper_images_declare_their_range():
    step = transforms.Normalize(max_val=[65535.0] * 3)
    assert transforms.Compose([step]).settings() == {"data.value_range": [0.0, 65535.0]}
    with pytest.raises(ConfigError, match="the same for all channels"):
        transforms.Normalize(max_val=[65535.0, 65535.0, 4095.0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: transforms.Padding(64, im_padding_value=[0, 0, 255]),
        lambda: transforms.Compose([]),
        lambda: transforms.Compose([np.flip]),
        lambda: transforms.ComposedSegTransforms("quant"),
        lambda: transforms.Normalize(min_val=[1, 2]),
    ],
)
def test_what_cannot_be_followed_is_refused(wrong):
    with pytest.raises(RequestError):
        wrong()
