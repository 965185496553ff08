import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as reference

from segcore.errors import DataError
from segcore.tasks.rle import (
    Rle,
    decode_mask,
    encode_mask,
    encode_window,
    read_rle,
    rle_area,
    rle_box,
    rle_json,
)

masks = arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)
)


@given(masks)
def test_encodes_as_the_reference_does(mask: np.ndarray) -> None:
    theirs = reference.encode(np.asfortranarray(mask))
    ours = encode_mask(mask)
    assert rle_json(ours)["counts"] == theirs["counts"].decode()
    assert rle_area(ours) == reference.area(theirs)
    assert rle_box(ours) == tuple(reference.toBbox(theirs))


@given(masks)
def test_decodes_what_it_encoded(mask: np.ndarray) -> None:
    for form in (
        rle_json(encode_mask(mask)),
        {"size": mask.shape, "counts": encode_mask(mask).counts.tolist()},
    ):
        assert (decode_mask(read_rle(form)) == mask).all()


@given(masks, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_window_is_encoded_as_the_whole_image(
    mask: np.ndarray, top: int, left: int, below: int, right: int
) -> None:
    whole = np.pad(mask, ((top, below), (left, right)))
    window = encode_window(mask, top, left, whole.shape)
    assert window.counts.tolist() == encode_mask(whole).counts.tolist()


def test_long_runs_that_shrink_and_grow() -> None:
    counts = [70_000, 3, 40, 900_000, 1, 2, 500_000, 12]
    total = sum(counts)
    text = rle_json(Rle(total, 1, np.array(counts)))["counts"]
    theirs = reference.frPyObjects({"size": [total, 1], "counts": counts}, total, 1)
    assert text == theirs["counts"].decode()
    assert read_rle({"size": [total, 1], "counts": text}).counts.tolist() == counts


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, "cover 3 pixels instead of 2 x 2"),
        ({"size": [2, 2], "counts": [5, -1]}, "whole numbers"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "whole numbers"),
        ({"size": [2, 2], "counts": "\x7f\x7f"}, "damaged"),
        ({"size": [2, 2], "counts": "oooooooooooooo0"}, "beyond any image"),
        ({"size": [2, 2], "counts": "é"}, "damaged"),
        ({"size": [2, 2], "counts": ""}, "cover 0 pixels"),
        ({"size": [2], "counts": [4]}, "an RLE is"),
        ({"size": "22", "counts": [4]}, "in pixels"),
        ({"counts": [4]}, "an RLE is"),
        ([1, 2], "an RLE is"),
        ({"size": [2, 2], "counts": None}, "an RLE is"),
    ],
)
def test_refuses_what_is_no_rle(value: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_rle(value)


@given(st.text(max_size=12))
def test_no_string_of_runs_crashes(text: str) -> None:
    with contextlib.suppress(DataError):
        read_rle({"size": [3, 4], "counts": text})
