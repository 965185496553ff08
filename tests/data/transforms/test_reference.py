"""Deterministic transforms give what PaddleSeg's give (images sub-sampled by 3 x 2, labels whole).

Reference values: PaddleSeg at commit d7975e7cb3 with OpenCV 4.10, on RGB or float32 pictures.
"""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from segcore.data.transforms.build import Pipeline
from segcore.data.transforms.normalize import Normalize
from segcore.data.transforms.pad import Padding
from segcore.data.transforms.resize import ResizeByLong
from segcore.tasks.sample import Sample

DATA = Path(__file__).parents[1] / "data"
CASES = {case["tag"]: case for case in json.loads((DATA / "transforms.json").read_text())}
VALUES = np.load(DATA / "transforms.npz")
IMAGENET = Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
MODULES = {"Normalize": "normalize", "Padding": "pad", "PaddingByAspectRatio": "pad"}
MODULES |= {"RandomHorizontalFlip": "flip", "RandomVerticalFlip": "flip"}


def picture(seed, height=37, width=53):
    rng = np.random.RandomState(4242 + seed)
    coarse = rng.randint(0, 256, (-(-height // 4), -(-width // 4), 3))
    image = coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    return np.clip(image + rng.randint(-16, 17, image.shape), 0, 255).astype(np.uint8)


def labels(seed, height=37, width=53, num_classes=7):
    rng = np.random.RandomState(7000003 + 1000003 * seed + 1009 * height + width)
    coarse = rng.randint(0, num_classes, (1, -(-height // 8), -(-width // 8)))
    label = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    label[rng.uniform(size=label.shape) < 0.05] = 255
    return label[0].astype(np.uint8)


def transform_of(case):
    if case["transform"] == "Compose":
        return Pipeline((ResizeByLong(long_size=48), Padding(target_size=(48, 48)), IMAGENET))
    module = MODULES.get(case["transform"], "resize")
    found = importlib.import_module(f"segcore.data.transforms.{module}")
    return getattr(found, case["transform"])(**case["arguments"])


def result_of(case):
    image = picture(case["seed"]).astype(case["dtype"])
    if case["transform"] == "Compose":
        image = image[..., ::-1]  # the reference took this picture for BGR and turned it round
    sample = Sample(np.ascontiguousarray(image), labels(case["seed"]))
    return transform_of(case)(sample, np.random.default_rng(0))


@pytest.mark.parametrize("tag", CASES)
def test_images_agree_with_the_reference(tag):
    result = result_of(CASES[tag]).image
    assert list(result.shape) == CASES[tag]["shape"]
    assert result.dtype == VALUES[f"{tag}.image"].dtype
    # 1e-4 on the 0..255 scale; builds of OpenCV differ in the last bit
    normalized = CASES[tag]["transform"] in ("Normalize", "Compose")
    tolerance = 1e-4 / (255 * 0.224) if normalized else 1e-4
    np.testing.assert_allclose(result[::3, ::2], VALUES[f"{tag}.image"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("tag", CASES)
def test_labels_agree_with_the_reference_exactly(tag):
    result = result_of(CASES[tag]).label
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, VALUES[f"{tag}.label"])


@pytest.mark.parametrize("tag", CASES)
def test_changes_of_size_are_recorded_as_in_the_reference(tag):
    geometry = [[change, list(size)] for change, size in result_of(CASES[tag]).geometry]
    assert geometry == CASES[tag]["geometry"]
