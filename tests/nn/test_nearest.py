"""Weights of another model are recognised, for the message that refuses them."""

import numpy as np

from segcore.discovery.catalogue import get_catalogue
from segcore.nn.nearest import nearest_model_in


def test_a_known_model_is_recognised_whatever_its_number_of_classes():
    catalogue = get_catalogue()
    network = catalogue.build_model(catalogue.models.find("PP-LiteSeg-T"), 5)
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    assert nearest_model_in(catalogue, "semantic")(arrays) == "PP-LiteSeg-T"
    assert nearest_model_in(catalogue, "none")(arrays) is None


def test_what_is_like_no_model_gets_no_name():
    arrays = {"x": np.zeros(8_000_000, np.float32)}
    assert nearest_model_in(get_catalogue(), "semantic")(arrays) is None
