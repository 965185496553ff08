"""What does not fit into memory is refused before it is asked for, with the ways out."""

import numpy as np
import paddle
import pytest

from segcore import create_model
from segcore.config.schema import Config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ExhaustedError
from segcore.tasks import memory
from segcore.tasks.instance import InstanceTask
from segcore.tasks.memory import free_bytes, require_memory, running_out_told
from segcore.tasks.sample import Sample


def test_the_lower_of_the_machine_and_the_container_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    assert free_bytes() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes() == 4000 * 1024
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("300\n")
    assert free_bytes() == 700
    require_memory(700, "a picture")
    with pytest.raises(ExhaustedError, match=r"a picture takes .* sliding windows"):
        require_memory(701, "a picture")


@pytest.mark.parametrize("runtime", ["paddle", "eager"])
def test_an_image_that_cannot_fit_is_refused_before_its_run(colour_run, monkeypatch, runtime):
    model = create_model(model_dir=colour_run, device="cpu", runtime=runtime)
    image = np.zeros((100, 200, 3), np.uint8)
    monkeypatch.setattr(memory, "free_bytes", lambda: 100 * 200 * 6 * 4)
    assert len(list(model.predict(image))) == 1
    monkeypatch.setattr(model.session, "run", None)
    with pytest.raises(ExhaustedError, match="array 0: 1 of 201 x 100 px, 3 classes, takes"):
        list(model.predict(np.zeros((100, 201, 3), np.uint8)))


INSTANCES = Config.model_validate({"model": {"name": "any"}, "data": {"num_classes": 2}})
ROWS = np.array([[0, 0.9, 1, 2, 31, 22], [1, 0.8, 0, 0, 40, 30], [-1, 0, 0, 0, 0, 0]], np.float32)


class Graph:
    """Finds three rows in every image, and draws masks in the size of the original."""

    def __init__(self):
        self.canvases = []

    def run(self, inputs):
        canvas = np.rint(inputs["im_shape"] / inputs["scale_factor"]).max(axis=0).astype(int)
        self.canvases.append(tuple(canvas.tolist()))
        return [ROWS, np.array([3]), np.ones((3, *canvas), np.int32)]


class Small:
    def run(self, inputs):
        return [ROWS, np.array([3]), np.ones((3, 7, 7), np.float32)]


def infer(session, size, original):
    sample = Sample(
        np.ones((*size, 3), np.float32), source="photo", geometry=[("resize", original)]
    )
    return InstanceTask(INSTANCES, ("a", "b"), get_catalogue()).infer(session, [sample])


@pytest.fixture
def free(monkeypatch):
    def free(*counts):
        left = list(counts)
        monkeypatch.setattr(memory, "free_bytes", lambda: left.pop(0) if len(left) > 1 else left[0])

    return free


def test_what_an_instance_network_takes_follows_the_size_that_it_sees(free):
    free(64 * 32 * 700)
    assert len(infer(Small(), (60, 30), (60, 30))[0]) == 2
    free(64 * 32 * 700 - 1)
    with pytest.raises(ExhaustedError, match=r"running 1 of 32 x 64 px .*predict\.target"):
        infer(None, (60, 30), (600, 300))


def test_a_graph_that_draws_masks_whole_is_run_where_all_that_there_could_be_fit(free):
    session = Graph()
    free(100 * 600 * 300 * 8)
    assert len(infer(session, (60, 30), (600, 300))[0]) == 2
    assert session.canvases == [(600, 300)]


def test_a_graph_tells_how_many_masks_there_are_before_it_draws_them(free):
    session = Graph()
    free(3 * 600 * 300 * 8)
    found = infer(session, (60, 30), (600, 300))[0]
    assert [mask.height for mask in found.masks] == [600, 600]
    assert session.canvases == [(60, 30), (600, 300)]
    free(3 * 600 * 300 * 8 - 1)
    with pytest.raises(ExhaustedError, match=r"photo: drawing 3 masks of 300 x 600 .* eager"):
        infer(session, (60, 30), (600, 300))
    assert session.canvases[2:] == [(60, 30)]


def test_a_mask_that_is_pasted_takes_as_much_as_its_box(free):
    network, largest = 64 * 32 * 700, 40 * 30 * 8
    free(network, 100 * 600 * 300 * 8, largest)
    assert len(infer(Small(), (60, 30), (600, 300))[0]) == 2
    free(network, 100 * 600 * 300 * 8, largest - 1)
    with pytest.raises(ExhaustedError, match="photo: drawing an object of 1200 px"):
        infer(Small(), (60, 30), (600, 300))


@pytest.mark.parametrize("act", [lambda: np.ones(1 << 58), lambda: paddle.zeros([1 << 48])])
def test_memory_that_runs_out_is_told_with_the_ways_out(act):
    with (
        pytest.raises(ExhaustedError, match=r"on inputs of shape x \(2, 3\): use sliding windows"),
        running_out_told({"x": np.zeros((2, 3))}),
    ):
        act()


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="something else"), running_out_told({}):
        raise RuntimeError("something else")
