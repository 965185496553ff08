"""The parity checks notice what they are there to notice."""

import gzip
import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.errors import CheckFailed
from segcore.testing.parity import (
    Agreement,
    Reference,
    check_layout,
    check_outputs,
    check_training,
    double_precision,
    fill_network,
    fill_values,
    reference_image,
    reference_labels,
    relative_distances,
)


class Network(nn.Layer):
    def __init__(self, momentum=0.9, epsilon=1e-5):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 1, bias_attr=False)
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
    record = {"num_classes": 4, "training": {"case": case}}
    (tmp_path / "Net.json").write_text(json.dumps(record))
    trained = ("loss 0", "gradient", *(f"gradient of {key}" for key in norms), "bn._mean")
    tolerances = {
        "Net: logits": {"a_logits": 1e-5, "a_argmax": 1e-3, "a_argmax_centred": 1e-3},
        "Net: case": dict.fromkeys(trained, 1e-5),
    }
    (tmp_path / "tolerances.json").write_text(json.dumps(tolerances))
    return Reference.read(tmp_path, "Net")


def test_the_same_network_passes(reference):
    check_layout(Network(), reference)
    distances = check_outputs(Network(), reference)
    assert distances.keys() == {"a_logits", "a_argmax", "a_argmax_centred"}
    assert 0 < distances["a_logits"] < 1e-6  # the reference was computed in float32
    check_training(Network(), reference, "case", mean_loss)


def test_another_epsilon_is_noticed(reference):
    with pytest.raises(CheckFailed, match="a_logits is off by"):
        check_outputs(Network(epsilon=1e-3), reference)


def test_another_momentum_is_noticed(reference):
    with pytest.raises(CheckFailed, match=r"bn\._mean"):
        check_training(Network(momentum=0.99), reference, "case", mean_loss)


def test_another_loss_is_noticed(reference):
    with pytest.raises(CheckFailed, match="case: loss 0"):
        check_training(Network(), reference, "case", lambda *both: [1.001 * mean_loss(*both)[0]])


def test_a_network_that_errs_in_float32_alone_is_noticed(reference):
    class Coarse(Network):
        def forward(self, x):
            (y,) = super().forward(x)
            return [y.astype("float16").astype("float32") if y.dtype == paddle.float32 else y]

    with pytest.raises(CheckFailed, match="in float32: a_logits"):
        check_outputs(Coarse(), reference)


def test_where_no_tolerances_were_measured_nothing_passes(reference, tmp_path):
    (tmp_path / "tolerances.json").write_text("{}")
    with pytest.raises(CheckFailed, match=r"no tolerances of 'Net: logits'.*write_tolerances"):
        check_outputs(Network(), reference)


def test_measured_tolerances_let_the_same_network_pass_and_no_other(
    reference, tmp_path, monkeypatch
):
    (tmp_path / "tolerances.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Agreement, "check", Agreement.write_tolerances)
        check_outputs(Network(), reference)
        check_training(Network(), reference, "case", mean_loss)
    check_outputs(Network(), reference)
    check_training(Network(), reference, "case", mean_loss)
    with pytest.raises(CheckFailed, match="a_logits is off by"):
        check_outputs(Network(epsilon=1e-3), reference)


def test_double_precision_gives_everything_back(reference):
    network = Network()
    fill_network(network, reference.fill_scale)
    before = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    with pytest.raises(CheckFailed, match="stop"), double_precision(network):
        _stop_in_double_precision(network)
    assert paddle.get_default_dtype() == "float32"
    for key, tensor in network.state_dict().items():
        assert tensor.numpy().dtype == np.float32
        assert tensor.numpy().tobytes() == before[key].tobytes()


def _stop_in_double_precision(network):
    assert {str(tensor.dtype) for tensor in network.state_dict().values()} == {"paddle.float64"}
    assert paddle.ones([1]).dtype == paddle.float64
    raise CheckFailed("stop")


def test_sensitivity_is_what_rounding_can_do():
    def run(network):
        network.eval()
        x = paddle.to_tensor(reference_image(64, 64), paddle.get_default_dtype())
        y = network(x)[0]
        return {"logits": y.numpy(), "classes": y.argmax(axis=1).numpy(), "size": len(y)}

    network = Network()
    nothing = Agreement("Net", network, {}, run, {}, Path())
    found = nothing.sensitivity(2)
    assert 1e-7 < found["logits"] < 1e-5
    assert found["classes"] >= 1 / 64**2  # one pixel at least may change its class
    assert found["size"] == 0.0
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    fill_network(network, {})
    for key, tensor in network.state_dict().items():
        assert tensor.numpy().tobytes() == state[key].tobytes()


def test_distances_are_relative_and_shares():
    expected = {"numbers": [3.0, 4.0], "zero": [0.0], "classes": np.array([1, 2, 3, 4])}
    found = {"numbers": [3.0, 4.5], "zero": [0.25], "classes": np.array([1, 2, 3, 5])}
    assert relative_distances(found, expected) == {"numbers": 0.1, "zero": 0.25, "classes": 0.25}
    with pytest.raises(CheckFailed, match=r"classes has the shape \(3,\).*\(4,\)"):
        relative_distances({**found, "classes": np.array([1, 2, 3])}, expected)
    with pytest.raises(CheckFailed, match="numbers"):
        relative_distances({}, expected)


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
