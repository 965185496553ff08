"""TIFF and PNG files of every kind against numpy: a spread of what tests.campaigns.images runs."""

import pytest

from tests.campaigns import images

CASES = images.all_cases(count=200, seed=1)


@pytest.mark.parametrize("name", CASES)
def test_files_of_every_kind_are_read_as_what_they_store(name):
    outcome = images.compare(CASES[name]())
    assert outcome.count > 200
    assert outcome.wrong == []
    assert outcome.refused == []


@pytest.mark.parametrize("name", CASES)
def test_a_reader_that_asks_opencv_and_pillow_is_caught(name, capfd):
    outcome = images.compare(CASES[name](), images.read_naively)
    assert len(outcome.wrong) > outcome.count // 10
