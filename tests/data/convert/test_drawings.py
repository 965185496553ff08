"""Random drawings come through every reader and writer as the pixels that were drawn."""

import pytest

from tests.campaigns.conversions import FORMATS, SHAPES, run_campaign


@pytest.mark.parametrize("name", FORMATS)
def test_random_drawings_are_converted_to_the_last_pixel(name):
    assert run_campaign(name, count=6, seed=1) == []


@pytest.mark.parametrize("name", SHAPES)
def test_another_order_of_painting_would_be_noticed(name):
    assert run_campaign(name, count=6, seed=1, overlap="first")
