"""Colour changes do what Pillow's enhancements do, and stay within 0..255."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from segcore.data.transforms import distort
from segcore.data.transforms.distort import RandomDistort
from segcore.errors import ConfigError
from segcore.tasks.sample import Sample

ENHANCEMENTS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def picture():
    coarse = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    return cv2.resize(coarse, (50, 40), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.3, 1.5])
@pytest.mark.parametrize("name", ENHANCEMENTS)
def test_an_enhancement_is_within_one_grey_level_of_pillow(name, factor):
    ours = getattr(distort, name)(picture(), factor).astype(int)
    pillow = np.asarray(ENHANCEMENTS[name](Image.fromarray(picture())).enhance(factor)).astype(int)
    # rounding: to nearest here and towards zero there; the smoothed copy is rounded once more
    assert np.abs(ours - pillow).max() <= (2 if name == "sharpness" else 1)


@pytest.mark.parametrize("shift", [-18, -5, 0, 7, 18])
def test_the_hue_turns_as_far_as_in_pillow(shift):
    hsv = np.array(Image.fromarray(picture()).convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(int) + shift) % 256
    pillow = np.asarray(
        Image.merge("HSV", [Image.fromarray(c) for c in np.moveaxis(hsv, 2, 0)]).convert("RGB")
    )
    difference = np.abs(distort.hue(picture(), float(shift)).astype(int) - pillow.astype(int))
    # one step of an 8-bit hue is 6 grey levels of a full colour; the two round it differently
    assert difference.max() <= 12
    assert difference.mean() < 1.5


def test_turning_the_hue_moves_the_colours():
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    third = distort.hue(red, 85.0)[0, 0].tolist()
    assert third[1] > 250
    assert third[0] < 10


def test_everything_at_once_gives_bytes_and_keeps_the_label():
    always = RandomDistort(
        brightness_prob=1, contrast_prob=1, saturation_prob=1, hue_prob=1, sharpness_prob=1
    )
    label = np.zeros((40, 50), np.uint8)
    result = always(Sample(picture(), label), np.random.default_rng(1))
    assert (result.image.dtype, result.image.shape) == (np.uint8, (40, 50, 3))
    assert result.label is label


def test_nothing_at_all_leaves_the_picture_as_it_is():
    never = RandomDistort(brightness_prob=0, contrast_prob=0, saturation_prob=0, hue_prob=0)
    assert never(Sample(picture()), np.random.default_rng(1)).image.tobytes() == picture().tobytes()


def test_grey_pictures_keep_their_axis():
    grey = picture()[..., :1]
    result = RandomDistort(brightness_prob=1, contrast_prob=1)(
        Sample(grey), np.random.default_rng(1)
    )
    assert result.image.shape == (40, 50, 1)


def test_normalised_pictures_are_refused():
    with pytest.raises(ConfigError, match="put it before Normalize"):
        RandomDistort()(Sample(picture().astype(np.float32)), np.random.default_rng(1))
