"""A small network with a resize in it, and the task and catalogue around it."""

import paddle
import pytest
from paddle import nn

from segcore.config.schema import Config
from segcore.discovery.catalogue import read_catalogue
from segcore.tasks.semantic import SemanticTask


@pytest.fixture(scope="session")
def catalogue():
    return read_catalogue()


@pytest.fixture(scope="session")
def config():
    return Config.model_validate(
        {
            "model": {"name": "PP-LiteSeg-T"},
            "data": {"path": "/home/me/images", "num_classes": 3, "mean": [0.4, 0.5, 0.6]},
        }
    )


class Halved(nn.Layer):
    """Convolve at half the size and come back, with batch norm and dropout between."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2D(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2D(8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Conv2D(8, 3, 1)

    def forward(self, x):
        y = self.head(self.drop(nn.functional.relu(self.norm(self.down(x)))))
        return [nn.functional.interpolate(y, size=paddle.shape(x)[2:], mode="bilinear")]


@pytest.fixture
def network():
    paddle.seed(0)
    return Halved()


@pytest.fixture
def task(config, catalogue):
    return SemanticTask(config, ("background", "disc", "cup"), catalogue)
