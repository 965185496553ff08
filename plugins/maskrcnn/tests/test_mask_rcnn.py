"""Mask R-CNN in training and in prediction, on images of any size with any number of objects."""

import numpy as np
import paddle
import pytest

from segcore.errors import ConfigError
from segcore_maskrcnn.build import build_mask_rcnn

LOSSES = {"loss_rpn_cls", "loss_rpn_reg", "loss_bbox_cls", "loss_bbox_reg", "loss_mask"}


def train(network, batch):
    """Run a training step without an update; give losses and gradients."""
    network.train()
    losses = network(batch)
    network.clear_gradients()
    sum(losses.values()).backward()
    gradients = {k: p.grad for k, p in network.named_parameters() if not p.stop_gradient}
    return {key: float(value) for key, value in losses.items()}, gradients


@paddle.no_grad()
def predict(network, batch):
    network.eval()
    found = network({key: batch[key] for key in ("image", "im_shape", "scale_factor")})
    return {key: value.numpy() for key, value in found.items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "with_fpn": False,
            "anchor_sizes": [16, 32],
            "rcnn_batch_size_per_im": 4,
            "test_post_nms_top_n": 4,
        },
        {"with_dcn": True},
        {"norm": "group", "freeze_at": -1},
        {"rpn_cls_loss": "SigmoidFocalLoss", "rcnn_bbox_loss": "CIoULoss"},
        {"bbox_assigner": "LibraBBoxAssigner", "rcnn_bbox_loss": "SmoothL1Loss"},
    ],
    ids=["plain", "one map", "deformable", "group norm", "focal and CIoU", "Libra"],
)
def test_training_gives_losses_and_prediction_objects(build, draw, options):
    network, batch = build(**options), draw(images=2)
    losses, gradients = train(network, batch)
    assert set(losses) == LOSSES
    assert all(np.isfinite(value) and value > 0 for value in losses.values())
    assert all(gradient is not None for gradient in gradients.values())
    found = predict(network, batch)
    assert found["bbox_num"].sum() == len(found["bbox"]) == len(found["mask"]) > 0
    assert found["mask"].shape[1:] == (64, 96)
    assert set(np.unique(found["mask"])) <= {0, 1}
    assert (found["bbox"][:, 2:] >= 0).all()
    assert (found["bbox"][:, 2:] <= (96, 64, 96, 64)).all()


def test_images_without_objects_teach_boxes_and_masks_nothing(build, draw):
    batch = draw(images=2, objects=0)
    losses, gradients = train(build(), batch)
    assert losses["loss_rpn_reg"] == losses["loss_bbox_reg"] == losses["loss_mask"] == 0
    assert losses["loss_rpn_cls"] > 0
    assert losses["loss_bbox_cls"] > 0
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients.values())


def test_an_image_without_objects_may_stand_beside_others(build, draw):
    batch, empty = draw(images=2), draw(images=1, objects=0)
    for key in ("gt_bbox", "gt_class", "gt_mask", "is_crowd"):
        batch[key][1] = empty[key][0]
    losses, _ = train(build(), batch)
    assert all(np.isfinite(value) and value > 0 for value in losses.values())


def test_crowds_do_not_count(build, draw):
    batch, alone = draw(objects=2), draw(objects=2)
    batch["is_crowd"] = [np.array([False, True])]
    alone = {
        k: [v[0][:1]] if k.startswith("gt") else v for k, v in alone.items() if k != "is_crowd"
    }
    network = build(use_random=False)
    assert train(network, batch)[0] == train(network, alone)[0]


def test_a_seed_repeats_a_step_bit_for_bit(build, draw):
    network, batch = build(), draw(images=2)
    losses = []
    for seed in (7, 8, 7):
        paddle.seed(seed)
        losses.append(train(network, batch)[0])
    assert losses[0] == losses[2] != losses[1]


