"""Preparation of images, to and from the words of PaddleX's detection models."""

import numpy as np
import pytest

from segcore.config.schema import Config
from segcore.data.transforms.build import build_transforms
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ExportError
from segcore.tasks.preprocess import from_preprocess, to_preprocess
from segcore.tasks.sample import Sample

NORMALIZE = {"type": "Normalize", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.5]}
RESIZE = {
    "type": "Resize",
    "target_size": [1333, 800],
    "keep_ratio": True,
    "size_divisor": None,
    "interp": "CUBIC",
}


def prepare(steps, image):
    config = Config.model_validate({"model": {"name": "M"}, "eval": {"transforms": steps}})
    pipeline = build_transforms(config.eval.transforms, config, get_catalogue())
    return pipeline(Sample(image), np.random.default_rng(0)).image


@pytest.mark.parametrize(
    ("step", "written"),
    [
        (
            NORMALIZE,
            {
                "type": "NormalizeImage",
                "norm_type": "mean_std",
                "is_scale": True,
                "mean": [0.4, 0.5, 0.6],
                "std": [0.2, 0.25, 0.5],
            },
        ),
        (
            RESIZE,
            {"type": "Resize", "target_size": [800, 1333], "keep_ratio": True, "interp": 2},
        ),
        (
            {"type": "ResizeByShort", "short_size": [800], "max_size": 1333.0},
            {"type": "Resize", "target_size": [800, 1333], "keep_ratio": True, "interp": 1},
        ),
        (
            {"type": "ResizeByLong", "long_size": 640},
            {"type": "Resize", "target_size": [640, 640], "keep_ratio": True, "interp": 1},
        ),
        (
            {"type": "Padding", "target_size": [96, 64], "im_padding_value": 0.0},
            {"type": "Pad", "size": [64, 96], "fill_value": [0.0] * 3},
        ),
    ],
)
def test_each_step_has_its_operation(step, written):
    end = [{"type": "Permute"}, {"type": "PadStride", "stride": 32}]
    assert to_preprocess([step]) == [written, *end]


@pytest.mark.parametrize(
    "steps",
    [
        [{**RESIZE, "target_size": [150, 60]}, NORMALIZE],
        [{**RESIZE, "keep_ratio": False, "interp": "AREA", "target_size": [50, 40]}, NORMALIZE],
        [{"type": "ResizeByShort", "short_size": 40, "max_size": 1e10}, NORMALIZE],
        [{"type": "ResizeByLong", "long_size": 77}, NORMALIZE],
        [{"type": "Padding", "target_size": [96, 128], "im_padding_value": 3.0}, NORMALIZE],
    ],
    ids=["ratio", "exact", "short", "long", "padding"],
)
def test_what_is_written_prepares_the_same_pixels_when_read(steps):
    image = np.random.default_rng(0).integers(0, 256, (70, 91, 3), np.uint8)
    read = from_preprocess(to_preprocess(steps))
    np.testing.assert_array_equal(prepare(read, image), prepare(steps, image))


def test_defaults_are_those_of_paddlex():
    resize, normalize = from_preprocess(
        [
            {"type": "Resize", "target_size": 640},
            {"type": "NormalizeImage"},
            {"type": "Permute"},
            {"type": "PadStride", "stride": 16},
        ]
    )
    assert resize == {
        "type": "Resize",
        "target_size": [640, 640],
        "keep_ratio": False,
        "interp": "CUBIC",
    }
    assert normalize["mean"] == [0.485, 0.456, 0.406]


def test_statistics_of_pixels_in_0_to_255_are_brought_to_0_to_1():
    operation = {"mean": [51, 102, 153], "std": [25.5, 51.0, 51.0], "is_scale": False}
    (step,) = from_preprocess([{"type": "NormalizeImage", **operation}])
    image = np.full((2, 2, 3), 102, np.uint8)
    np.testing.assert_allclose(prepare([step], image)[0, 0], [2.0, 0.0, -1.0], atol=1e-6)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "LimitLong", "max_long": 9, "min_long": None}, "LimitLong"),
        ({**RESIZE, "size_divisor": 32}, "size_divisor"),
        ({"type": "ResizeByShort", "short_size": [3, 4], "max_size": 9}, "several"),
        ({"type": "Normalize", "mean": [0.5] * 4, "std": [0.5] * 4}, "4 channels"),
    ],
)
def test_what_paddlex_cannot_do_is_refused(step, message):
    with pytest.raises(ExportError, match=message):
        to_preprocess([step])


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"type": "WarpAffine"}, "WarpAffine is not known"),
        ({}, "None is not known"),
        ({"type": "PadStride", "stride": 128}, "multiples of 32"),
        ({"type": "Resize"}, "target_size"),
        ({"type": "Resize", "target_size": [3]}, "unpack"),
        ({"type": "Resize", "target_size": [3, 3], "interp": 9}, "interp"),
        ({"type": "Pad", "size": [64, 64], "fill_value": [0, 1, 2]}, "grey"),
    ],
)
def test_operations_without_a_like_are_told(operation, message):
    with pytest.raises(ExportError, match=message):
        from_preprocess([operation])
