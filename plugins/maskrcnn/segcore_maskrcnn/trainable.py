"""Mask R-CNN as an object that trains and predicts, with the constructor of PaddleX 1.x."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segcore.nn.build import find_backbone
from segcore.trainable import InstanceModel

__all__ = ["MaskRCNN"]

log = logging.getLogger(__name__)

# PaddleX's name of other weights for the same network
_BACKBONES = {"ResNet50_vd_ssld": "ResNet50_vd"}
_OWN = ("ResNet18", "ResNet34", "ResNet50", "ResNet50_vd", "ResNet101", "ResNet101_vd")
_MODELS = {name: f"MaskRCNN-{name}-FPN" for name in (*_OWN, "HRNet_W18") if name != "ResNet34"}
_ANY_BACKBONE = "MaskRCNN-ResNet50-FPN"  # its option `backbone` then names another


class MaskRCNN(InstanceModel):
    """Mask R-CNN on a ResNet or on any registered backbone with strides 4, 8, 16 and 32.

    `num_classes` never counts the background: COCO has 80 classes, where PaddleX 1.x said 81, and a
    dataset as many as it has `labels`. All other parameters and defaults are those of PaddleX 1.x;
    the README of segcore-maskrcnn has a line on each. Norms of the backbone are frozen for
    pretrained weights; to train without any, put "model.options.norm": "batch" and
    "model.options.freeze_at": -1 into `settings`. See `segcore.trainable.InstanceModel` for the
    methods. Raises UnknownNameError for a backbone that nobody offers; other values are checked
    when training begins.
    """

    def __init__(
        self,
        num_classes: int = 80,
        backbone: str = "ResNet50",
        with_fpn: bool = True,
        aspect_ratios: Sequence[float] = [0.5, 1.0, 2.0],
        anchor_sizes: Sequence[float] = [32, 64, 128, 256, 512],
        with_dcn: bool = False,
        rpn_cls_loss: str = "SigmoidCrossEntropy",
        rpn_focal_loss_alpha: float = 0.25,
        rpn_focal_loss_gamma: float = 2,
        rcnn_bbox_loss: str = "SmoothL1Loss",
        rcnn_nms: str = "MultiClassNMS",
        keep_top_k: int = 100,
        nms_threshold: float = 0.5,
        score_threshold: float = 0.05,
        softnms_sigma: float = 0.5,
        bbox_assigner: str = "BBoxAssigner",
        fpn_num_channels: int = 256,
        input_channel: int = 3,
        rpn_batch_size_per_im: int = 256,
        rpn_fg_fraction: float = 0.5,
        test_pre_nms_top_n: int | None = None,
        test_post_nms_top_n: int = 1000,
    ) -> None:
        name = _BACKBONES.get(backbone, backbone)
        if name not in _OWN:
            name = find_backbone(name)
        options: dict[str, Any] = {
            "backbone": name,
            "with_fpn": with_fpn,
            "aspect_ratios": list(aspect_ratios),
            "anchor_sizes": list(anchor_sizes),
            "with_dcn": with_dcn,
            "rpn_cls_loss": rpn_cls_loss,
            "rpn_focal_loss_alpha": rpn_focal_loss_alpha,
            "rpn_focal_loss_gamma": rpn_focal_loss_gamma,
            "rcnn_bbox_loss": rcnn_bbox_loss,
            "rcnn_nms": rcnn_nms,
            "keep_top_k": keep_top_k,
            "nms_threshold": nms_threshold,
            "score_threshold": score_threshold,
            "softnms_sigma": softnms_sigma,
            "bbox_assigner": bbox_assigner,
            "fpn_num_channels": fpn_num_channels,
            "rpn_batch_size_per_im": rpn_batch_size_per_im,
            "rpn_fg_fraction": rpn_fg_fraction,
            "test_pre_nms_top_n": test_pre_nms_top_n,
            "test_post_nms_top_n": test_post_nms_top_n,
        }
        super().__init__(
            _MODELS.get(name, _ANY_BACKBONE),
            num_classes,
            {"data.channels": input_channel, "model.options": options},
        )

    def _weights_to_start_from(self, asked: str | Path | None) -> str | None:
        weights = super()._weights_to_start_from(asked)
        if weights is None and self.settings.get("model.options.norm", "frozen") == "frozen":
            log.warning(
                "%s begins from random weights, and the norms and first layers of its backbone "
                'do not learn: put "model.options.norm": "batch" and "model.options.freeze_at": '
                "-1 into settings, or name pretrain_weights",
                self.name,
            )
        return weights
