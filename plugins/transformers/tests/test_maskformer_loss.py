"""The loss of MaskFormer, on segments made by hand."""

import numpy as np
import paddle
import pytest

from segcore.config.schema import Config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError, LabelError
from segcore.nn.losses.sum import SumOfLosses
from segcore_transformers.maskformer_loss import MaskFormerLoss

LABEL = np.array([[0, 0, 2, 2]] * 4)


def segments(classes, masks, num_classes=3, sureness=20.0):
    """Give one image's segments: each is surely of its class (None: nothing) and its mask."""
    logits = np.full((1, len(classes), num_classes + 1), -sureness, np.float32)
    for query, number in enumerate(classes):
        logits[0, query, num_classes if number is None else number] = sureness
    drawn = np.where(np.asarray(masks), sureness, -sureness).astype(np.float32)[None]
    return {
        "pred_logits": paddle.to_tensor(logits, stop_gradient=False),
        "pred_masks": paddle.to_tensor(drawn, stop_gradient=False),
    }


def loss_of(outputs, label=LABEL, **options):
    return MaskFormerLoss(**options)(outputs, paddle.to_tensor(label[None]))


def right_segments():
    return segments([2, None, 0], [LABEL == 2, LABEL == 1, LABEL == 0])


def test_right_segments_in_any_order_cost_nothing():
    assert float(loss_of(right_segments())) == pytest.approx(0, abs=1e-5)


def test_a_wrong_class_costs_its_share_of_the_queries():
    """Two queries match with a weight of 1, one is nothing with a weight of 0.1."""
    outputs = segments([1, None, 0], [LABEL == 2, LABEL == 1, LABEL == 0], sureness=5.0)
    outputs["pred_masks"] = right_segments()["pred_masks"]
    assert float(loss_of(outputs)) == pytest.approx(10 / 2.1, rel=1e-3)


def test_a_wrong_mask_costs_focal_and_dice_loss():
    """Of two masks one misses half of its 8 pixels: Dice is 1 - (2 * 4 + 1) / (4 + 8 + 1)."""
    half = (LABEL == 2) & (np.arange(4) == 3)
    outputs = segments([2, None, 0], [half, LABEL == 1, LABEL == 0])
    dice = (1 - 9 / 13) / 2
    focal = 0.25 * 20.0 * 4 / 16 / 2
    assert float(loss_of(outputs)) == pytest.approx(20 * focal + dice, rel=1e-4)
    assert float(loss_of(outputs, mask_weight=0.0)) == pytest.approx(dice, rel=1e-4)
    assert float(loss_of(outputs, dice_weight=0.0)) == pytest.approx(20 * focal, rel=1e-4)


def test_every_decoder_layer_counts():
    wrong = segments([1, None, 0], [LABEL == 2, LABEL == 1, LABEL == 0], sureness=5.0)
    alone = float(loss_of({**wrong, "aux_outputs": []}))
    assert float(loss_of({**right_segments(), "aux_outputs": [wrong, wrong]})) == pytest.approx(
        2 * alone, rel=1e-4
    )


def test_masks_may_be_coarser_than_labels():
    label = np.kron(LABEL, np.ones((4, 4), int))
    assert 0 < float(loss_of(right_segments(), label)) < 10


def test_ignored_pixels_belong_to_no_mask():
    label = LABEL.copy()
    label[:, 3] = 255
    outputs = segments([2, None, 0], [label == 2, label == 1, label == 0])
    assert float(loss_of(outputs, label)) == pytest.approx(0, abs=1e-5)


def test_nothing_but_ignored_pixels_cost_nothing_and_teach_nothing():
    outputs = right_segments()
    loss = loss_of(outputs, np.full((4, 4), 9), ignore_index=9)
    loss.backward()
    assert float(loss) == 0
    assert not outputs["pred_logits"].grad.any()
    assert not outputs["pred_masks"].grad.any()


def test_an_image_without_targets_learns_that_there_is_nothing():
    """The batch's other image is right already."""
    right = right_segments()
    outputs = {key: paddle.concat([value, value]) for key, value in right.items()}
    labels = paddle.to_tensor(np.stack([LABEL, np.full((4, 4), 255)]))
    # of weights 1, 0.1, 1 and three times 0.1, two segments of the second image are wrong
    assert float(MaskFormerLoss()(outputs, labels)) == pytest.approx(0.2 * 40 / 2.4, rel=1e-4)


def test_more_classes_than_queries_leave_some_out():
    label = np.arange(16).reshape(4, 4) % 3
    outputs = segments([1], [label == 1])
    assert np.isfinite(float(loss_of(outputs, label)))


def test_a_class_that_the_network_lacks_is_refused():
    label = LABEL.copy()
    label[0, 0] = 3
    with pytest.raises(LabelError, match=r"class 3, .* 3 classes"):
        loss_of(right_segments(), label)


def test_logits_of_another_network_are_refused():
    with pytest.raises(ConfigError, match="MaskFormerLoss compares segments"):
        loss_of(paddle.zeros([1, 3, 4, 4]))


def test_segments_that_are_not_numbers_give_no_number_back():
    outputs = right_segments()
    outputs["pred_masks"] = outputs["pred_masks"] * float("nan")
    assert np.isnan(float(loss_of(outputs)))


def test_a_configuration_names_the_loss():
    train = {"losses": [{"type": "MaskFormerLoss", "eos_coef": 0.2}]}
    config = Config.model_validate(
        {"model": {"name": "any"}, "data": {"ignore_index": 7}, "train": train}
    )
    total = SumOfLosses.from_config(config, get_catalogue())
    assert total.terms[0].loss.eos_coef == 0.2
    assert total.terms[0].loss.ignore_index == 7
    labels = paddle.to_tensor(LABEL[None])
    assert float(total(right_segments(), labels)["loss"]) == pytest.approx(0, abs=1e-5)
