"""Weights known by name: what a plugin may declare, and which one a name means."""

import pytest

from segcore.discovery.weights import find_known_weights
from segcore.specs import Published, Score, WeightsSpec

NETWORK = WeightsSpec(trained_on="CHASE_DB1", url="https://a.org/network.pdparams")
BACKBONE = WeightsSpec(trained_on="CHASE_DB1", url="https://a.org/b.tar.gz", part="backbone")


@pytest.mark.parametrize("name", ["CHASE_DB1", "chase_db1", "Chase-DB1", "chasedb1"])
def test_a_name_is_found_in_any_spelling(name):
    assert find_known_weights((NETWORK,), name) is NETWORK


def test_weights_of_the_whole_network_come_first():
    assert find_known_weights((BACKBONE, NETWORK), "CHASE_DB1") is NETWORK
    assert find_known_weights((BACKBONE,), "CHASE_DB1") is BACKBONE
    assert find_known_weights((BACKBONE,), "COCO") is None


@pytest.mark.parametrize(
    "wrong", [{"part": "neck"}, {"url": "http://a.org/w"}, {"url": "file:///w"}, {"url": ""}]
)
def test_a_plugin_declares_parts_that_exist_and_https_addresses(wrong):
    with pytest.raises(ValueError, match="weights 'COCO'"):
        WeightsSpec(**{"trained_on": "COCO", "url": "https://a.org/w", **wrong})


@pytest.mark.parametrize("value", [77.0, -0.1, float("nan"), "0.5", 1])
def test_a_score_is_a_share(value):
    with pytest.raises(ValueError, match="must be a share"):
        Score(metric="mIoU", value=value, dataset="x", input="y", source="z")


def test_published_accuracies_are_scores():
    with pytest.raises(ValueError, match="tuple of Score"):
        Published(accuracy=(0.5,))
