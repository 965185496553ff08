"""Models and datasets are compared by the numbers of classes, so that names must not move."""

import pytest

from segcore.data.class_names import compare_class_names
from segcore.errors import DataError

MODEL = ("background", "circle", "star")
COUNTED = [("0", "1", "2"), ("class 0", "class 1", "class 2")]


def compare(model, dataset):
    return compare_class_names(model, dataset, "shapes")


@pytest.mark.parametrize("names", [MODEL, *COUNTED])
def test_nothing_is_said_of_the_same_names(names):
    assert compare(names, names) is None


@pytest.mark.parametrize("counted", COUNTED)
def test_counted_names_say_nothing(counted):
    assert compare(MODEL, counted) is None
    assert compare(counted, ("star", "circle", "background")) is None
    assert compare((), MODEL) is None


def test_other_names_are_listed_with_those_of_the_model():
    assert compare(MODEL, ("background", "ring", "sun")) == (
        "shapes: 2 of 3 classes have other names than the model knows them by (in brackets), and "
        "are compared by their numbers: 1 ring (circle), 2 sun (star)"
    )


@pytest.mark.parametrize(
    ("names", "moved"),
    [
        (("background", "star", "circle"), "star is 1 here and 2 there, circle is 2 here and 1"),
        (("background", "ring", "circle"), "circle is 2 here and 1 there. Bring"),
        (("sky", "Star ", "sun"), "Star  is 1 here and 2 there"),
        (("2", "1", "0"), "2 is 0 here and 1 there"),
    ],
)
def test_a_class_at_another_number_is_refused(names, moved):
    model = ("1", "2", "3") if names[0] == "2" else MODEL
    with pytest.raises(DataError, match=moved):
        compare(model, names)


def test_control_characters_do_not_reach_the_terminal():
    with pytest.raises(DataError) as caught:
        compare(("\x1b[31m", "star"), ("star", "\x1b[31m"))
    assert "\x1b" not in str(caught.value)
    assert "\x1b" not in compare(("cat", "star"), ("\x1b[31m", "star"))
