"""Predictions of the semantic task: whole images, or windows of them."""

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.config.schema import Config
from segcore.discovery.catalogue import get_catalogue
from segcore.tasks.batch import SemanticBatch
from segcore.tasks.sample import Sample
from segcore.tasks.semantic import SemanticTask


class FirstChannels:
    """A session whose logits are its input; it remembers the sizes (H, W) that it saw."""

    def __init__(self):
        self.sizes = []

    def run(self, inputs):
        self.sizes.append(inputs["x"].shape[2:])
        return [inputs["x"].copy()]


def task(**settings):
    config = Config.model_validate({"model": {"name": "Any"}, "eval": settings})
    return SemanticTask(config, ("a", "b", "c"), get_catalogue())


class TwoOutputs(nn.Layer):
    """Logits, and others that are worth nothing."""

    output_weights = (1.0, 0.0)

    def forward(self, images):
        return [images, images * 5.0]


def sample(height, width):
    image = np.random.default_rng(0).normal(size=(height, width, 3)).astype(np.float32)
    return Sample(image)


@pytest.mark.parametrize(
    ("sliding", "sizes"),
    [
        (None, [(20, 40)]),
        ({"crop": [24, 32], "stride": [16, 32]}, [(20, 24)] * 2),
        ({"crop": [20, 10]}, [(10, 20)] * 4),
    ],
)
def test_images_run_in_the_windows_asked_for(sliding, sizes):
    session, image = FirstChannels(), sample(20, 40)
    (classes,) = task(sliding=sliding).infer(session, [image])
    assert session.sizes == sizes
    np.testing.assert_array_equal(classes, image.image.argmax(axis=2))


def test_a_network_says_what_its_outputs_weigh():
    images = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    batch = SemanticBatch(images, np.zeros((1, 4, 4), np.uint8), (0,), ("a.png",))
    loss = task().losses(TwoOutputs(), batch)["loss"]
    labels = paddle.zeros([1, 1, 4, 4], "int64")
    alone = nn.functional.cross_entropy(paddle.to_tensor(images), labels, axis=1)
    assert float(loss) == pytest.approx(float(alone))
