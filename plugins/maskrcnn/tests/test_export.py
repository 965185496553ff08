"""The exported graph gives what the network gives, whatever the batch and the size of images."""

import numpy as np
import paddle
import pytest

from segcore.devices.cpu import CPU
from segcore.export.paddle import save_graph
from segcore.inference.paddle import PaddleSession
from segcore.protocols import ModelSource
from segcore.tasks.instance import DetectionNetwork

INPUTS = {"image": [None, 3, None, None], "im_shape": [None, 2], "scale_factor": [None, 2]}


def export(network, folder):
    """Trace the network, and load the graph as predictions run it."""
    network.eval()
    specs = [paddle.static.InputSpec(shape, "float32", name) for name, shape in INPUTS.items()]
    save_graph(network, specs, folder / "inference")
    (folder / "inference.yml").touch()
    return PaddleSession(ModelSource(export_dir=folder), CPU(), 0)


@pytest.mark.parametrize(
    "options",
    [{"rcnn_nms": "MultiClassSoftNMS"}, {"rcnn_nms": "MatrixNMS"}],
    ids=["soft", "matrix"],
)
def test_the_graph_gives_what_the_network_gives(build, draw, tmp_path, options):
    network = DetectionNetwork(build(**options))
    session = export(network, tmp_path)
    for size, images in (((128, 192), 1), ((97, 161), 2)):
        batch = draw(*size, images=images, seed=images)
        batch["scale_factor"] = paddle.to_tensor([[0.5, 0.8]] * images)
        with paddle.no_grad():
            expected = [x.numpy() for x in network(*(batch[name] for name in INPUTS))]
        assert len(expected[0]) > 0
        found = session.run({name: batch[name].numpy() for name in INPUTS})
        assert found[1].tolist() == expected[1].tolist()
        assert found[2].shape == expected[2].shape
        # kernels round, so nearly equal scores change places, and a few suppress others
        far = np.abs(expected[0][:, None] - found[0][None]).max(axis=2)
        nearest, is_found = far.argmin(axis=1), far.min(axis=1) < 0.05
        assert is_found.mean() > 0.9
        assert (found[2][nearest] != expected[2])[is_found].mean() < 1e-3


def test_a_graph_that_finds_nothing_says_so(build, draw, tmp_path):
    session = export(DetectionNetwork(build(score_threshold=1.0)), tmp_path)
    batch = draw(64, 96)
    rows, numbers, masks = session.run({name: batch[name].numpy() for name in INPUTS})
    assert (rows.shape, numbers.tolist(), masks.shape) == ((0, 6), [0], (0, 64, 96))
