"""The average of the weights."""

import numpy as np
import paddle
from paddle import nn

from segcore.engine.ema import WeightAverage


class TwiceNamed(nn.Layer):
    """One layer under two names, as published weights of U-Net have it."""

    def __init__(self):
        super().__init__()
        self.first = self.second = nn.Linear(2, 2)


def test_the_average_moves_towards_the_weights():
    network = nn.Linear(2, 2)
    network.weight.set_value(np.zeros((2, 2), np.float32))
    average = WeightAverage(network, decay=0.75)
    network.weight.set_value(np.ones((2, 2), np.float32))
    average.update(step=1000)
    assert average.arrays()["weight"].tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_running_statistics_are_taken_over_as_they_are():
    network = nn.BatchNorm2D(1)
    average = WeightAverage(network, decay=0.75)
    network(paddle.ones([2, 1, 2, 2]))
    average.update(step=1000)
    assert average.arrays()["_mean"].tobytes() == network._mean.numpy().tobytes()


def test_a_layer_of_two_names_is_averaged_under_both():
    network = TwiceNamed()
    network.first.weight.set_value(np.zeros((2, 2), np.float32))
    average = WeightAverage(network, decay=0.75)
    network.first.weight.set_value(np.ones((2, 2), np.float32))
    average.update(step=1000)
    with average.applied():
        assert network.first.weight.tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert network.first.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]
