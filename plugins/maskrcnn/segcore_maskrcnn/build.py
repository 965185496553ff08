"""Put Mask R-CNN together from its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segcore.errors import ConfigError
from segcore.nn.backbone import Backbone
from segcore.nn.build import backbone_option_names, build_backbone
from segcore_maskrcnn.anchors import AnchorGrid
from segcore_maskrcnn.box_head import BoxHead, BoxLoss, TwoLayers
from segcore_maskrcnn.config import MaskRCNNOptions
from segcore_maskrcnn.mask_head import MaskHead
from segcore_maskrcnn.mask_rcnn import MaskRCNN
from segcore_maskrcnn.nms import Suppression
from segcore_maskrcnn.norm import keep_from_learning, replace_norms
from segcore_maskrcnn.pyramid import FPN, HRFPN
from segcore_maskrcnn.resnet import DetectionResNet, LastStage
from segcore_maskrcnn.rpn import ProposalCounts, RPNHead, RPNLoss

__all__ = ["build_mask_rcnn"]

_RESNETS: Mapping[str, tuple[int, str]] = {
    "ResNet18": (18, "b"),
    "ResNet34": (34, "b"),
    "ResNet50": (50, "b"),
    "ResNet50_vd": (50, "d"),
    "ResNet101": (101, "b"),
    "ResNet101_vd": (101, "d"),
}
_STRIDES = (4, 8, 16, 32)
_DEFORMABLE_STAGES = (3, 4, 5)


def build_mask_rcnn(num_classes: int, **options: Any) -> MaskRCNN:
    """Build Mask R-CNN for `num_classes` classes without the background.

    `options` are those of `MaskRCNNOptions`, by which they have been checked. Raises ConfigError
    for options that exclude each other and for backbones without the features that are needed,
    PluginMissingError for a backbone whose plugin is not installed.
    """
    chosen = MaskRCNNOptions.model_validate(options)
    backbone = _build_backbone(chosen)
    replace_norms(backbone, chosen.norm)
    cut_feature = None
    if isinstance(backbone, DetectionResNet):
        for part in backbone.parts()[: chosen.freeze_at + 2] if chosen.freeze_at >= 0 else []:
            keep_from_learning(part)
    elif chosen.freeze_at >= 0:
        cut_feature = chosen.freeze_at
    neck = _build_neck(backbone, chosen)
    feature_channels = backbone.feature_channels[0] if neck is None else neck.channels
    strides = backbone.feature_strides if neck is None else neck.strides
    head: TwoLayers | LastStage
    if neck is None:
        head = LastStage(_RESNETS[chosen.backbone][0])
        replace_norms(head, chosen.norm)
    else:
        head = TwoLayers(feature_channels, chosen.rcnn_channels)
    mask_inputs = head.out_channels if neck is None else feature_channels
    return MaskRCNN(
        backbone,
        neck,
        _build_rpn(feature_channels, strides, chosen),
        BoxHead(head, num_classes, _box_loss(chosen), _suppression(chosen)),
        MaskHead(mask_inputs, chosen.mask_channels, num_classes, 0 if neck is None else 4),
        cut_feature=cut_feature,
        use_random=chosen.use_random,
    )


def _build_backbone(options: MaskRCNNOptions) -> Backbone:
    name = options.backbone
    if name in _RESNETS:
        layers, variant = _RESNETS[name]
        return DetectionResNet(
            layers,
            variant=variant,
            in_channels=options.in_channels,
            stages=4 if options.with_fpn else 3,
            last_only=not options.with_fpn,
            deformable_stages=_DEFORMABLE_STAGES if options.with_dcn else (),
        )
    for key, wanted in (("with_dcn", False), ("with_fpn", True)):
        if getattr(options, key) is not wanted:
            raise ConfigError(
                f"{key}={str(not wanted).lower()} needs one of the backbones "
                f"{', '.join(_RESNETS)}, not {name!r}: choose another backbone, or leave {key} out"
            )
    known = backbone_option_names(name)
    extra: dict[str, Any] = {"variant": "detection"} if "variant" in known else {}
    if options.in_channels != 3 or "in_channels" in known:
        extra["in_channels"] = options.in_channels
    backbone = build_backbone(name, **extra)
    if tuple(backbone.feature_strides) != _STRIDES:
        raise ConfigError(
            f"backbone {name!r} gives features of strides {list(backbone.feature_strides)}; Mask "
            f"R-CNN needs {list(_STRIDES)}: choose another backbone"
        )
    return backbone


def _build_neck(backbone: Backbone, options: MaskRCNNOptions) -> FPN | HRFPN | None:
    if not options.with_fpn:
        return None
    # HRNet's features are equally deep, so that there is nothing to add on the way down
    kind = HRFPN if options.backbone.startswith("HRNet") else FPN
    return kind(backbone.feature_channels, options.fpn_num_channels)


def _build_rpn(channels: int, strides: tuple[int, ...], options: MaskRCNNOptions) -> RPNHead:
    anchors = AnchorGrid(strides, options.anchor_sizes, options.aspect_ratios)
    loss = RPNLoss(
        kind=options.rpn_cls_loss,
        focal_alpha=options.rpn_focal_loss_alpha,
        focal_gamma=options.rpn_focal_loss_gamma,
        batch_size=options.rpn_batch_size_per_im,
        positive_share=options.rpn_fg_fraction,
        positive_overlap=options.rpn_positive_overlap,
        negative_overlap=options.rpn_negative_overlap,
    )
    before = options.train_pre_nms_top_n or (2000 if options.with_fpn else 12000)
    kept = options.train_post_nms_top_n or (1000 if options.with_fpn else 2000)
    # with a pyramid, suppression in training leaves all it can, and the best of all maps are kept
    training = ProposalCounts(before, before if options.with_fpn else kept, kept)
    before = options.test_pre_nms_top_n or (1000 if options.with_fpn else 6000)
    kept = options.test_post_nms_top_n
    return RPNHead(channels, anchors, training, ProposalCounts(before, kept, kept), loss)


def _box_loss(options: MaskRCNNOptions) -> BoxLoss:
    return BoxLoss(
        kind=options.rcnn_bbox_loss,
        sampler=options.bbox_assigner,
        batch_size=options.rcnn_batch_size_per_im,
        positive_share=options.rcnn_fg_fraction,
        overlap=options.rcnn_overlap,
    )


def _suppression(options: MaskRCNNOptions) -> Suppression:
    return Suppression(
        kind=options.rcnn_nms,
        keep=options.keep_top_k,
        score=options.score_threshold,
        overlap=options.nms_threshold,
        sigma=options.softnms_sigma,
    )
