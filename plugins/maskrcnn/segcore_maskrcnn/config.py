"""The options of the Mask R-CNN models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "HRNetW18Options",
    "MaskRCNNOptions",
    "ResNet18Options",
    "ResNet50Options",
    "ResNet50VdOptions",
    "ResNet101Options",
    "ResNet101VdOptions",
]

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(gt=0)]
Lengths = Annotated[tuple[Length, ...], Field(strict=False, min_length=1)]
Ratios = Annotated[tuple[Length, ...], Field(strict=False, min_length=1)]
Sizes = Annotated[tuple[Length | Lengths, ...], Field(strict=False, min_length=1)]


class MaskRCNNOptions(BaseModel):
    """What all Mask R-CNN models have. Names that PaddleX 1.x has are its own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    backbone: str = Field(
        description="ResNet18, ResNet50, ResNet50_vd, ResNet101 or ResNet101_vd, or a backbone of "
        "any plugin that gives features of strides 4, 8, 16 and 32, such as HRNet_W18"
    )
    in_channels: Positive = Field(3, description="Channels of the images")
    with_fpn: bool = Field(True, description="Whether there is a feature pyramid")
    fpn_num_channels: Positive = Field(256, description="Channels of the feature pyramid")
    with_dcn: bool = Field(
        False, description="Whether the last three stages have deformable convolutions"
    )
    norm: Literal["frozen", "batch", "group"] = Field(
        "frozen",
        description="The backbone's norms: frozen batch norms for pretrained weights, batch or "
        "group norms that learn for training from scratch",
    )
    freeze_at: Annotated[int, Field(ge=-1, le=3)] = Field(
        0,
        description="The stem and the stages up to this number do not learn; -1 for all that do. "
        "Of other backbones than ResNets, the feature of this number sends no gradient back",
    )

    aspect_ratios: Ratios = Field((0.5, 1.0, 2.0), description="Heights of anchors by their widths")
    anchor_sizes: Sizes = Field(
        (32.0, 64.0, 128.0, 256.0, 512.0),
        description="Square roots of the areas of anchors in pixels: one for each of five maps, "
        "finest first, or a list for each; without pyramid all of them on the one map",
    )
    rpn_cls_loss: Literal["SigmoidCrossEntropy", "SigmoidFocalLoss"] = Field(
        "SigmoidCrossEntropy", description="Loss of the proposals' scores"
    )
    rpn_focal_loss_alpha: Share = Field(0.25, description="Weight of positives in focal loss")
    rpn_focal_loss_gamma: Annotated[float, Field(ge=0)] = Field(
        2.0, description="How much focal loss looks away from what is easy"
    )
    rpn_batch_size_per_im: Positive = Field(
        256, description="Anchors of an image that a training step looks at"
    )
    rpn_fg_fraction: Share = Field(0.5, description="Share of these that may be on objects")
    rpn_positive_overlap: Share = Field(0.7, description="Overlap from which on anchors are good")
    rpn_negative_overlap: Share = Field(0.3, description="Overlap below which anchors are bad")
    train_pre_nms_top_n: Positive | None = Field(
        None,
        description="Boxes of a map before suppression in training; null is 2000, without "
        "pyramid 12000",
    )
    train_post_nms_top_n: Positive | None = Field(
        None, description="Proposals of an image in training; null is 1000, without pyramid 2000"
    )
    test_pre_nms_top_n: Positive | None = Field(
        None,
        description="Boxes of a map before suppression in prediction; null is 1000, without "
        "pyramid 6000",
    )
    test_post_nms_top_n: Positive = Field(1000, description="Proposals of an image in prediction")

    rcnn_batch_size_per_im: Positive = Field(
        512, description="Proposals of an image that a training step looks at"
    )
    rcnn_fg_fraction: Share = Field(0.25, description="Share of these that may be on objects")
    rcnn_overlap: Share = Field(
        0.5, description="Overlap with an object from which on a proposal is on it"
    )
    bbox_assigner: Literal["BBoxAssigner", "LibraBBoxAssigner"] = Field(
        "BBoxAssigner", description="How they are chosen; Libra for small objects"
    )
    rcnn_bbox_loss: Literal["L1Loss", "SmoothL1Loss", "CIoULoss"] = Field(
        "L1Loss", description="Loss of the boxes; L1Loss is PaddleDetection's, the others PaddleX's"
    )
    use_random: bool = Field(
        True, description="Whether training takes any of equal samples, or always the first"
    )
    rcnn_channels: Positive = Field(1024, description="Channels of the box head, with pyramid")
    mask_channels: Positive = Field(256, description="Channels of the mask head")

    rcnn_nms: Literal["MultiClassNMS", "MultiClassSoftNMS", "MultiClassCiouNMS", "MatrixNMS"] = (
        Field("MultiClassNMS", description="How boxes that overlap better ones are suppressed")
    )
    keep_top_k: Positive = Field(100, description="Objects of an image at most")
    nms_threshold: Share = Field(
        0.5, description="Overlap from which on a box is suppressed, but for soft and matrix NMS"
    )
    score_threshold: Share = Field(0.05, description="Score below which boxes do not count")
    softnms_sigma: Length = Field(0.5, description="How gently soft NMS lowers scores")

    @model_validator(mode="after")
    def _overlaps_are_in_order(self) -> MaskRCNNOptions:
        if self.rpn_negative_overlap > self.rpn_positive_overlap:
            raise ValueError(
                f"rpn_negative_overlap {self.rpn_negative_overlap} is above rpn_positive_overlap "
                f"{self.rpn_positive_overlap}: bad anchors overlap less than good ones"
            )
        return self


def _backbone(name: str) -> str:
    field: str = Field(name, description="Name of the backbone, of segcore-maskrcnn or any plugin")
    return field


class ResNet18Options(MaskRCNNOptions):
    """MaskRCNN-ResNet18-FPN."""

    backbone: str = _backbone("ResNet18")


class ResNet50Options(MaskRCNNOptions):
    """MaskRCNN-ResNet50-FPN."""

    backbone: str = _backbone("ResNet50")


class ResNet50VdOptions(MaskRCNNOptions):
    """MaskRCNN-ResNet50_vd-FPN."""

    backbone: str = _backbone("ResNet50_vd")


class ResNet101Options(MaskRCNNOptions):
    """MaskRCNN-ResNet101-FPN."""

    backbone: str = _backbone("ResNet101")


class ResNet101VdOptions(MaskRCNNOptions):
    """MaskRCNN-ResNet101_vd-FPN."""

    backbone: str = _backbone("ResNet101_vd")


class HRNetW18Options(MaskRCNNOptions):
    """MaskRCNN-HRNet_W18-FPN."""

    backbone: str = _backbone("HRNet_W18")
