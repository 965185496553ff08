"""Colours are counted as they are, and no further than to the first one too many."""

import numpy as np
import pytest

from segcore.data import colour
from segcore.data.colour import count_colours, is_grey, pack_colours
from segcore.data.label_repair import indices_of


def picture(colours, dtype=np.uint8, size=(37, 23), seed=0):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, np.iinfo(dtype).max, (colours, 3), dtype, endpoint=True)
    return table[rng.integers(0, colours, size)]


def counted(pixels):
    found, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return dict(zip(map(tuple, found.tolist()), counts.tolist(), strict=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [1, 2, 30, 64])
def test_few_colours_are_all_counted_whatever_the_pieces(dtype, colours, monkeypatch):
    monkeypatch.setattr(colour, "_PIECE_PIXELS", 100)
    pixels = picture(colours, dtype)
    found = count_colours(pixels)
    assert found.is_all
    assert found.counts == counted(pixels)
    assert list(found.counts.values()) == sorted(found.counts.values(), reverse=True)


def test_of_many_colours_only_the_beginning_is_looked_at(monkeypatch):
    monkeypatch.setattr(colour, "_PIECE_PIXELS", 100)
    looked_at = []
    monkeypatch.setattr(colour, "pack_colours", lambda p: looked_at.append(p) or pack_colours(p))
    found = count_colours(picture(500))
    assert not found.is_all
    assert len(looked_at) == 1
    assert set(found.counts) <= set(counted(picture(500)))


def test_a_picture_without_pixels_has_no_colours():
    assert count_colours(np.zeros((0, 5, 3), np.uint8)).counts == {}


def test_greys(monkeypatch):
    monkeypatch.setattr(colour, "_PIECE_PIXELS", 100)
    pixels = np.repeat(picture(99)[..., :1], 3, axis=2)
    assert is_grey(pixels)
    pixels[-1, -1, 2] ^= 1
    assert not is_grey(pixels)


def test_classes_of_colours_and_those_that_are_none():
    pixels = picture(5)
    known = dict(zip(list(counted(pixels))[:3], (7, 0, 2), strict=True))
    label, strangers = indices_of(pixels, known)
    expected = [[known.get(tuple(p), -1) for p in row] for row in pixels.tolist()]
    assert label.tolist() == expected
    assert {(r, g, b): n for r, g, b, n in strangers.tolist()} == {
        c: n for c, n in counted(pixels).items() if c not in known
    }
