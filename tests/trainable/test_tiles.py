"""Tiles cover an image exactly, and their windows mirror it beyond its border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.errors import RequestError
from segcore.trainable.tiles import check_tiling, mirrored, tiles

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 30))
TILES = st.tuples(st.integers(1, 35), st.integers(1, 35))
PADS = st.tuples(st.integers(0, 70), st.integers(0, 70))
quick = settings(deadline=None, database=None, max_examples=50)


@quick
@given(size=SIZES, tile=TILES, pad=PADS)
def test_each_pixel_belongs_to_one_tile_and_none_is_empty(size, tile, pad):
    owners = np.zeros(size, int)
    plan = list(tiles(size, tile, pad))
    for part in plan:
        assert owners[part.rows.own, part.columns.own].size > 0
        owners[part.rows.own, part.columns.own] += 1
    assert (owners == 1).all()
    assert len(plan) == -(-size[0] // tile[1]) * -(-size[1] // tile[0])


@quick
@given(size=SIZES, tile=TILES, pad=PADS)
def test_a_window_is_the_mirrored_image_around_its_tile(size, tile, pad):
    image = np.arange(size[0] * size[1]).reshape(*size, 1)
    width, height = pad
    padded = np.pad(image, ((height, height), (width, width), (0, 0)), mode="symmetric")
    for part in tiles(size, tile, pad):
        window = part.cut(image)
        rows = slice(part.rows.start, part.rows.stop + 2 * height)
        columns = slice(part.columns.start, part.columns.stop + 2 * width)
        assert np.array_equal(window, padded[rows, columns])
        own = image[part.rows.own, part.columns.own]
        assert np.array_equal(window[part.rows.own_inside, part.columns.own_inside], own)


@quick
@given(size=SIZES, tile=TILES)
def test_without_padding_windows_are_the_tiles(size, tile):
    for part in tiles(size, tile, (0, 0)):
        assert np.array_equal(part.rows.window(size[0]), np.arange(size[0])[part.rows.own])
        assert part.columns.stop - part.columns.start <= tile[0]


def test_the_border_itself_is_repeated():
    assert mirrored(-4, 7, 3).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("tile", "pad", "batch", "said"),
    [
        ((0, 5), (0, 0), 1, "tile_size"),
        ((5,), (0, 0), 1, "tile_size"),
        ((5, 5), (-1, 0), 1, "pad_size"),
        ((5, 5), (0.5, 0), 1, "pad_size"),
        ((5, 5), (0, 0), 0, "batch_size"),
    ],
)
def test_sizes_that_are_none_are_refused_by_name(tile, pad, batch, said):
    with pytest.raises(RequestError, match=said):
        check_tiling(tile, pad, batch)