def test_masks_may_be_bitmaps(build, draw):
    batch = draw()
    boxes = np.round(batch["gt_bbox"][0] / 4) * 4
    batch["gt_bbox"] = [boxes]
    polygons = [[np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])] for x1, y1, x2, y2 in boxes]
    bitmaps = []
    for x1, y1, x2, y2 in boxes.astype(int):
        bitmaps.append(np.zeros((64, 96), np.uint8))
        bitmaps[-1][y1:y2, x1:x2] = 1
    network = build(use_random=False)
    found = [train(network, {**batch, "gt_mask": [masks]})[0] for masks in (polygons, bitmaps)]
    # outlines and pixels decide differently about cells that are cut in half
    assert found[0]["loss_mask"] == pytest.approx(found[1]["loss_mask"], rel=0.05)


def test_nothing_found_is_nothing_given(build, draw):
    found = predict(build(score_threshold=1.0), draw(images=2))
    assert found["bbox"].shape == (0, 6)
    assert found["bbox_num"].tolist() == [0, 0]
    assert found["mask"].shape == (0, 64, 96)


@pytest.mark.parametrize("kind", ["MultiClassNMS", "MultiClassSoftNMS", "MatrixNMS"])
def test_images_of_a_batch_do_not_know_each_other(build, draw, kind):
    network, batch = build(rcnn_nms=kind), draw(images=2)
    together = predict(network, batch)
    rows = []
    for image in range(2):
        one = {k: batch[k][image : image + 1] for k in ("image", "im_shape", "scale_factor")}
        rows.append(predict(network, one)["bbox"])
    assert together["bbox_num"].tolist() == [len(of_image) for of_image in rows]
    np.testing.assert_allclose(together["bbox"], np.concatenate(rows), rtol=1e-4, atol=1e-3)


def test_results_are_in_pixels_of_the_original_image(build, draw):
    network, batch = build(), draw()
    plain = predict(network, batch)
    batch["scale_factor"] = paddle.to_tensor([[0.5, 0.25]])
    scaled = predict(network, batch)
    np.testing.assert_allclose(
        scaled["bbox"][:, 2:], plain["bbox"][:, 2:] * [4, 2, 4, 2], rtol=1e-5
    )
    assert scaled["mask"].shape[1:] == (128, 384)


@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
def test_images_may_have_any_size(build, draw, size):
    network, batch = build(), draw(*size, objects=1)
    assert predict(network, batch)["mask"].shape[1:] == size
    assert all(np.isfinite(value) for value in train(network, batch)[0].values())


def test_small_images_fit_the_pyramid_of_hrnet(build, draw):
    network = build(backbone="HRNet_W18")
    assert predict(network, draw(20, 70))["mask"].shape[1:] == (20, 70)


def test_only_what_may_learn_learns(build):
    def names(**options):
        network = build(**options)
        return {k for k, p in network.named_parameters() if not p.stop_gradient}

    usual = names()
    assert not any(key.startswith(("backbone.conv1", "backbone.res2")) for key in usual)
    assert not any(".norm." in key for key in usual)
    scratch = names(norm="batch", freeze_at=-1)
    assert {"backbone.conv1.conv1.conv.weight", "backbone.conv1.conv1.norm.weight"} <= scratch


def test_a_backbone_of_another_plugin_says_what_to_install(monkeypatch):
    from segcore.discovery.catalogue import DISABLE_VARIABLE

    monkeypatch.setenv(DISABLE_VARIABLE, "hrnet")
    with pytest.raises(Exception, match="segcore-hrnet"):
        build_mask_rcnn(2, backbone="HRNet_W18")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "HRNet_W18", "with_dcn": True}, "with_dcn=true needs one of the backbones"),
        ({"backbone": "HRNet_W18", "with_fpn": False}, "with_fpn=false needs one of"),
        ({"backbone": "STDC1"}, r"strides \[.*\]; Mask R-CNN needs \[4, 8, 16, 32\]"),
        ({"backbone": "ResNet18", "anchor_sizes": [32, 64]}, "there are 5 feature maps"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_mask_rcnn(2, **options)
