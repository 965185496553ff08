"""Export to Paddle's static graph."""

import numpy as np
import paddle
import pytest

from segcore.devices.cpu import CPU
from segcore.errors import ExportError, OutputError
from segcore.export.write import write_export
from segcore.inference.paddle import PaddleInference
from segcore.protocols import ModelSource


def run(folder, images):
    session = PaddleInference().load(ModelSource(export_dir=folder), CPU(), 0)
    return session.run({"x": images})[0]


def noise(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_the_files_have_the_names_that_paddlex_looks_for(network, task, tmp_path):
    write_export(network, task, tmp_path / "inference")
    names = {path.name for path in (tmp_path / "inference").iterdir()} - {"MANIFEST.json"}
    assert names in (
        {"inference.json", "inference.pdiparams", "inference.yml"},
        {"inference.pdmodel", "inference.pdiparams", "inference.yml"},
    )


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 33, 47), (2, 3, 1, 1)])
def test_batches_and_images_of_any_size_give_the_class_map_of_the_network(
    network, task, tmp_path, shape
):
    write_export(network, task, tmp_path / "inference")
    network.eval()
    images = noise(*shape)
    expected = network(paddle.to_tensor(images))[0].numpy().argmax(axis=1)
    classes = run(tmp_path / "inference", images)
    assert classes.dtype == np.int32
    np.testing.assert_array_equal(classes, expected)


def test_a_network_in_training_stays_in_training(network, task, tmp_path):
    network.norm.eval()  # frozen statistics stay frozen, the rest goes on
    write_export(network, task, tmp_path / "inference")
    assert network.training
    assert network.drop.training
    assert not network.norm.training


def test_a_folder_of_an_earlier_export_is_replaced_whole(network, task, tmp_path):
    output = tmp_path / "inference"
    write_export(network, task, output)
    (output / "evaluate_result.json").write_text('{"written_by": "segcore eval"}')
    before = output.stat().st_ino
    written = write_export(network, task, output)
    assert sorted(output.iterdir()) == sorted(written)
    assert output.stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["inference"]


def test_an_export_leaves_the_folder_of_somebody_else_alone(network, task, tmp_path):
    output = tmp_path / "inference"
    output.mkdir()
    (output / "thesis.txt").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"holds thesis\.txt"):
        write_export(network, task, output)
    assert [path.name for path in tmp_path.rglob("*")] == ["inference", "thesis.txt"]


@pytest.mark.parametrize("name", ["scores of may.json", "kept/evaluate_result.json"])
def test_a_copy_of_an_evaluation_beside_an_export_stays(network, task, tmp_path, name):
    write_export(network, task, tmp_path / "inference")
    copy = tmp_path / "inference" / name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text('{"written_by": "segcore eval"}')
    with pytest.raises(OutputError, match=f"holds {name}"):
        write_export(network, task, tmp_path / "inference")
    assert copy.exists()


def test_what_comes_into_the_folder_during_an_export_stays(network, task, tmp_path, monkeypatch):
    output = tmp_path / "inference"
    write_export(network, task, output)
    wrapped = task.inference_network

    def wrap_and_write(network):
        (output / "notes.txt").write_text("mine")
        return wrapped(network)

    monkeypatch.setattr(task, "inference_network", wrap_and_write)
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        write_export(network, task, output)
    assert (output / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["inference"]


def remove_manifest(output):
    (output / "MANIFEST.json").unlink()


def edit_description(output):
    with (output / "inference.yml").open("a") as file:
        file.write("# mine\n")


def add_link(output):
    (output / "link").symlink_to(output / "inference.yml")


@pytest.mark.parametrize("change", [remove_manifest, edit_description, add_link])
def test_an_export_of_others_or_with_changes_is_not_replaced(network, task, tmp_path, change):
    output = tmp_path / "inference"
    write_export(network, task, output)
    change(output)
    before = sorted(output.iterdir())
    with pytest.raises(OutputError, match="not, or no longer, what this command wrote"):
        write_export(network, task, output)
    assert sorted(output.iterdir()) == before


def test_a_network_that_cannot_be_traced_leaves_the_earlier_export(network, task, tmp_path):
    output = tmp_path / "inference"
    write_export(network, task, output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    network.forward = lambda x: [x.numpy()]  # no graph can leave Paddle in its middle
    with pytest.raises(ExportError, match="cannot be traced"):
        write_export(network, task, output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


class Liar(paddle.nn.Layer):
    """Another class in a graph than out of it."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        shift = 0 if paddle.in_dynamic_mode() else 1
        return paddle.argmax(self.network(x)[0], axis=1, dtype="int32") + shift


def test_a_graph_that_computes_something_else_is_refused(network, task, tmp_path):
    task.inference_network = Liar
    with pytest.raises(ExportError, match=r"differs in 100\.00%"):
        write_export(network, task, tmp_path / "inference")
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_spaces_and_accents_works(network, task, tmp_path):
    write_export(network, task, tmp_path / "modèle n° 1")
    assert run(tmp_path / "modèle n° 1", noise(1, 3, 32, 32)).shape == (1, 32, 32)
