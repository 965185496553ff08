"""A backbone says which features it has, and which it has not."""

import pytest

from segcore.errors import ConfigError
from segcore.nn.backbones.stdc import stdc1


def test_features_are_chosen_from_either_end():
    assert stdc1().channels_at([2, -1]) == [256, 1024]


@pytest.mark.parametrize("index", [5, -6])
def test_features_that_are_not_there_are_refused(index):
    with pytest.raises(ConfigError, match=rf"backbone_indices \[0, {index}\].*5 features"):
        stdc1().channels_at([0, index])
