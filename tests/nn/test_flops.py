"""What networks compute, counted."""

import paddle
import pytest
from paddle import nn
from paddle.vision.models import resnet18

from segcore.errors import DataError
from segcore.nn.flops import count_flops, count_parameters


def test_a_known_network_has_its_known_numbers():
    # of the paper's ResNet-18 for 224 x 224 pixels: 1.8 billion; 11.69 million parameters
    network = resnet18()
    assert count_flops(network, 224, 224) == 1_814_073_344
    assert count_parameters(network) == 11_689_512


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2D(4, 8, 3, padding=1), 6 * 10 * 8 * 4 * 9),
        (nn.Conv2D(4, 8, 3, padding=1, stride=2), 3 * 5 * 8 * 4 * 9),
        (nn.Conv2D(4, 8, 3, padding=1, groups=4), 6 * 10 * 8 * 1 * 9),
        (nn.Conv2DTranspose(4, 8, 2, stride=2), 6 * 10 * 4 * 8 * 4),
        (nn.Sequential(nn.BatchNorm2D(4), nn.ReLU()), 0),
        (nn.Linear(10, 7), 4 * 6 * 10 * 7),
    ],
)
def test_each_layer_counts_its_products(layer, expected):
    assert count_flops(layer, 6, 10, channels=4) == expected


def test_a_layer_that_runs_twice_counts_twice():
    layer = nn.Conv2D(3, 3, 1)
    assert count_flops(nn.Sequential(layer, layer), 5, 5) == 2 * 25 * 9


def test_counting_leaves_a_network_as_it_was():
    network = nn.Sequential(nn.Conv2D(3, 3, 1), nn.BatchNorm2D(3))
    before = network[1]._mean.numpy().tobytes()
    assert count_flops(network, 4, 4) == count_flops(network, 4, 4)
    assert network.training
    assert network[1]._mean.numpy().tobytes() == before


class Products(nn.Layer):
    """Multiplies (1, 3, 6, 10) with itself: to (3, 6, 6), (3, 10, 10), and (3, 6, 6) once more."""

    def forward(self, x):
        across = paddle.matmul(x, x, transpose_y=True)
        down = paddle.matmul(x, x, True)
        return across, down, paddle.bmm(x[0], x[0].transpose([0, 2, 1]))


def test_products_that_a_network_forms_itself_count():
    before = paddle.matmul, paddle.bmm
    assert count_flops(Products(), 6, 10) == 3 * (6 * 6 * 10 + 10 * 10 * 6 + 6 * 6 * 10)
    assert (paddle.matmul, paddle.bmm) == before


class Picky(nn.Conv2D):
    """A layer that is called and then fails."""

    def forward(self, x):
        if min(x.shape[2:]) < 4:
            raise DataError("too small")
        return super().forward(x)


def test_a_size_that_fails_leaves_no_hook_behind():
    network = Picky(3, 3, 1)
    with pytest.raises(DataError, match="too small"):
        count_flops(network, 2, 2)
    assert not network._forward_post_hooks
    assert network.training
