"""Sliding windows and averaged views of PP-LiteSeg-T agree with PaddleSeg's."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from segcore import build_model
from segcore.tasks.restore import restore_logits
from segcore.tasks.sliding import AugmentedViews, SlidingWindows
from segcore.testing.parity import Reference, fill_network, reference_image

DATA = Path(__file__).parent / "data"
# float32 in another order of summation: see `recommended` of PP-LiteSeg-T in the reference
RELATIVE_ERROR = 5e-5


class Session:
    """The network behind the interface of inference runtimes."""

    def __init__(self, network):
        self.network = network

    def run(self, inputs):
        with paddle.no_grad():
            return [self.network(paddle.to_tensor(inputs["x"]))[0].numpy()]


@pytest.fixture(scope="module")
def session():
    network = build_model("PP-LiteSeg-T", num_classes=19)
    fill_network(network, Reference.read(DATA, "PP-LiteSeg-T").fill_scale)
    network.eval()
    return Session(network)


@pytest.fixture(scope="module")
def expected():
    with np.load(DATA / "PP-LiteSeg-T.inference.npz") as arrays:
        return dict(arrays)


def assert_agrees(logits, stored, classes):
    """Compare every fifth channel and eighth pixel, and the class of every pixel."""
    found = logits[:, ::5, ::8, ::8]
    assert np.linalg.norm(found - stored) <= RELATIVE_ERROR * np.linalg.norm(stored)
    assert (logits[0].argmax(axis=0) != classes).mean() <= 1e-4


@pytest.mark.parametrize(
    ("name", "size", "windows"),
    [
        ("crop128_stride85", (200, 300), ((128, 128), (85, 85))),
        ("crop160x96_stride100x64", (200, 300), ((160, 96), (100, 64))),
        ("short_side_100x300", (100, 300), ((128, 128), (85, 85))),
    ],
)
def test_sliding_windows_agree(session, expected, name, size, windows):
    crop, stride = windows
    logits = SlidingWindows(session, crop, stride).run({"x": reference_image(*size)})[0]
    assert_agrees(logits, expected[f"{name}_logits"], expected[f"{name}_argmax"])


def test_logits_brought_back_to_another_size_agree(session, expected):
    logits = session.run({"x": reference_image(128, 256)})[0][0]
    restored = restore_logits(logits, [("resize", (100, 210))])[None]
    assert_agrees(
        restored, expected["inference_resized_logits"], expected["inference_resized_pred"]
    )


def test_views_at_three_scales_and_flipped_agree(session, expected):
    views = AugmentedViews(session, (0.75, 1.0, 1.25), flip_horizontal=True)
    logits = views.run({"x": reference_image(128, 256)})[0]
    assert_agrees(logits, expected["aug_inference_logits"], expected["aug_inference_pred"])
