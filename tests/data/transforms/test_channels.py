"""Transforms treat images of any number of channels as they treat each channel."""

import cv2
import numpy as np
import pytest

from segcore.data.transforms.blur import RandomBlur
from segcore.data.transforms.crop import RandomPaddingCrop
from segcore.data.transforms.distort import RandomDistort
from segcore.data.transforms.flip import RandomHorizontalFlip
from segcore.data.transforms.normalize import Normalize
from segcore.data.transforms.pad import Padding
from segcore.data.transforms.resize import Resize, ResizeByLong, ResizeRangeScaling
from segcore.data.transforms.rotate import RandomRotation
from segcore.data.transforms.scale_aspect import RandomScaleAspect
from segcore.tasks.sample import Sample

BY_CHANNEL = [
    RandomBlur(prob=1.0),
    RandomBlur(prob=1.0, blur_type="median"),
    RandomBlur(prob=1.0, blur_type="blur"),
    RandomPaddingCrop(crop_size=(40, 50), im_padding_value=7),
    RandomDistort(contrast_prob=0.0, sharpness_prob=1.0),
    RandomHorizontalFlip(prob=1.0),
    Normalize(mean=(0.4,), std=(0.3,)),
    Padding(target_size=(70, 60), im_padding_value=9),
    Resize(target_size=(20, 30)),
    Resize(target_size=(20, 30), interp="AREA"),
    Resize(target_size=(70, 60), interp="CUBIC"),
    ResizeByLong(long_size=50),
    ResizeRangeScaling(min_value=30, max_value=60),
    RandomRotation(),
    RandomScaleAspect(),
]


def sample(channels):
    coarse = np.random.default_rng(0).integers(0, 256, (9, 5, 6), dtype=np.uint8)
    images = np.stack([cv2.resize(plane, (45, 37)) for plane in coarse], axis=2)  # smooth
    return Sample(np.ascontiguousarray(images[..., channels]), np.zeros((37, 45), np.uint8))


@pytest.mark.parametrize("transform", BY_CHANNEL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("count", [2, 4, 5, 9])
def test_each_channel_changes_as_if_alone(transform, count):
    whole = transform(sample(slice(0, count)), np.random.default_rng(4)).image
    assert whole.shape[2] == count
    for number in range(count):
        alone = transform(sample([number]), np.random.default_rng(4)).image
        # vectorised paths round otherwise, rotation by up to four grey levels
        np.testing.assert_allclose(
            whole[..., [number]], alone, atol=4.01 if whole.max() > 9 else 1e-6
        )


def test_contrast_takes_the_mean_of_all_channels():
    distort = RandomDistort(brightness_prob=0.0, contrast_prob=1.0, sharpness_prob=0.0)
    image = distort(sample(slice(0, 5)), np.random.default_rng(1)).image
    assert image.shape == (37, 45, 5)
    assert (image != sample(slice(0, 5)).image).any()


def test_a_random_long_side_stays_within_its_bounds():
    scale = ResizeRangeScaling(min_value=30, max_value=33)
    sides = {max(scale(sample([0, 1, 2]), np.random.default_rng(seed)).size) for seed in range(40)}
    assert sides == {30, 31, 32, 33}
