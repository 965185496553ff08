"""Pipelines are built from configuration, with what the run states where an option is null."""

import pickle
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from pydantic import BaseModel

from segcore.config.schema import Component, Config, TrainConfig
from segcore.data.transforms.build import Pipeline, build_transforms
from segcore.data.transforms.flip import RandomHorizontalFlip
from segcore.data.transforms.normalize import Normalize
from segcore.data.transforms.pad import Padding
from segcore.data.transforms.resize import LimitLong, Resize, ResizeStepScaling
from segcore.discovery.catalogue import Catalogue, read_catalogue
from segcore.errors import ConfigError, DataError
from segcore.plugin import TransformSpec
from segcore.tasks.sample import Sample

CONFIG = Config.model_validate(
    {
        "model": {"name": "any"},
        "train": {"crop_size": (8, 6)},
        "data": {"ignore_index": 7, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)},
    }
)


class Gain(BaseModel):
    """Options of a stranger's transform, whose target is a class of its own."""

    gain: int
    ignore_index: int | None = None


class Brighter:
    def __init__(self, gain, ignore_index):
        self.gain, self.ignore_index = gain, ignore_index

    def __call__(self, sample, rng):
        return Sample(sample.image + self.gain, sample.label)


def bare():
    return Brighter(1, None)


@pytest.fixture
def build(monkeypatch):
    """Give what builds a pipeline from mappings, with two transforms of a stranger's."""
    module = ModuleType("strangers_transforms")
    module.Gain, module.Brighter, module.bare = Gain, Brighter, bare
    monkeypatch.setitem(sys.modules, "strangers_transforms", module)
    home = "strangers_transforms:"
    offered = [
        TransformSpec(name="Brighter", target=home + "Brighter", options=home + "Gain"),
        TransformSpec(name="Bare", target=home + "bare"),
    ]
    catalogue = read_catalogue()
    stranger = replace(catalogue.plugins[0], specs=tuple(offered))
    catalogue = Catalogue([*catalogue.plugins, stranger])

    def make(*components, config=CONFIG, **options):
        parsed = [Component.model_validate(component) for component in components]
        return build_transforms(parsed, config, catalogue, **options)

    return make


def test_null_options_take_the_values_of_the_run(build):
    (crop, normalize) = build({"type": "RandomPaddingCrop"}, {"type": "Normalize"}).transforms
    assert (crop.crop_size, crop.ignore_index, crop.label_padding_value) == ((8, 6), 7, 7)
    assert (normalize.mean, normalize.std) == (CONFIG.data.mean, CONFIG.data.std)


def test_given_options_stay(build):
    given = {"type": "RandomPaddingCrop", "crop_size": [4, 4], "label_padding_value": 0}
    (crop,) = build(given).transforms
    assert (crop.crop_size, crop.label_padding_value, crop.ignore_index) == ((4, 4), 0, 7)


def test_a_strangers_transform_gets_its_options(build):
    (brighter,) = build({"type": "Brighter", "gain": 3}).transforms
    assert (brighter.gain, brighter.ignore_index) == (3, 7)


def test_a_transform_without_options_takes_none(build):
    assert isinstance(build({"type": "Bare"}).transforms[0], Brighter)
    with pytest.raises(ConfigError, match="Bare takes no options"):
        build({"type": "Bare", "gain": 1})


def test_every_problem_of_the_options_is_named(build):
    with pytest.raises(ConfigError) as caught:
        build({"type": "Resize", "target_size": [0, 4], "keep_ration": True})
    assert "Resize: target_size.0" in str(caught.value)
    assert "keep_ration" in str(caught.value)


def test_the_default_transforms_of_a_configuration_build(build):
    config = Config.model_validate({"model": {"name": "any"}})
    pipeline = build(*TrainConfig().transforms, config=config)
    image = np.zeros((300, 200, 3), np.uint8)
    result = pipeline(Sample(image, image[..., 0]), np.random.default_rng(0))
    assert (result.size, result.label.shape) == ((512, 512), (512, 512))


def test_a_pipeline_travels_by_pickle(build):
    pipeline = build({"type": "RandomPaddingCrop"}, {"type": "Normalize"})
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline


def test_evaluation_keeps_the_label_as_it_was_read(build):
    pipeline = build({"type": "Resize", "target_size": [4, 4]}, keep_label=True)
    label = np.zeros((9, 9), np.uint8)
    result = pipeline(Sample(np.zeros((9, 9, 3), np.uint8), label), np.random.default_rng(0))
    assert result.size == (4, 4)
    assert result.label is label
    assert result.geometry == [("resize", (9, 9))]


def test_an_image_larger_than_its_padding_is_refused_by_name():
    sample = Sample(np.zeros((5, 9, 3), np.uint8), source="a.png")
    with pytest.raises(DataError, match=r"a\.png: image of 9 x 5 px .* 8 x 8"):
        Padding(target_size=(8, 8))(sample, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("transform", "options"),
    [
        (Normalize, {"std": (0.5, 0.0, 0.5)}),
        (LimitLong, {"max_long": 4, "min_long": 5}),
        (ResizeStepScaling, {"min_scale_factor": 2.0, "max_scale_factor": 1.0}),
        (RandomHorizontalFlip, {"prob": 1.5}),
        (Resize, {"interp": "linear"}),
    ],
)
def test_options_out_of_range_are_refused(transform, options):
    with pytest.raises(ValueError, match=f"for {transform.__name__}"):
        transform(**options)


def test_values_by_channel_must_fit_the_channels():
    grey = Sample(np.zeros((4, 4, 1), np.uint8))
    assert Normalize(mean=(0.5,), std=(0.5,))(grey, np.random.default_rng(0)).image.max() == -1
    with pytest.raises(ConfigError, match=r"Normalize\.mean has 3 values but .* 1 channels"):
        Normalize()(grey, np.random.default_rng(0))


def test_bytes_and_floats_normalise_to_the_same_bits():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    normalize = Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    fast = normalize(Sample(image), np.random.default_rng(0)).image
    slow = normalize(Sample(image.astype(np.float32)), np.random.default_rng(0)).image
    np.testing.assert_array_equal(fast, slow)


def test_transforms_are_declared_without_opencv():
    modules = ("blur", "crop", "distort", "flip", "normalize", "pad", "resize", "rotate", "build")
    code = "import sys\n" + "".join(f"import segcore.data.transforms.{m}\n" for m in modules)
    code += "assert not {'cv2', 'paddle'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_empty_pipeline_changes_nothing():
    sample = Sample(np.zeros((2, 2, 3), np.uint8))
    assert Pipeline(())(sample, np.random.default_rng(0)) is sample
