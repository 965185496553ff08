"""What the GPU backend says of the Paddle that is there."""

import sys
from types import SimpleNamespace

import pytest

from segcore.devices.cpu import CPU
from segcore.devices.gpu import GPU
from segcore.errors import DeviceMissingError, FrameworkMissingError


def paddle_with(*, compiled=True, gpus=0, fault=None):
    """Give a stand-in for paddle that answers as its builds do."""

    def to_tensor(value, place):
        if fault is not None:
            raise RuntimeError(fault)
        return value

    return SimpleNamespace(
        __version__="3.3.1",
        is_compiled_with_cuda=lambda: compiled,
        device=SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: gpus)),
        CUDAPlace=lambda index: f"gpu:{index}",
        to_tensor=to_tensor,
    )


@pytest.mark.parametrize(
    ("paddle", "reason"),
    [
        (paddle_with(compiled=False), "is a CPU build"),
        (paddle_with(gpus=0), "finds no NVIDIA GPU"),
        (
            paddle_with(gpus=1, fault="stack\n(External) no driver"),
            "does not compute: (External) no",
        ),
    ],
)
def test_the_reason_says_what_is_missing(monkeypatch, paddle, reason):
    monkeypatch.setitem(sys.modules, "paddle", paddle)
    assert reason in GPU().unavailable_reason()


def test_a_gpu_that_computes_is_usable(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", paddle_with(gpus=2))
    assert GPU().unavailable_reason() is None
    assert GPU().count() == 2


def test_without_paddle_the_framework_is_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    with pytest.raises(FrameworkMissingError):
        GPU().unavailable_reason()


def test_paddle_inference_that_ignores_the_gpu_is_not_taken_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", paddle_with(compiled=False))
    config = SimpleNamespace(enable_use_gpu=lambda *_: None, use_gpu=lambda: False)
    with pytest.raises(DeviceMissingError, match="is a CPU build"):
        GPU().configure_inference(config, 0)


def test_the_cpu_is_always_there_and_counts_its_memory():
    assert CPU().unavailable_reason() is None
    assert CPU().count() == 1
    assert CPU().peak_memory_bytes(0) > 2**20
