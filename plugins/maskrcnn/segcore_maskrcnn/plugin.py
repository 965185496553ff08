"""What segcore-maskrcnn offers: data only, nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from segcore.plugin import MetricSpec, ModelSpec, Published, Score, WeightsSpec, hookimpl

_PADDLEDETECTION = "https://paddledet.bj.bcebos.com/models"
_PAPER = "https://arxiv.org/abs/1703.06870"
_SOURCE = "PaddleDetection configs/mask_rcnn"
_PADDLEX1 = "PaddleX 1.x list of models"
_INPUT = "short side 800, long side at most 1333"

# box and mask AP on COCO after 12 epochs of PaddleDetection's training; megabytes of the weights
_PUBLISHED: Mapping[str, tuple[float, float, float]] = {
    "ResNet50": (0.392, 0.356, 157.5),
    "ResNet50_vd": (0.403, 0.364, 157.5),
    "ResNet101": (0.406, 0.366, 225.4),
    "ResNet101_vd": (0.424, 0.381, 225.1),
}
_STEMS: Mapping[str, str] = {
    "ResNet50": "r50",
    "ResNet50_vd": "r50_vd",
    "ResNet101": "r101",
    "ResNet101_vd": "r101_vd",
}
_PRETRAINED: Mapping[str, str] = {
    "ResNet50": "ResNet50_cos",
    "ResNet50_vd": "ResNet50_vd",
    "ResNet101": "ResNet101",
    "ResNet101_vd": "ResNet101_vd",
    "HRNet_W18": "HRNet_W18_C",
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
    found = []
    if backbone in _STEMS:
        url = f"{_PADDLEDETECTION}/mask_rcnn_{_STEMS[backbone]}_fpn_1x_coco.pdparams"
        found.append(WeightsSpec(trained_on="COCO", url=url, num_classes=80))
    if backbone in _PRETRAINED:
        url = f"{_PADDLEDETECTION}/pretrained/{_PRETRAINED[backbone]}_pretrained.pdparams"
        found.append(WeightsSpec(trained_on="IMAGENET", url=url, part="backbone"))
    return tuple(found)


def _published(backbone: str) -> Published:
    if backbone == "HRNet_W18":
        return Published(
            accuracy=_accuracy(0.387, 0.347, _PADDLEX1),
            size_mb=120.7,
            cost_source=_PADDLEX1,
            note="suspect: the accuracies repeat those of ResNet50-FPN in the same list",
        )
    if backbone not in _PUBLISHED:
        return Published()
    box_ap, mask_ap, size_mb = _PUBLISHED[backbone]
    return Published(
        accuracy=_accuracy(box_ap, mask_ap, _SOURCE),
        size_mb=size_mb,
        cost_source="PaddleX 3.0 list of instance segmentation models",
    )


def _accuracy(box_ap: float, mask_ap: float, source: str) -> tuple[Score, ...]:
    return tuple(
        Score(metric=metric, value=value, dataset="COCO val2017", input=_INPUT, source=source)
        for metric, value in (("mask AP", mask_ap), ("box AP", box_ap))
    )
