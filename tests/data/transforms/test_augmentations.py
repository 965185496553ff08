"""What all random transforms owe: image and label move together, and only the generator decides."""

import pickle

import numpy as np
import pytest

from segcore.data.transforms.blur import RandomBlur
from segcore.data.transforms.crop import RandomPaddingCrop
from segcore.data.transforms.distort import RandomDistort
from segcore.data.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from segcore.data.transforms.resize import ResizeByShort, ResizeStepScaling
from segcore.data.transforms.rotate import RandomRotation
from segcore.data.transforms.scale_aspect import RandomScaleAspect
from segcore.errors import ConfigError
from segcore.tasks.sample import Sample

GEOMETRIC = (
    ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=2.0),
    ResizeByShort(short_size=(20, 30, 70)),
    RandomPaddingCrop(crop_size=(32, 24)),
    RandomPaddingCrop(crop_size=(80, 70), im_padding_value=0, label_padding_value=0),
    RandomHorizontalFlip(prob=1),
    RandomVerticalFlip(prob=1),
    RandomRotation(max_rotation=45, im_padding_value=0, label_padding_value=0),
    RandomScaleAspect(),
)
ALL = (*GEOMETRIC, RandomBlur(prob=0.7, blur_type="random"), RandomDistort())


def shapes(label_type=np.uint8, channels=3):
    """Draw a bright rectangle, class 1 in the label, away from the centre."""
    image, label = np.zeros((48, 60, channels), np.uint8), np.zeros((48, 60), label_type)
    image[8:30, 6:40], label[8:30, 6:40] = 200, 1
    return Sample(image, label, source="shape")


@pytest.mark.parametrize("transform", GEOMETRIC, ids=repr)
@pytest.mark.parametrize("seed", range(5))
def test_image_and_label_move_together(transform, seed):
    result = transform(shapes(), np.random.default_rng(seed))
    bright = result.image[..., 0] > 100
    assert result.label.shape == result.size
    # interpolated edges differ by a pixel around the rectangle
    assert (bright != (result.label == 1)).mean() < 0.12
    assert (result.label == 1).sum() > 0


@pytest.mark.parametrize("transform", ALL, ids=repr)
@pytest.mark.parametrize("label_type", [np.uint8, np.uint16, np.int32])
def test_labels_keep_their_type(transform, label_type):
    result = transform(shapes(label_type), np.random.default_rng(0))
    assert result.label.dtype == label_type
    assert set(np.unique(result.label)) <= {0, 1, 255}


@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_grey_images_keep_their_axis(transform):
    result = transform(shapes(channels=1), np.random.default_rng(0))
    assert (result.image.ndim, result.image.shape[2]) == (3, 1)


@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_images_without_a_label_pass(transform):
    image = shapes().image
    assert transform(Sample(image), np.random.default_rng(0)).label is None


@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_the_generator_alone_decides_and_the_input_stays(transform):
    given, again = shapes(), pickle.loads(pickle.dumps(transform))
    first = transform(given, np.random.default_rng(3))
    second = again(shapes(), np.random.default_rng(3))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.label.tobytes() == second.label.tobytes()
    assert given.image.tobytes() == shapes().image.tobytes()
    assert given.label.tobytes() == shapes().label.tobytes()


@pytest.mark.parametrize(
    "transform", [t for t in ALL if not isinstance(t, ResizeByShort)], ids=repr
)
def test_random_transforms_record_no_geometry(transform):
    assert transform(shapes(), np.random.default_rng(0)).geometry == []


@pytest.mark.parametrize("transform", ALL, ids=repr)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1)])
def test_tiny_images_pass(transform, size):
    sample = Sample(np.full((*size, 3), 9, np.uint8), np.zeros(size, np.uint8))
    result = transform(sample, np.random.default_rng(0))
    assert min(result.size) >= 1
    assert result.label.shape == result.size


def test_crops_come_from_everywhere_in_the_image():
    ramp = np.arange(60, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    crop = RandomPaddingCrop(crop_size=(20, 20))
    lefts = {int(crop(Sample(ramp), np.random.default_rng(s)).image[0, 0, 0]) for s in range(600)}
    assert lefts == set(range(41))


def test_small_images_are_filled_with_grey_and_ignored_label():
    result = RandomPaddingCrop(crop_size=(80, 70))(shapes(), np.random.default_rng(0))
    assert result.size == (70, 80)
    assert (result.image[48:] == 128).all()
    assert (result.label[48:] == 255).all()


def test_crops_avoid_windows_of_one_class():
    mixed = RandomPaddingCrop(crop_size=(10, 10), category_max_ratio=0.9, loop_times=200)
    for seed in range(10):
        label = mixed(shapes(), np.random.default_rng(seed)).label
        assert 0.1 <= (label == 1).mean() <= 0.9


def test_scaling_steps_are_all_reached_and_no_others():
    scale = ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=2.0)
    heights = {scale(shapes(), np.random.default_rng(seed)).size[0] for seed in range(100)}
    assert heights == {24, 36, 48, 60, 72, 84, 96}


def test_a_flip_comes_as_often_as_asked_for():
    flip = RandomHorizontalFlip(prob=0.3)
    original = shapes().image.tobytes()
    flips = [
        flip(shapes(), np.random.default_rng(s)).image.tobytes() != original for s in range(400)
    ]
    assert 0.2 < np.mean(flips) < 0.4


@pytest.mark.parametrize("kind", ["gaussian", "median", "blur"])
def test_a_blur_smooths_and_leaves_the_label(kind):
    given = shapes()
    result = RandomBlur(prob=1, blur_type=kind)(given, np.random.default_rng(0))
    assert result.image.dtype == np.uint8
    assert result.image.tobytes() != given.image.tobytes()
    assert result.label is given.label


def test_a_rotation_keeps_all_of_the_image():
    rotation = RandomRotation(max_rotation=90, im_padding_value=0, label_padding_value=0)
    turned = rotation.rotate(shapes(), 90.0)
    assert turned.size == (60, 48)
    assert abs(int((turned.label == 1).sum()) - 22 * 34) <= 60


def test_blurring_a_normalised_image_is_refused():
    sample = Sample(shapes().image.astype(np.float32))
    with pytest.raises(ConfigError, match="RandomBlur works on images as they are read"):
        RandomBlur(prob=1)(sample, np.random.default_rng(0))
