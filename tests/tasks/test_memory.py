"""What does not fit into memory is refused before it is asked for, with the ways out."""

import numpy as np
import paddle
import pytest

from segcore import create_model
from segcore.errors import ExhaustedError
from segcore.tasks import memory
from segcore.tasks.memory import free_bytes, require_memory, running_out_told


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
