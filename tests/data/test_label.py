import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.data.label import check_label_values, decode_label, map_label
from segcore.errors import LabelError


def test_a_plain_label_is_decoded_as_stored():
    label = np.random.default_rng(0).integers(0, 256, (9, 13), dtype=np.uint8)
    decoded = decode_label(cv2.imencode(".png", label)[1].tobytes(), "a.png")
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, label)


def test_a_label_above_the_pixel_limit_is_refused_from_its_header():
    data = cv2.imencode(".png", np.zeros((20, 20), np.uint8))[1].tobytes()
    with pytest.raises(LabelError, match=r"data\.max_pixels=399"):
        decode_label(data, "a.png", 399)


def test_replacements_of_a_map_happen_all_at_once():
    label = np.array([[0, 1, 2]], np.uint8)
    assert map_label(label, {0: 1, 1: 0}).tolist() == [[1, 0, 2]]


def test_no_map_gives_the_same_array():
    label = np.zeros((2, 2), np.uint8)
    assert map_label(label, None) is label
    assert map_label(label, {}) is label


def test_a_map_may_lead_above_255():
    assert map_label(np.array([[7]], np.uint8), {7: 300}).tolist() == [[300]]


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_ignored_values_pass_and_others_do_not(kind):
    label = np.array([[0, 1, 255]], kind)
    check_label_values(label, "a.png", 2, 255)
    with pytest.raises(LabelError, match="class 255"):
        check_label_values(label, "a.png", 2, 254)


def test_a_message_lists_few_of_many_values():
    label = np.arange(100, dtype=np.uint8)[None]
    with pytest.raises(LabelError, match="and 92 more values are wrong") as caught:
        check_label_values(label, "a.png", 3)
    assert len(str(caught.value)) < 400


def check_against_python(values, mapping, num_classes, ignore_index):
    for kind in (np.uint8, np.int32):
        mapped = map_label(np.array([values], kind), mapping)
        expected = [mapping.get(value, value) for value in values]
        assert mapped.tolist() == [expected]
        wrong = [v for v in expected if v >= num_classes and v != ignore_index]
        if not wrong:
            check_label_values(mapped, "a.png", num_classes, ignore_index)
            continue
        with pytest.raises(LabelError) as caught:
            check_label_values(mapped, "a.png", num_classes, ignore_index)
        assert f"{wrong.count(min(wrong))} pixels have class {min(wrong)}" in str(caught.value)


byte = st.integers(0, 255)
cases = given(
    st.lists(byte, min_size=1, max_size=40),
    st.dictionaries(byte, byte, max_size=5),
    st.integers(1, 260),
    st.integers(0, 300),
)


@settings(max_examples=60, deadline=None, database=None)
@cases
def test_maps_and_checks_agree_with_plain_python(values, mapping, num_classes, ignore_index):
    check_against_python(values, mapping, num_classes, ignore_index)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, database=None)
@cases
def test_many_maps_and_checks_agree_with_plain_python(values, mapping, num_classes, ignore_index):
    check_against_python(values, mapping, num_classes, ignore_index)
