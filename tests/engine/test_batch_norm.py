"""Batch norm at batch 1: by its formula where there are several values, else left alone."""

import logging

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.engine.batch_norm import single_values_normalised

MOMENTUM, EPSILON = 0.9, 1e-5


class Pooled(nn.Layer):
    """A norm over pixels, and one over what is left of them after a global pooling."""

    def __init__(self):
        super().__init__()
        self.pixels = nn.BatchNorm2D(3)
        self.pooled = nn.BatchNorm2D(3)

    def forward(self, x):
        x = self.pixels(x)
        return x, self.pooled(nn.functional.adaptive_avg_pool2d(x, 1))


@pytest.fixture
def network():
    paddle.seed(0)
    network = Pooled()
    for norm in (network.pixels, network.pooled):
        norm.weight.set_value(paddle.to_tensor(np.array([1.0, 2.0, 0.5], np.float32)))
        norm.bias.set_value(paddle.to_tensor(np.array([0.1, -1.0, 0.0], np.float32)))
        norm._mean.set_value(paddle.to_tensor(np.array([0.2, 0.0, -0.3], np.float32)))
        norm._variance.set_value(paddle.to_tensor(np.array([1.5, 1.0, 0.25], np.float32)))
    network.train()
    return network


def image(count=1):
    pixels = np.random.default_rng(1).normal(2.0, 3.0, (count, 3, 7, 5)).astype(np.float32)
    return pixels, paddle.to_tensor(pixels)


def channels(values):
    return np.asarray(values)[None, :, None, None]


def normalised(x, norm, mean, variance):
    scale = channels(norm.weight.numpy()) / np.sqrt(channels(variance) + EPSILON)
    return (x - channels(mean)) * scale + channels(norm.bias.numpy())


def test_pixels_of_one_image_are_normalised_by_the_formula(network):
    pixels, tensor = image()
    mean, variance = pixels.mean((0, 2, 3)), pixels.var((0, 2, 3))
    old_mean, old_variance = network.pixels._mean.numpy(), network.pixels._variance.numpy()
    with single_values_normalised(network, 1):
        found, _ = network(tensor)
    np.testing.assert_allclose(
        found.numpy(), normalised(pixels, network.pixels, mean, variance), atol=1e-4
    )
    for kept, old, new in (
        (network.pixels._mean, old_mean, mean),
        (network.pixels._variance, old_variance, variance),
    ):
        expected = MOMENTUM * old + (1 - MOMENTUM) * new
        np.testing.assert_allclose(kept.numpy(), expected, rtol=1e-4)


def test_a_single_value_is_normalised_by_running_statistics_which_stay(network, caplog):
    mean, variance = network.pooled._mean.numpy(), network.pooled._variance.numpy()
    with caplog.at_level(logging.WARNING), single_values_normalised(network, 1):
        for _ in range(3):
            x, found = network(image()[1])
    pooled = x.numpy().mean((2, 3), keepdims=True)
    expected = normalised(pooled, network.pooled, mean, variance)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert network.pooled._mean.numpy().tobytes() == mean.tobytes()
    assert network.pooled._variance.numpy().tobytes() == variance.tobytes()
    assert [record.getMessage().split()[0] for record in caplog.records] == ["pooled"]


def test_gradients_flow_through_a_norm_that_is_left_alone(network):
    with single_values_normalised(network, 1):
        network(image()[1])[1].sum().backward()
    assert np.abs(network.pooled.weight.grad.numpy()).min() > 0


def test_larger_batches_are_normalised_by_the_batch(network):
    with single_values_normalised(network, 2):
        x, found = network(image(count=2)[1])
    pooled = x.numpy().mean((2, 3), keepdims=True)
    mean, variance = pooled.mean((0, 2, 3)), pooled.var((0, 2, 3))
    np.testing.assert_allclose(
        found.numpy(), normalised(pooled, network.pooled, mean, variance), atol=1e-4
    )


def test_training_and_evaluation_agree_on_a_single_value(network):
    with single_values_normalised(network, 1):
        x = nn.functional.adaptive_avg_pool2d(image()[1], 1)
        trained = network.pooled(x).numpy()
        network.eval()
        np.testing.assert_allclose(trained, network.pooled(x).numpy(), atol=1e-6)


def test_without_the_guard_the_two_would_not_agree(network):
    x = nn.functional.adaptive_avg_pool2d(image()[1], 1)
    trained = network.pooled(x).numpy()
    network.eval()
    assert np.abs(trained - network.pooled(x).numpy()).max() > 0.2


def test_the_network_is_afterwards_as_it_was(network):
    with single_values_normalised(network, 1):
        network(image()[1])
    assert network.pooled._use_global_stats is None
    assert not network.pooled._forward_pre_hooks
