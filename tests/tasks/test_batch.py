"""Samples become one batch, or the answer says which of them does not fit."""

import numpy as np
import pytest

from segcore.errors import DataError
from segcore.tasks.batch import collate_semantic
from segcore.tasks.sample import Sample


def sample(index, height=4, width=6, label_type=np.uint8):
    rng = np.random.default_rng(index)
    image = rng.random((height, width, 3), np.float32)
    label = rng.integers(0, 9, (height, width)).astype(label_type)
    return Sample(image, label, index, f"{index}.png")


def test_samples_are_stacked_channels_first():
    batch = collate_semantic([sample(3), sample(1)])
    assert (batch.images.shape, batch.images.dtype) == ((2, 3, 4, 6), np.float32)
    assert batch.images.flags.c_contiguous
    np.testing.assert_array_equal(batch.images[1, 2], sample(1).image[..., 2])
    np.testing.assert_array_equal(batch.labels[0], sample(3).label)
    assert (batch.indices, batch.sources) == ((3, 1), ("3.png", "1.png"))


def test_warnings_stay_with_their_samples():
    odd = sample(1)
    odd.warnings = ("alpha",)
    assert collate_semantic([sample(0), odd]).warnings == ((), ("alpha",))


def test_labels_keep_their_type():
    assert collate_semantic([sample(0, label_type=np.int32)]).labels.dtype == np.int32


def test_sizes_that_differ_are_named():
    with pytest.raises(DataError, match=r"1\.png is 6 x 5 px .* but 0\.png is 6 x 4 px"):
        collate_semantic([sample(0), sample(1, height=5)])


def test_a_missing_label_is_named():
    with pytest.raises(DataError, match=r"0\.png: has no label"):
        collate_semantic([Sample(sample(0).image, source="0.png")])
