"""The parity checks notice what they are there to notice."""

import gzip
import json

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.errors import CheckFailed
from segcore.testing.parity import (
    Reference,
    check_layout,
    check_outputs,
    check_training,
    fill_network,
    fill_values,
    reference_image,
    reference_labels,
)


class Network(nn.Layer):
    def __init__(self, momentum=0.9, epsilon=1e-5):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 1)
        self.bn = nn.BatchNorm2D(4, momentum, epsilon)

    def forward(self, x):
        return [self.bn(self.conv(x))]


def mean_loss(outputs, labels):
    return [outputs[0][:, 0][labels != 255].square().mean()]


@pytest.fixture
def reference(tmp_path):
    """What `Network` does, in the files that `Reference.read` reads."""
    network = Network()
    entries = [[key, list(tensor.shape), "float32"] for key, tensor in network.state_dict().items()]
    layout = json.dumps({"entries": entries, "fill_scale": {"bn": 0.5}}).encode()
    (tmp_path / "Net.layout.json.gz").write_bytes(gzip.compress(layout))
    fill_network(network, {"bn": 0.5})
    network.eval()
    logits = network(paddle.to_tensor(reference_image(128, 256)))[0].numpy()
    centred = logits - logits.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    np.savez(
        tmp_path / "Net.npz",
        a_logits=logits[:, :, ::8, ::8],
        a_argmax=logits.argmax(axis=1)[0],
        a_argmax_centred=centred.argmax(axis=1)[0],
    )
    network.train()
    outputs = network(paddle.to_tensor(reference_image(128, 256, batch=2, seed=3)))
    labels = paddle.to_tensor(reference_labels(128, 256, 4, batch=2, seed=3))
    loss = mean_loss(outputs, labels)[0]
    loss.backward()
    norms = {
        key: float(p.grad.norm()) for key, p in network.named_parameters() if p.grad is not None
    }
    case = {
        "losses": [float(loss)],
        "grad_norm": float(np.linalg.norm(list(norms.values()))),
        "grad_norms": norms,
        "bn_after": {"bn._mean": network.bn._mean.numpy().tolist()},
    }
    tolerance = {"rel_l2": 1e-5, "max_abs": 1e-4, "argmax_disagreement": 1e-3}
    record = {"num_classes": 4, "tolerance": tolerance, "training": {"case": case}}
    (tmp_path / "Net.json").write_text(json.dumps(record))
    return Reference.read(tmp_path, "Net")


def test_the_same_network_passes(reference):
    check_layout(Network(), reference)
    assert check_outputs(Network(), reference)["a_rel_l2"] == 0.0
    check_training(Network(), reference, "case", mean_loss)


def test_another_epsilon_is_noticed(reference):
    with pytest.raises(CheckFailed, match="rel_l2"):
        check_outputs(Network(epsilon=1e-3), reference)


def test_another_momentum_is_noticed(reference):
    with pytest.raises(CheckFailed, match=r"bn\._mean"):
        check_training(Network(momentum=0.99), reference, "case", mean_loss)


def test_another_loss_is_noticed(reference):
    with pytest.raises(CheckFailed, match="case: loss"):
        check_training(Network(), reference, "case", lambda *both: [1.001 * mean_loss(*both)[0]])


def test_where_no_logits_are_known_none_pass(reference, tmp_path):
    (tmp_path / "Net.npz").unlink()
    without = Reference.read(tmp_path, "Net")
    check_layout(Network(), without)
    with pytest.raises(CheckFailed, match="no logits"):
        check_outputs(Network(), without)


def test_a_missing_key_is_named(reference):
    network = Network()
    del network.bn
    with pytest.raises(CheckFailed, match=r"missing keys \['bn\._mean'"):
        check_layout(network, reference)


def test_another_order_is_noticed(reference):
    network = Network()
    conv = network.conv
    del network.conv
    network.conv = conv
    with pytest.raises(CheckFailed, match="entry 0"):
        check_layout(network, reference)


def test_values_hang_on_the_name_alone():
    first, second = fill_values("a.weight", [4, 3, 1, 1]), fill_values("a.weight", [4, 3, 1, 1])
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != fill_values("b.weight", [4, 3, 1, 1]).tobytes()
    # the sum over the inputs of each output is taken out
    assert np.abs(first.sum(axis=1)).max() < 1e-6
