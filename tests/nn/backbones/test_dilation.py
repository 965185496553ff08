"""Strides beyond the output stride become dilations."""

import math

import pytest

from segcore.nn.backbones.dilation import strides_and_dilations

STRIDES = [2, 1, 2, 2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize("output_stride", [1, 2, 8, 16, 32])
def test_the_strides_that_stay_make_up_the_output_stride(output_stride):
    pairs = strides_and_dilations(STRIDES, output_stride)
    assert math.prod(stride for stride, _ in pairs) == output_stride


def test_nothing_is_dilated_where_no_stride_is_lost():
    assert strides_and_dilations(STRIDES, 32) == [(stride, 1) for stride in STRIDES]


def test_a_layer_that_loses_its_stride_dilates_those_after_it():
    pairs = strides_and_dilations([2, 2, 2, 1, 2, 1], 4)
    assert pairs == [(2, 1), (2, 1), (1, 1), (1, 2), (1, 2), (1, 4)]
