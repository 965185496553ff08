"""What segcore-maskrcnn offers: data only, nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segcore.plugin import MetricSpec, ModelSpec, WeightsSpec, hookimpl

_PADDLEDETECTION = "https://paddledet.bj.bcebos.com/models"
_PAPER = "https://arxiv.org/abs/1703.06870"
_SOURCE = "PaddleDetection configs/mask_rcnn; sizes from PaddleX 3's list of models"
_PADDLEX1 = "PaddleX 1.x list of models"

# on COCO's validation images after 12 epochs; megabytes
_PUBLISHED: Mapping[str, tuple[float, float, float]] = {
    "ResNet50": (0.392, 0.356, 157.5),
    "ResNet50_vd": (0.403, 0.364, 157.5),
    "ResNet101": (0.406, 0.366, 225.4),
    "ResNet101_vd": (0.424, 0.381, 225.1),
}
_GPU_MS: Mapping[str, float] = {
    "ResNet50": 83.567,
    "ResNet50_vd": 97.929,
    "ResNet101": 97.929,
    "ResNet101_vd": 97.647,
}
_STEMS: Mapping[str, str] = {
    "ResNet50": "r50",
    "ResNet50_vd": "r50_vd",
    "ResNet101": "r101",
    "ResNet101_vd": "r101_vd",
}


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare Mask R-CNN with a feature pyramid on ResNets and on HRNet."""
    return tuple(_models())


@hookimpl
def segcore_metrics() -> tuple[MetricSpec, ...]:
    """Declare COCO's average precision, for instance models of any plugin."""
    return (
        MetricSpec(
            name="COCOMetrics",
            task="instance",
            summary="COCO's average precision and recall, of boxes and of masks",
            target="segcore_maskrcnn.coco_metrics:COCOMetrics",
        ),
    )


def _models() -> Iterator[ModelSpec]:
    for backbone, options, parameters in (
        ("ResNet18", "ResNet18Options", 31_161_072),
        ("ResNet50", "ResNet50Options", 44_120_816),
        ("ResNet50_vd", "ResNet50VdOptions", 44_120_816),
        ("ResNet101", "ResNet101Options", 63_060_720),
        ("ResNet101_vd", "ResNet101VdOptions", 63_060_720),
        ("HRNet_W18", "HRNetW18Options", 30_090_484),
    ):
        yield ModelSpec(
            name=f"MaskRCNN-{backbone}-FPN",
            task="instance",
            summary=f"Boxes, classes and masks of objects, on {backbone} with a feature pyramid",
            target="segcore_maskrcnn.build:build_mask_rcnn",
            options=f"segcore_maskrcnn.config:{options}",
            recipe="segcore_maskrcnn:recipes/coco_1x.yaml",
            weights=_weights(backbone),
            parameters=parameters,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("cnn", "two-stage"),
            published=_published(backbone),
        )


def _weights(backbone: str) -> tuple[WeightsSpec, ...]:
    pretrained = {
        "ResNet18": "ResNet18_pretrained",
        "ResNet50": "ResNet50_cos_pretrained",
        "ResNet50_vd": "ResNet50_vd_pretrained",
        "ResNet101": "ResNet101_pretrained",
        "ResNet101_vd": "ResNet101_vd_pretrained",
        "HRNet_W18": "HRNet_W18_C_pretrained",
    }
    url = f"{_PADDLEDETECTION}/pretrained/{pretrained[backbone]}.pdparams"
    of_backbone = WeightsSpec(trained_on="IMAGENET", url=url, part="backbone")
    if backbone not in _STEMS:
        return (of_backbone,)
    url = f"{_PADDLEDETECTION}/mask_rcnn_{_STEMS[backbone]}_fpn_1x_coco.pdparams"
    return (WeightsSpec(trained_on="COCO", url=url, num_classes=80), of_backbone)


def _published(backbone: str) -> Mapping[str, Any]:
    if backbone == "HRNet_W18":
        return {
            "coco_val_box_ap": 0.387,
            "coco_val_mask_ap": 0.347,
            "size_mb": 120.7,
            "source": _PADDLEX1,
            "suspect": "the accuracies are those of the row of ResNet50-FPN in the same list",
        }
    if backbone not in _PUBLISHED:
        return {}
    box_ap, mask_ap, size_mb = _PUBLISHED[backbone]
    return {
        "coco_val_box_ap": box_ap,
        "coco_val_mask_ap": mask_ap,
        "input": "short side 800, long side at most 1333",
        "size_mb": size_mb,
        "source": _SOURCE,
        "gpu_ms": _GPU_MS[backbone],
        "times_source": f"{_PADDLEX1}, whose weights are of another training",
    }
