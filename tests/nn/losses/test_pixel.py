"""Networks that give something else than logits in training, such as segments."""

import paddle
import pytest
from paddle import nn

from segcore.errors import ConfigError
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.nn.losses.sum import SumOfLosses, Term

SEGMENTS = {"pred_logits": paddle.ones([1, 2, 4]), "pred_masks": paddle.ones([1, 2, 8, 8])}
LABELS = paddle.zeros([1, 8, 8], "int64")


class SegmentLoss(nn.Layer):
    def forward(self, outputs, labels):
        return outputs["pred_logits"].sum()


def test_a_mapping_goes_to_the_loss_as_a_whole():
    total = SumOfLosses([Term("Segments", SegmentLoss(), 0.5)])(SEGMENTS, LABELS)
    assert float(total["loss"]) == 4.0


def test_a_loss_of_pixels_refuses_a_mapping_by_its_keys():
    total = SumOfLosses([Term("CE", CrossEntropyLoss())])
    with pytest.raises(ConfigError, match=r"train\.losses: .*pred_logits, pred_masks"):
        total(SEGMENTS, LABELS)
