"""The colours of PASCAL VOC."""

import numpy as np
import pytest

from segcore.data.palette import voc_palette

# the first classes of VOC, and its colour of borders, as its development kit gives them
KNOWN = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    3: (128, 128, 0),
    4: (0, 0, 128),
    8: (64, 0, 0),
    15: (192, 128, 128),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


@pytest.mark.parametrize(("number", "colour"), KNOWN.items())
def test_colours_are_those_of_voc(number, colour):
    assert tuple(voc_palette(256)[number]) == colour


def test_no_colour_stands_twice():
    assert len(np.unique(voc_palette(1000), axis=0)) == 1000


def test_the_shared_palette_cannot_be_changed():
    assert not voc_palette(4).flags.writeable
