"""Reductions give Paddle's values and gradients."""

import numpy as np
import paddle
import pytest

from segcore.nn.reduce import channel_max, channel_mean_and_max, pixel_mean_and_max


def gradient(function, values):
    x = paddle.to_tensor(values, stop_gradient=False)
    y = function(x)
    weights = np.random.default_rng(9).random(y.shape, np.float32)
    (y * paddle.to_tensor(weights)).sum().backward()
    return y.numpy(), x.grad.numpy()


@pytest.mark.parametrize("ties", [False, True])
def test_the_channel_maximum_has_exactly_the_values_and_gradient_of_paddle(ties):
    values = np.random.default_rng(0).standard_normal((2, 8, 5, 6)).astype(np.float32)
    if ties:
        values = np.round(values)  # the same number in several channels of most pixels
    ours = gradient(channel_max, values)
    # amax, because the rule for ties that max has is another one in Paddle 2.6
    paddles = gradient(lambda x: paddle.amax(x, axis=1, keepdim=True), values)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, paddles, strict=True))


def test_channels_that_tie_share_the_gradient():
    x = paddle.to_tensor([1.0, 1.0, 0.0]).reshape([1, 3, 1, 1])
    x.stop_gradient = False
    channel_max(x).backward()
    assert x.grad.numpy().ravel().tolist() == [0.5, 0.5, 0.0]


def test_the_channel_maximum_stays_in_a_traced_graph(tmp_path):
    class Network(paddle.nn.Layer):
        def forward(self, x):
            return channel_max(x)

    x = paddle.to_tensor(np.random.default_rng(1).standard_normal((1, 4, 3, 3)).astype("float32"))
    spec = [paddle.static.InputSpec([None, 4, None, None], "float32")]
    traced = paddle.jit.to_static(Network(), input_spec=spec, full_graph=True)
    traced.eval()
    assert traced(x).numpy().tobytes() == x.numpy().max(axis=1, keepdims=True).tobytes()


def test_statistics_come_mean_and_maximum_by_feature():
    a, b = paddle.full([1, 2, 1, 1], 2.0), paddle.to_tensor([[[[1.0]], [[5.0]]]])
    assert channel_mean_and_max([a, b]).numpy().ravel().tolist() == [2.0, 2.0, 3.0, 5.0]


def test_pixel_statistics_come_means_first():
    a = paddle.to_tensor([[[[1.0, 3.0]], [[0.0, 8.0]]]])
    assert pixel_mean_and_max([a, a + 1]).numpy().ravel().tolist() == [2, 4, 3, 5, 3, 8, 4, 9]
