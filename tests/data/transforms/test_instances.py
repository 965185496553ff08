"""Boxes and masks move with the image: an object that is white in it stays where it is white."""

import cv2
import numpy as np
import pytest

from segcore.data.transforms.blur import RandomBlur
from segcore.data.transforms.build import Pipeline
from segcore.data.transforms.crop import RandomPaddingCrop
from segcore.data.transforms.distort import RandomDistort
from segcore.data.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from segcore.data.transforms.normalize import Normalize
from segcore.data.transforms.pad import Padding, PaddingByAspectRatio
from segcore.data.transforms.resize import (
    LimitLong,
    Resize,
    ResizeByLong,
    ResizeByShort,
    ResizeStepScaling,
)
from segcore.data.transforms.rotate import RandomRotation
from segcore.data.transforms.scale_aspect import RandomScaleAspect
from segcore.tasks.instances import box_of, list_instances, mask_rle
from segcore.tasks.rle import Rle, decode_mask, encode_mask
from segcore.tasks.sample import Sample

OUTLINE = np.array([[12.3, 8.1], [45.2, 15.0], [50.9, 40.4], [30.0, 30.7], [9.5, 44.6]])
SIZE = (56, 72)

GEOMETRIC = {
    "flip": RandomHorizontalFlip(prob=1),
    "vertical flip": RandomVerticalFlip(prob=1),
    "resize": Resize(target_size=(100, 90)),
    "shrink": Resize(target_size=(40, 33)),
    "keep ratio": Resize(target_size=(64, 96), keep_ratio=True, size_divisor=32),
    "multi-scale": ResizeByShort(short_size=(40, 60, 90), max_size=120),
    "long": ResizeByLong(long_size=128),
    "limit": LimitLong(max_long=50),
    "steps": ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=2, scale_step_size=0),
    "crop": RandomPaddingCrop(crop_size=(40, 32)),
    "crop and pad": RandomPaddingCrop(crop_size=(100, 32), im_padding_value=0),
    "pad": Padding(target_size=(96, 96), im_padding_value=0),
    "pad to ratio": PaddingByAspectRatio(aspect_ratio=0.5, im_padding_value=0),
    "scale and aspect": RandomScaleAspect(min_scale=0.3),
    "rotate": RandomRotation(max_rotation=60, im_padding_value=0),
}


def white_object(form):
    mask = decode_mask(mask_rle((OUTLINE,), SIZE))
    image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
    shape = (OUTLINE,) if form == "polygons" else encode_mask(mask)
    return Sample(image, instances=list_instances([box_of(shape)], [2], [shape], [False], [900.0]))


def far_from_edges(mask, side=3):
    """The pixels with no border of `mask` in the square of `side` pixels around them."""
    return cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8)) == 0


@pytest.mark.parametrize("form", ["polygons", "runs"])
@pytest.mark.parametrize("transform", GEOMETRIC.values(), ids=GEOMETRIC)
def test_the_object_stays_where_it_is_white(transform, form):
    for seed in range(8):
        sample = transform(white_object(form), np.random.default_rng(seed))
        white = (sample.image[..., 0] > 127).astype(np.uint8)
        if not len(sample.instances):
            assert white.sum() <= max(sample.size)  # a sliver
            continue
        (mask,) = sample.instances.masks
        drawn = decode_mask(mask_rle(mask, sample.size))
        assert isinstance(mask, Rle) == (form == "runs")
        assert drawn.shape == white.shape
        # a pixel before the stretch is up to three after it
        side = 7 if isinstance(transform, RandomScaleAspect) else 3
        assert (drawn == white)[far_from_edges(white, side)].all()
        x1, y1, x2, y2 = sample.instances.boxes[0]
        np.testing.assert_allclose((x1, y1, x2, y2), box_of(encode_mask(white)), atol=2.5)
        assert sample.instances.classes.tolist() == [2]


def test_flipping_twice_gives_the_same_points():
    flip = RandomHorizontalFlip(prob=1)
    twice = Pipeline((flip, flip))(white_object("polygons"), np.random.default_rng(0))
    np.testing.assert_allclose(twice.instances.masks[0][0], OUTLINE, atol=1e-12)
    np.testing.assert_allclose(
        twice.instances.boxes, white_object("polygons").instances.boxes, atol=1e-4
    )


@pytest.mark.parametrize("transform", [RandomDistort(), RandomBlur(prob=1), Normalize()])
def test_changes_of_colour_leave_objects_alone(transform):
    sample = white_object("polygons")
    assert transform(sample, np.random.default_rng(0)).instances is sample.instances


@pytest.mark.parametrize("form", ["polygons", "runs"])
def test_objects_outside_of_a_crop_are_dropped_and_others_cut(form):
    sample = white_object(form)
    inside = sample.instances.cropped(0, 0, (20, 72))
    np.testing.assert_allclose(inside.boxes[0, 1:4:2], (8, 20), atol=1)
    assert not len(sample.instances.cropped(46, 0, (10, 72)))
    assert not len(sample.instances.cropped(0, 0, (8, 72)))


def test_a_box_shrinks_to_what_a_cut_leaves_of_its_mask():
    """Of the letter L only the foot is left, whose box is less than the cut box of the letter."""
    letter = np.array([[10.0, 10], [14, 10], [14, 40], [40, 40], [40, 44], [10, 44]])
    instances = list_instances([(10, 10, 40, 44)], [0], [(letter,)], [False], [100.0])
    cut = instances.cropped(0, 20, (60, 60))
    np.testing.assert_allclose(cut.boxes, [[0, 40, 20, 44]])


def test_a_side_of_less_than_a_pixel_is_too_little():
    instances = list_instances(
        [(0, 0, 10, 10)], [0], [(np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]]),)], [False], [1.0]
    )
    assert len(instances.cropped(0, 9, (20, 20)))
    assert not len(
        instances.cropped(9, 0, (20, 20))
        .cropped(0, 0, (20, 20))
        .resized((20, 20), (9, 9))
        .within((9, 9))
    )


def test_evaluation_keeps_objects_as_they_were_read():
    sample = white_object("polygons")
    pipeline = Pipeline((Resize(target_size=(100, 90)),), keep_label=True)
    result = pipeline(sample, np.random.default_rng(0))
    assert result.size == (90, 100)
    assert result.instances is sample.instances


def test_a_set_without_objects_goes_through_everything():
    for transform in GEOMETRIC.values():
        sample = Sample(
            np.zeros((*SIZE, 3), np.uint8), instances=list_instances([], [], [], [], [])
        )
        assert len(transform(sample, np.random.default_rng(0)).instances) == 0
