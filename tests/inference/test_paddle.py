"""Paddle Inference, and what it does with graphs that it cannot run."""

import shutil

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.devices.cpu import CPU
from segcore.errors import ExportError
from segcore.export.folder import find_export
from segcore.export.paddle import save_graph
from segcore.inference.paddle import PaddleInference, PaddleSession
from segcore.protocols import ModelSource


class Resizing(nn.Layer):
    """A graph of the kind that fails with the default settings of Paddle 3.3."""

    def __init__(self, mode):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3, stride=2, padding=1)
        self.mode = mode

    def forward(self, x):
        return nn.functional.interpolate(self.conv(x), size=paddle.shape(x)[2:], mode=self.mode)


def save(network, folder):
    network.eval()
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "x")
    save_graph(network, [spec], folder / "inference")
    (folder / "inference.yml").write_text("Deploy: {}\n")
    return network, folder


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A network, and the folder of its export."""
    paddle.seed(0)
    return save(Resizing("bilinear"), tmp_path_factory.mktemp("graph"))


@pytest.fixture
def export(graph, tmp_path):
    """A copy of the export, to be damaged."""
    return shutil.copytree(graph[1], tmp_path / "export")


def load(folder):
    return PaddleInference().load(ModelSource(export_dir=folder), CPU(), 0)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_graph_that_resizes_runs_and_goes_on_running(tmp_path, mode):
    network, folder = save(Resizing(mode), tmp_path)
    session = load(folder)
    for shape in ((1, 3, 32, 48), (2, 3, 17, 9), (1, 3, 32, 48)):
        images = noise(*shape)
        with paddle.no_grad():
            expected = network(paddle.to_tensor(images)).numpy()
        np.testing.assert_allclose(session.run({"x": images})[0], expected, atol=1e-5)


def test_the_name_of_the_only_input_does_not_matter(graph):
    images = noise(1, 3, 8, 8)
    session = load(graph[1])
    by_name = session.run({"x": images})[0]
    np.testing.assert_array_equal(session.run({"images": images})[0], by_name)


def test_arrays_of_any_layout_are_taken(graph):
    images = noise(1, 8, 8, 3)
    session = load(graph[1])
    view = images.transpose(0, 3, 1, 2)
    expected = session.run({"x": np.ascontiguousarray(view)})[0]
    np.testing.assert_array_equal(session.run({"x": view})[0], expected)


def test_inputs_that_the_graph_does_not_have_are_named(graph):
    with pytest.raises(ExportError, match=r"takes the inputs \['x'\], not \['a', 'b'\]"):
        load(graph[1]).run({"a": noise(1, 3, 8, 8), "b": noise(1)})


def test_an_input_that_does_not_fit_is_told_and_the_session_survives(graph):
    session = load(graph[1])
    session.run({"x": noise(1, 3, 8, 8)})
    with pytest.raises(ExportError, match=r"fails on inputs of shape x \(1, 5, 8, 8\)"):
        session.run({"x": noise(1, 5, 8, 8)})
    assert session.run({"x": noise(1, 3, 8, 8)})[0].shape == (1, 4, 8, 8)


def test_settings_that_fail_at_the_first_run_are_left_for_safer_ones(graph, monkeypatch):
    attempts = []
    run_once = PaddleSession._run_once

    def fail_at_first(self, inputs):
        attempts.append(self._attempt)
        if self._attempt < 2:
            raise NotImplementedError("(Unimplemented) no such attribute")
        return run_once(self, inputs)

    monkeypatch.setattr(PaddleSession, "_run_once", fail_at_first)
    session = load(graph[1])
    assert session.run({"x": noise(1, 3, 8, 8)})[0].shape == (1, 4, 8, 8)
    session.run({"x": noise(1, 3, 8, 8)})
    assert attempts == [0, 1, 2, 2]


def test_an_input_that_fails_at_first_does_not_cost_the_fast_settings(graph):
    session, fresh = load(graph[1]), load(graph[1])
    with pytest.raises(ExportError):
        session.run({"x": noise(1, 5, 8, 8)})
    for each in (session, fresh):
        each.run({"x": noise(1, 3, 8, 8)})
    assert session.session._attempt == fresh.session._attempt


def test_damaged_weights_are_told(export):
    params = export / "inference.pdiparams"
    params.write_bytes(params.read_bytes()[:20])
    with pytest.raises(ExportError, match="cannot load the graph"):
        load(export)


@pytest.mark.parametrize("end", [".json", ".pdmodel"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04pickled", b"<html>", None])
def test_a_graph_of_another_kind_than_its_name_is_told(export, end, content):
    program = find_export(export).program
    graph = program.with_suffix(end)
    if content is None:  # of the other kind
        content = b"\n\x07" if end == ".json" else b'{"base_code": {}}'
    program.rename(graph)
    graph.write_bytes(content)
    # Paddle before 3 reads no JSON at all
    with pytest.raises(ExportError, match=r"is no (JSON|ProgramDesc)|cannot read .*\.json"):
        load(export)


def test_missing_weights_are_told_before_paddle_is_asked(export):
    (export / "inference.pdiparams").unlink()
    reason = PaddleInference().refusal(ModelSource(export_dir=export))
    assert "inference.pdiparams is not" in reason


def test_a_json_graph_is_not_given_to_a_paddle_that_cannot_read_it(export, monkeypatch):
    program = find_export(export).program
    program.rename(program.with_suffix(".json"))
    monkeypatch.delattr(paddle.base.core, "deserialize_pir_program", raising=False)
    reason = PaddleInference().refusal(ModelSource(export_dir=export))
    assert "takes Paddle 3 or newer" in reason
