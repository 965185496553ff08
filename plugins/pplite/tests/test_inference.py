"""Sliding windows and averaged views of PP-LiteSeg-T agree with PaddleSeg's."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from segcore import build_model
from segcore.tasks.restore import restore_logits
from segcore.tasks.sliding import AugmentedViews, SlidingWindows
from segcore.testing.parity import Agreement, Reference, reference_image

DATA = Path(__file__).parent / "data"
pytestmark = pytest.mark.parity


class Session:
    """The network behind the interface of inference runtimes."""

    def __init__(self, network):
        self.network = network

    def run(self, inputs):
        images = paddle.to_tensor(inputs["x"], paddle.get_default_dtype())
        with paddle.no_grad():
            return [self.network(images)[0].numpy()]


@pytest.fixture(scope="module")
def network():
    return build_model("PP-LiteSeg-T", num_classes=19)


def check(network, name, classes, infer):
    """Compare every fifth channel and eighth pixel of what `infer` gives, and all classes."""
    reference = Reference.read(DATA, "PP-LiteSeg-T")
    with np.load(DATA / "PP-LiteSeg-T.inference.npz") as arrays:
        expected = {"logits": arrays[f"{name}_logits"], "classes": arrays[f"{name}_{classes}"]}

    def run(network):
        network.eval()
        logits = infer(Session(network))
        return {"logits": logits[:, ::5, ::8, ::8], "classes": logits[0].argmax(axis=0)}

    name = f"PP-LiteSeg-T: {name}"
    Agreement(name, network, reference.fill_scale, run, expected, DATA).check()


@pytest.mark.parametrize(
    ("name", "size", "windows"),
    [
        ("crop128_stride85", (200, 300), ((128, 128), (85, 85))),
        ("crop160x96_stride100x64", (200, 300), ((160, 96), (100, 64))),
        ("short_side_100x300", (100, 300), ((128, 128), (85, 85))),
    ],
)
def test_sliding_windows_agree(network, name, size, windows):
    crop, stride = windows
    image = {"x": reference_image(*size)}
    check(network, name, "argmax", lambda s: SlidingWindows(s, crop, stride).run(image)[0])


def test_logits_brought_back_to_another_size_agree(network):
    def infer(session):
        logits = session.run({"x": reference_image(128, 256)})[0][0]
        return restore_logits(logits, [("resize", (100, 210))])[None]

    check(network, "inference_resized", "pred", infer)


def test_views_at_three_scales_and_flipped_agree(network):
    def infer(session):
        views = AugmentedViews(session, (0.75, 1.0, 1.25), flip_horizontal=True)
        return views.run({"x": reference_image(128, 256)})[0]

    check(network, "aug_inference", "pred", infer)
