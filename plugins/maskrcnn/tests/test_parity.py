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

from segcore.testing.parity import Agreement, gradient_norms, reference_image
from segcore_maskrcnn.build import build_mask_rcnn

pytestmark = pytest.mark.parity

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
NEAR_PX = 0.05


@pytest.fixture(scope="module", params=BACKBONES)
def case(request):
    """A network, its layout and what the reference gives for the image."""
    name = f"MaskRCNN-{request.param}-FPN"
    layout = json.loads(gzip.decompress((DATA / f"{name}.layout.json.gz").read_bytes()))
    with np.load(DATA / f"{name}.npz") as arrays:
        expected = dict(arrays)
    return name, build_mask_rcnn(80, backbone=request.param, use_random=False), layout, expected


def check(case, what, run, expected, *, has_choices=False):
    name, network, layout, _ = case
    agreement = Agreement(
        f"{name}: {what}", network, layout["fill_scale"], run, expected, DATA, has_choices
    )
    agreement.check()


def inputs(scale=(1.0, 1.0)):
    values = {
        "image": reference_image(192, 256, seed=5),
        "im_shape": [[192.0, 256.0]],
        "scale_factor": [list(scale)],
    }
    dtype = paddle.get_default_dtype()
    return {name: paddle.to_tensor(value, dtype) for name, value in values.items()}


def are_found(rows, expected):
    """Say of each of `expected` (M, C) whether `rows` (K, C) have one like it."""
    return np.abs(rows[:, None] - expected[None]).max(axis=2).min(axis=0) <= NEAR_PX


def test_the_state_dict_is_that_of_the_published_weights(case):
    _, network, layout, _ = case
    found = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert found == {key: shape for key, shape, _ in layout["entries"]}


def test_maps_and_anchors_are_those_of_the_reference(case):
    def run(network):
        network.eval()
        with paddle.no_grad():
            body = network.backbone(inputs()["image"])
            features = network.neck(body)
            scores, deltas, anchors = network.rpn_head(features)
        found = {}
        maps = {"backbone": body, "neck": features, "rpn_score": scores, "rpn_delta": deltas}
        for kind, levels in maps.items():
            for level, step in enumerate(STEPS[kind.split("_")[0]]):
                channels = 8 if "_" not in kind else None
                found[f"{kind}{level}"] = levels[level].numpy()[:, :channels, ::step, ::step]
        for level, grid in enumerate(anchors):
            found[f"anchors{level}_first12"] = grid.numpy()[:12]
            found[f"anchors{level}_last3"] = grid.numpy()[-3:]
            found[f"anchors{level}_count"] = len(grid)
        return found

    stored = {name.removeprefix("a_"): value for name, value in case[3].items()}
    kinds = ("backbone", "neck", "rpn_score", "rpn_delta", "anchors")
    expected = {
        name: value
        for name, value in stored.items()
        if name.startswith(kinds) and not name.endswith("_stats")
    }
    # how many anchors there are is not known of ResNet18
    assert len(expected) in (4 + 3 * 5 + 2 * 5, 4 + 3 * 5 + 3 * 5)
    check(case, "maps", run, expected)


def test_proposals_are_those_of_the_reference(case):
    boxes = case[3]["a_rois"]

    def run(network):
        network.eval()
        with paddle.no_grad():
            features = network._features(inputs()["image"])
            found, counts = network._propose(features, inputs()["im_shape"])[3:]
        return {"count": counts.numpy(), "boxes": are_found(found.numpy(), boxes)}

    expected = {"count": case[3]["a_rois_num"], "boxes": np.ones(len(boxes), bool)}
    check(case, "proposals", run, expected, has_choices=True)


def test_heads_give_on_fixed_boxes_what_the_reference_gives(case):
    stored = case[3]

    def run(network):
        network.eval()
        boxes = paddle.to_tensor(stored["a_fixed_rois"], paddle.get_default_dtype())
        count = paddle.to_tensor([16], "int32")
        with paddle.no_grad():
            features = network._features(inputs()["image"])
            small = network._within(features, boxes, count)
            scores, deltas, _ = network.bbox_head(small)
            large = network._within(features, boxes, count, for_masks=True)
            logits = network.mask_head(large)
        return {
            "roi_feat7": small.numpy()[:, :4],
            "bbox_score_logits": scores.numpy(),
            "bbox_delta": deltas.numpy()[:, :64],
            "roi_feat14": large.numpy()[:4, :2],
            "mask_logits": logits.numpy()[:4, :8, ::2, ::2],
        }

    fixed = {name.removeprefix("a_fixed_"): value for name, value in stored.items()}
    names = ("roi_feat7", "bbox_score_logits", "bbox_delta", "roi_feat14", "mask_logits")
    check(case, "heads", run, {name: fixed[name] for name in names})


@pytest.mark.parametrize(("tag", "scale"), [("a", (1.0, 1.0)), ("b", (0.5, 0.4))])
def test_objects_are_those_of_the_reference(case, tag, scale):
    rows, area = case[3][f"{tag}_bbox"], case[3][f"{tag}_mask_shape"]
    packed = case[3][f"{tag}_mask_packed_first8"]

    def run(network):
        network.eval()
        with paddle.no_grad():
            found = network(inputs(scale))
        bbox, mask = found["bbox"].numpy(), found["mask"].numpy()
        nearest = [np.abs(bbox - row).max(axis=1).argmin() for row in rows[: len(packed)]]
        return {
            "count": found["bbox_num"].numpy(),
            "canvas": np.array(mask.shape),
            "rows": are_found(bbox, rows),
            "masks": mask[nearest].astype(bool),
        }

    expected = {
        "count": case[3][f"{tag}_bbox_num"],
        "canvas": area,
        "rows": np.ones(len(rows), bool),
        "masks": np.unpackbits(packed, axis=-1)[..., : area[2]].astype(bool),
    }
    check(case, f"objects {tag}", run, expected, has_choices=True)


def test_a_training_step_is_that_of_the_reference(case):
    name = case[0]
    if name not in TRAINING["cases"]:
        pytest.skip("the reference has no training of this one")
    known = TRAINING["cases"][name]

    def run(network):
        network.train()
        polygons = [[np.reshape(points, (-1, 2))] for points in TRAINING["gt_polygons"]]
        losses = network(
            {
                **inputs(),
                "gt_bbox": [np.array(TRAINING["gt_bbox"])],
                "gt_class": [np.array(TRAINING["gt_class"])],
                "gt_mask": [polygons],
                "is_crowd": [np.zeros(4, np.int64)],
            }
        )
        norms = gradient_norms(network, sum(losses.values()))
        return {
            **{key: float(value) for key, value in losses.items()},
            "trained": len(norms),
            "gradient": np.linalg.norm(list(norms.values())),
            **{f"gradient of {key}": norms[key] for key in known["grad_norms"]},
        }

    expected = {
        **{key: value for key, value in known["losses"].items() if key != "loss"},
        "trained": known["params_with_grad"],
        "gradient": known["grad_norm"],
        **{f"gradient of {key}": value for key, value in known["grad_norms"].items()},
    }
    check(case, "training", run, expected, has_choices=True)
