"""Windows cover images exactly, and averaged views are undone rightly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.errors import RequestError
from segcore.tasks.sliding import AugmentedViews, SlidingWindows, spans, window_starts


class Echo:
    """A session whose logits are its input, and that remembers the sizes it saw."""

    def __init__(self):
        self.sizes = []

    def run(self, inputs):
        images = inputs["x"]
        assert images.flags.c_contiguous
        self.sizes.append(images.shape[2:])
        return [images.copy()]


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@given(side=st.integers(1, 400), crop=st.integers(1, 400), data=st.data())
def test_windows_cover_each_pixel_and_none_is_needless(side, crop, data):
    stride = data.draw(st.integers(1, crop))
    starts = window_starts(side, crop, stride)
    covered = np.zeros(side, int)
    for start in starts:
        assert start >= 0
        assert start + crop <= max(side, crop)
        covered[start : start + crop] += 1
    assert covered.min() >= 1
    assert len(starts) == 1 + max(0, -(-(side - crop) // stride))


@pytest.mark.parametrize("size", [(50, 70), (32, 32), (20, 90), (7, 5)])
def test_averaging_overlaps_leaves_what_the_network_says(size):
    images = noise(2, 3, *size)
    logits = SlidingWindows(Echo(), (32, 24), (20, 11)).run({"x": images})[0]
    np.testing.assert_allclose(logits, images, rtol=1e-5, atol=1e-6)


def test_windows_have_the_size_asked_for_or_that_of_a_smaller_image():
    echo = Echo()
    SlidingWindows(echo, (32, 24), (32, 24)).run({"x": noise(1, 3, 20, 70)})
    assert echo.sizes == [(20, 32)] * 3


@pytest.mark.parametrize(("crop", "stride"), [((32, 32), (33, 32)), ((32, 32), (0, 8))])
def test_strides_that_leave_gaps_are_refused(crop, stride):
    with pytest.raises(RequestError, match="a stride is at most its window"):
        SlidingWindows(Echo(), crop, stride)


def test_flips_are_undone():
    images = noise(1, 3, 8, 12)
    views = AugmentedViews(Echo(), flip_horizontal=True, flip_vertical=True)
    np.testing.assert_allclose(views.run({"x": images})[0], images, rtol=1e-6)


def test_every_scale_is_seen_in_every_flip():
    echo = Echo()
    AugmentedViews(echo, (0.5, 1.0), flip_horizontal=True).run({"x": noise(1, 3, 8, 13)})
    assert echo.sizes == [(4, 7), (4, 7), (8, 13), (8, 13)]


class Decided:
    """A session whose class maps are the first channel of its input, with a wrong border."""

    def run(self, inputs):
        classes = inputs["x"][:, 0].astype(np.int32)
        classes[:, 0] = classes[:, -1] = classes[:, :, 0] = classes[:, :, -1] = -1
        return [classes]


def test_class_maps_of_windows_meet_in_the_middle_of_their_overlap():
    images = np.arange(40 * 50, dtype=np.float32).reshape(1, 1, 40, 50)
    classes = SlidingWindows(Decided(), (20, 16), (12, 10)).run({"x": images})[0]
    assert classes.dtype == np.int32
    # only the border of the image itself is wrong: no window's border is nearest to any pixel
    np.testing.assert_array_equal(classes[:, 1:-1, 1:-1], images[:, 0, 1:-1, 1:-1])
    assert (classes[0, 0] == -1).all()


@given(side=st.integers(1, 400), crop=st.integers(1, 400), data=st.data())
def test_each_pixel_has_one_owner_within_its_window(side, crop, data):
    windows = spans(side, crop, data.draw(st.integers(1, crop)))
    owned = [pixel for window in windows for pixel in range(side)[window.own]]
    assert owned == list(range(side))
    assert all(w.start <= w.own_start < w.own_stop <= w.stop for w in windows)


def test_views_of_a_model_that_gives_class_maps_are_refused():
    with pytest.raises(RequestError, match="runtime eager"):
        AugmentedViews(Decided()).run({"x": noise(1, 3, 16, 16)})
