"""Sizes that no memory holds, in settings of strangers and on the command line, are refused."""

import json
import struct

import numpy as np
import pytest
from pydantic import ValidationError

from segcore.checkpoint.weights import read_weights
from segcore.config.schema import Config
from segcore.data.transforms.pad import Padding, PaddingByAspectRatio
from segcore.data.transforms.resize import (
    LimitLong,
    Resize,
    ResizeByLong,
    ResizeByShort,
    ResizeRangeScaling,
    ResizeStepScaling,
)
from segcore.errors import RequestError, WeightsError
from segcore.inference.predictor import _as_sides
from segcore.tasks.sample import Sample

HUGE = 10**9


@pytest.mark.parametrize(
    "transform",
    [
        Resize(target_size=(HUGE, HUGE)),
        Resize(target_size=(HUGE, 1)),
        Resize(target_size=(2**31 - 1, 2**31 - 1), keep_ratio=True, size_divisor=HUGE),
        ResizeByLong(long_size=HUGE),
        ResizeByShort(short_size=HUGE),
        LimitLong(min_long=HUGE),
        ResizeRangeScaling(min_value=HUGE, max_value=HUGE),
        ResizeStepScaling(min_scale_factor=1e308, max_scale_factor=1e308),
        ResizeStepScaling(min_scale_factor=1e300, max_scale_factor=1e305, scale_step_size=1e-300),
        Padding(target_size=(HUGE, HUGE)),
        PaddingByAspectRatio(aspect_ratio=1e-6),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_no_transform_makes_an_image_that_no_memory_holds(transform):
    sample = Sample(np.zeros((200, 300, 3), np.uint8), source="a.jpg")
    with pytest.raises(RequestError, match=r"a\.jpg: would become \d+ x \d+ pixels, more than"):
        transform(sample, np.random.default_rng(0))


def test_large_images_may_still_grow_a_little():
    sample = Sample(np.zeros((2, 2**26, 1), np.uint8), source="a.jpg")
    assert Padding(target_size=(2**26, 4))(sample, np.random.default_rng(0)).size == (4, 2**26)


@pytest.mark.parametrize("size", [10**6, (10**6, 10**6), (2**40, 1)])
def test_target_sizes_are_bounded(size):
    with pytest.raises(RequestError, match="are more than the"):
        _as_sides(size)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "crop_size", [10**12, 10**12]),
        ("train", "batch_size", HUGE),
        ("train", "num_workers", HUGE),
        ("train", "iters", 10**100),
        ("eval", "batch_size", HUGE),
        ("predict", "batch_size", HUGE),
        ("eval", "sliding", {"crop": [10**12, 1]}),
    ],
)
def test_configurations_are_bounded(section, key, value):
    settings = {"model": {"name": "FastSCNN"}, section: {key: value}}
    with pytest.raises(ValidationError, match=key):
        Config.model_validate(settings)


def test_weights_of_impossible_shape_are_refused(tmp_path):
    entry = {"dtype": "F32", "shape": [2**31, 2**31, 0], "data_offsets": [0, 0]}
    head = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head)
    with pytest.raises(WeightsError, match=r"a\.safetensors: 'a' has the impossible shape"):
        read_weights(path)
