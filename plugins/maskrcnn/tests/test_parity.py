"""Mask R-CNN computes what PaddleDetection's does, number for number.

The numbers of ResNet18 come from PaddleDetection, run under PaddlePaddle 3.3.1 on a CPU like the
others. `b_` is the same image with another `scale_factor`; of its masks the first two are stored.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from segcore.testing.parity import fill_network, reference_image
from segcore_maskrcnn.build import build_mask_rcnn

DATA = Path(__file__).parent / "data"
TRAINING = json.loads((DATA / "training.json").read_text())
BACKBONES = (
    "ResNet18",
    "ResNet50_vd",
    "HRNet_W18",
    # has nothing that one of the others has not
    pytest.param("ResNet50", marks=pytest.mark.slow),
)
STEPS = {"backbone": (4, 2, 1, 1), "neck": (4, 2, 1, 1, 1), "rpn": (4, 2, 1, 1, 1)}

# float32 in another order of summation: `recommended` of the reference
BOUND = 1e-4


@pytest.fixture(scope="module", params=BACKBONES)
def case(request):
    """A filled network, its layout and what the reference gives for the image."""
    name = f"MaskRCNN-{request.param}-FPN"
    layout = json.loads(gzip.decompress((DATA / f"{name}.layout.json.gz").read_bytes()))
    with np.load(DATA / f"{name}.npz") as arrays:
        expected = dict(arrays)
    network = build_mask_rcnn(80, backbone=request.param, use_random=False)
    fill_network(network, layout["fill_scale"])
    return name, network, layout, expected


def inputs(scale=(1.0, 1.0)):
    return {
        "image": paddle.to_tensor(reference_image(192, 256, seed=5)),
        "im_shape": paddle.to_tensor([[192.0, 256.0]]),
        "scale_factor": paddle.to_tensor([list(scale)]),
    }


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) <= BOUND * np.linalg.norm(expected)


def assert_found(rows, expected):
    """98 % of the expected rows have a like within 0.05 pixel; near-ties decide about the rest."""
    apart = np.abs(rows[:, None] - expected[None]).max(axis=2)
    assert (apart.min(axis=0) <= 0.05).mean() >= 0.98


def test_the_state_dict_is_that_of_the_published_weights(case):
    _, network, layout, _ = case
    found = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert found == {key: shape for key, shape, _ in layout["entries"]}


@paddle.no_grad()
def test_maps_anchors_and_proposals_are_those_of_the_reference(case):
    _, network, _, expected = case
    network.eval()
    body = network.backbone(inputs()["image"])
    features = network.neck(body)
    scores, deltas, anchors = network.rpn_head(features)
    maps = {"backbone": body, "neck": features, "rpn_score": scores, "rpn_delta": deltas}
    for kind, found in maps.items():
        for level, step in enumerate(STEPS[kind.split("_")[0]]):
            channels = 8 if "_" not in kind else None
            sample = found[level].numpy()[:, :channels, ::step, ::step]
            assert_close(sample, expected[f"a_{kind}{level}"])
    for level, grid in enumerate(anchors):
        assert_close(grid.numpy()[:12], expected[f"a_anchors{level}_first12"])
        assert_close(grid.numpy()[-3:], expected[f"a_anchors{level}_last3"])
    boxes, counts = network.rpn_head.propose(scores, deltas, anchors, inputs()["im_shape"])
    assert counts.tolist() == expected["a_rois_num"].tolist()
    assert_found(boxes.numpy(), expected["a_rois"])


@paddle.no_grad()
def test_heads_give_on_fixed_boxes_what_the_reference_gives(case):
    _, network, _, expected = case
    network.eval()
    features = network._features(inputs()["image"])
    boxes, count = paddle.to_tensor(expected["a_fixed_rois"]), paddle.to_tensor([16], "int32")
    seen = network._within(features, boxes, count)
    assert_close(seen.numpy()[:, :4], expected["a_fixed_roi_feat7"])
    scores, deltas, _ = network.bbox_head(seen)
    assert_close(scores.numpy(), expected["a_fixed_bbox_score_logits"])
    assert_close(deltas.numpy()[:, :64], expected["a_fixed_bbox_delta"])
    seen = network._within(features, boxes, count, for_masks=True)
    assert_close(seen.numpy()[:4, :2], expected["a_fixed_roi_feat14"])
    logits = network.mask_head(seen).numpy()
    assert_close(logits[:4, :8, ::2, ::2], expected["a_fixed_mask_logits"])


@pytest.fixture(scope="module")
def found_objects(case):
    """What the network finds before it is scaled, which takes longest."""
    _, network, _, _ = case
    network.eval()
    with paddle.no_grad():
        return network._find(inputs()["image"], inputs()["im_shape"])


@pytest.mark.parametrize(("tag", "scale"), [("a", (1.0, 1.0)), ("b", (0.5, 0.4))])
@paddle.no_grad()
def test_objects_are_those_of_the_reference(case, found_objects, tag, scale, monkeypatch):
    _, network, _, expected = case
    network.eval()
    monkeypatch.setattr(network, "_find", lambda *_: found_objects)
    found = network(inputs(scale))
    assert found["bbox_num"].tolist() == expected[f"{tag}_bbox_num"].tolist()
    assert found["mask"].shape == expected[f"{tag}_mask_shape"].tolist()
    rows = found["bbox"].numpy()
    assert_found(rows, expected[f"{tag}_bbox"])
    masks = found["mask"].numpy().astype(np.uint8)
    for number, packed in enumerate(expected[f"{tag}_mask_packed_first8"]):
        apart = np.abs(rows - expected[f"{tag}_bbox"][number]).max(axis=1)
        mask = np.unpackbits(packed, axis=-1)[:, : masks.shape[2]]
        # a pixel whose probability is a half may go either way
        assert (masks[apart.argmin()] != mask).sum() <= 3


def test_a_training_step_is_that_of_the_reference(case):
    name, network, _, _ = case
    if name not in TRAINING["cases"]:
        pytest.skip("the reference has no training of this one")
    expected = TRAINING["cases"][name]
    network.train()
    polygons = [[np.reshape(points, (-1, 2))] for points in TRAINING["gt_polygons"]]
    losses = network(
        {
            **inputs(),
            "gt_bbox": [np.array(TRAINING["gt_bbox"], np.float32)],
            "gt_class": [np.array(TRAINING["gt_class"])],
            "gt_mask": [polygons],
            "is_crowd": [np.zeros(4, np.int64)],
        }
    )
    for key, value in losses.items():
        assert float(value) == pytest.approx(expected["losses"][key], rel=2e-5), key
    network.clear_gradients()
    sum(losses.values()).backward()
    norms = {
        key: np.linalg.norm(p.grad.numpy().astype(np.float64))
        for key, p in network.named_parameters()
        if p.grad is not None
    }
    assert len(norms) == expected["params_with_grad"]
    assert np.linalg.norm(list(norms.values())) == pytest.approx(expected["grad_norm"], rel=1e-3)
    for key, value in expected["grad_norms"].items():
        assert norms[key] == pytest.approx(value, rel=3e-2), key
