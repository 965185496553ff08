"""segcore's own components, declared through the same hooks as any plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segcore.plugin import (
    BackboneSpec,
    CommandSpec,
    ConverterSpec,
    DatasetFormatSpec,
    DeviceSpec,
    ExporterSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObserverSpec,
    RuntimeSpec,
    TaskSpec,
    TransformSpec,
    WeightsSpec,
    hookimpl,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

_TRANSFORMS = {
    "Normalize": ("normalize", "Scale to 0..1, subtract the mean, divide by the deviation"),
    "Resize": ("resize", "Resize to a given size"),
    "ResizeByLong": ("resize", "Resize so that the long side has a given length"),
    "ResizeByShort": ("resize", "Resize so that the short side has a given length"),
    "LimitLong": ("resize", "Resize where the long side is outside given limits"),
    "ResizeRangeScaling": ("resize", "Resize to a random length of the long side"),
    "ResizeStepScaling": ("resize", "Resize by a random factor from an even grid"),
    "Padding": ("pad", "Pad to a given size"),
    "PaddingByAspectRatio": ("pad", "Pad to a given aspect ratio"),
    "RandomPaddingCrop": ("crop", "Crop at random, padding what is too small"),
    "RandomHorizontalFlip": ("flip", "Mirror left and right at random"),
    "RandomVerticalFlip": ("flip", "Mirror top and bottom at random"),
    "RandomRotation": ("rotate", "Rotate by a random angle"),
    "RandomScaleAspect": ("scale_aspect", "Crop a random area and aspect, then resize back"),
    "RandomBlur": ("blur", "Blur at random"),
    "RandomDistort": ("distort", "Change brightness, contrast, saturation and hue at random"),
}

_LOSSES = {
    "CrossEntropyLoss": ("cross_entropy", "Cross entropy with class weights and hard pixels"),
    "OhemCrossEntropyLoss": ("ohem", "Cross entropy over the hardest pixels"),
    "BCELoss": ("bce", "Binary cross entropy"),
    "DiceLoss": ("dice", "One minus the Dice coefficient"),
    "LovaszSoftmaxLoss": ("lovasz", "Lovász extension of the Jaccard loss, for softmax"),
    "LovaszHingeLoss": ("lovasz", "Lovász extension of the Jaccard loss, for two classes"),
    "FocalLoss": ("focal", "Focal loss for two classes"),
    "MultiClassFocalLoss": ("focal", "Focal loss for any number of classes"),
}

# the place of what builds a backbone, its option model, what it is, and its other spellings
_BACKBONES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "STDC1": ("stdc:stdc1", "Backbone", "Short-term dense concatenation network, small", ()),
    "STDC2": ("stdc:stdc2", "Backbone", "Short-term dense concatenation network, large", ()),
    **{
        f"ResNet{layers}_vd": (
            f"resnet_vd:resnet{layers}_vd",
            "ResNetVd",
            f"Residual network of {layers} layers, variant D",
            (),
        )
        for layers in (18, 34, 50, 101, 152, 200)
    },
    **{
        f"Xception{layers}": (
            f"xception:xception{layers}",
            "Xception",
            f"Separable convolutions, {layers} layers",
            (f"Xception{layers}_deeplab",),
        )
        for layers in (41, 65, 71)
    },
    **{
        f"MobileNetV2_x{scale}": (
            f"mobilenet_v2:mobilenet_v2_x{scale.replace('.', '_')}",
            "MobileNet",
            f"Inverted residuals, scale {scale}",
            (f"MobileNetV2_x{scale.replace('.', '_')}",),
        )
        for scale in ("0.25", "0.5", "0.75", "1.0", "1.5", "2.0")
    },
    **{
        f"MobileNetV3_{size}_x{scale}": (
            f"mobilenet_v3:mobilenet_v3_{size}_x{scale}",
            "MobileNet",
            f"Inverted residuals with attention, {size}, scale {scale.replace('_', '.')}",
            (f"MobileNetV3_{size}_x{scale.replace('_', '.')}",),
        )
        for size in ("large", "small")
        for scale in ("0_35", "0_5", "0_75", "1_0", "1_25")
    },
}

# addresses that PaddleSeg's configurations and documents give
_BACKBONE_WEIGHTS = {
    "STDC1": "https://bj.bcebos.com/paddleseg/dygraph/PP_STDCNet1.tar.gz",
    "STDC2": "https://bj.bcebos.com/paddleseg/dygraph/PP_STDCNet2.tar.gz",
    "ResNet18_vd": "https://bj.bcebos.com/paddleseg/dygraph/resnet18_vd_ssld_v2.tar.gz",
    "ResNet50_vd": "https://bj.bcebos.com/paddleseg/dygraph/resnet50_vd_ssld_v2.tar.gz",
    "ResNet101_vd": "https://bj.bcebos.com/paddleseg/dygraph/resnet101_vd_ssld.tar.gz",
    "MobileNetV2_x1.0": (
        "https://paddleseg.bj.bcebos.com/dygraph/backbone/mobilenetv2_x1_0_ssld.tar.gz"
    ),
    "MobileNetV3_large_x1_0": (
        "https://paddleseg.bj.bcebos.com/dygraph/backbone/mobilenetv3_large_x1_0_ssld.tar.gz"
    ),
}

# the class, what it is, and whether it is written as well as read
_CONVERTERS = {
    "SegDataset": (
        "segdataset:SegDatasetConverter",
        "images/, annotations/, train.txt, val.txt, labels.txt",
        True,
    ),
    "COCO": ("coco:CocoConverter", "images/, annotations/instance_train.json, ...", True),
    "VOC": ("voc:VocConverter", "JPEGImages/, SegmentationClass/, ImageSets/Segmentation/", True),
    "LabelMe": (
        "labelme:LabelMe",
        "a JSON file for each image, or PaddleX's layout of them",
        False,
    ),
    "Cityscapes": ("cityscapes:CityscapesConverter", "leftImg8bit/, gtFine/", False),
    "ADE20K": ("ade20k:Ade20kConverter", "images/training/, annotations/training/", False),
    "Supervisely": ("supervisely:SuperviselyConverter", "meta.json, DATASET/img/, .../ann/", False),
    "CVAT": ("cvat:CvatConverter", "annotations.xml (for images 1.1), images/", False),
}

_COMMANDS = {
    "train": "Train a model on a dataset",
    "eval": "Measure a trained model",
    "predict": "Segment images and draw the result",
    "export": "Export a trained model",
    "data": "Draw, check, repair, convert and split datasets",
    "models": "List the models at hand, or describe one",
    "plugins": "List, describe, check and start plugins",
    "config": "Show and check configurations",
    "doctor": "Look at the installation and say what is wrong with it",
}


@hookimpl
def segcore_build_model(spec: ModelSpec, num_classes: int, options: BaseModel | None) -> Any:
    """Call what the spec names, with the class count and the options as keywords."""
    names = () if options is None else type(options).model_fields
    keywords = {name: getattr(options, name) for name in names}
    return spec.load_target()(num_classes=num_classes, **keywords)


@hookimpl
def segcore_models() -> list[ModelSpec]:
    """Declare no networks: every family is a plugin of its own."""
    return []


@hookimpl
def segcore_backbones() -> list[BackboneSpec]:
    """Declare the feature extractors that several families share."""
    return [
        BackboneSpec(
            name=name,
            target=f"segcore.nn.backbones.{target}",
            options=f"segcore.nn.backbones.options:{options}Options",
            summary=summary,
            aliases=aliases,
            weights=tuple(
                WeightsSpec(trained_on="IMAGENET", url=url, part="backbone")
                for url in (_BACKBONE_WEIGHTS.get(name),)
                if url is not None
            ),
        )
        for name, (target, options, summary, aliases) in _BACKBONES.items()
    ]


@hookimpl
def segcore_losses() -> list[LossSpec]:
    """Declare the losses."""
    return [
        LossSpec(
            name=name,
            target=f"segcore.nn.losses.{module}:{name}",
            options=f"segcore.nn.losses.options:{name}Options",
            summary=summary,
        )
        for name, (module, summary) in _LOSSES.items()
    ]


@hookimpl
def segcore_metrics() -> list[MetricSpec]:
    """Declare the metrics."""
    return [
        MetricSpec(
            name="SegmentationMetrics",
            target="segcore.tasks.metrics:SegmentationMetrics",
            options="segcore.tasks.metric_options:SegmentationMetricsOptions",
            summary="IoU, accuracies, precision, recall, F1, Dice, kappa, confusion matrix",
        )
    ]


@hookimpl
def segcore_transforms() -> list[TransformSpec]:
    """Declare the transforms; a transform is its own option model."""
    return [
        TransformSpec(
            name=name,
            target=f"segcore.data.transforms.{module}:{name}",
            options=f"segcore.data.transforms.{module}:{name}",
            summary=summary,
        )
        for name, (module, summary) in _TRANSFORMS.items()
    ]


@hookimpl
def segcore_tasks() -> list[TaskSpec]:
    """Declare the tasks."""
    return [
        TaskSpec(
            name="semantic",
            target="segcore.tasks.semantic:SemanticTask",
            result="segcore.inference.result:SegmentationResult.of",
            summary="A class for every pixel",
        ),
        TaskSpec(
            name="instance",
            target="segcore.tasks.instance:InstanceTask",
            result="segcore.inference.instance_result:InstanceResult.of",
            recipe="segcore.tasks:instance.yaml",
            summary="A box, a class and a mask for every object",
        ),
    ]


@hookimpl
def segcore_dataset_formats() -> list[DatasetFormatSpec]:
    """Declare the layouts of datasets."""
    return [
        DatasetFormatSpec(
            name="SegDataset",
            target="segcore.data.segdataset:SegDatasetFormat",
            summary="images/, annotations/, train.txt, val.txt, labels.txt",
        ),
        DatasetFormatSpec(
            name="COCO",
            target="segcore.data.cocodataset:CocoDatasetFormat",
            task="instance",
            summary="images/, annotations/instance_train.json, annotations/instance_val.json",
        ),
    ]


@hookimpl
def segcore_converters() -> list[ConverterSpec]:
    """Declare the formats to convert datasets from and to; a converter is its own option model."""
    return [
        ConverterSpec(
            name=name,
            target=f"segcore.data.convert.{target}",
            options=f"segcore.data.convert.{target}",
            summary=summary,
            writes=writes,
        )
        for name, (target, summary, writes) in _CONVERTERS.items()
    ]


@hookimpl
def segcore_exporters() -> list[ExporterSpec]:
    """Declare the formats of exported models."""
    return [
        ExporterSpec(
            name="paddle",
            target="segcore.export.paddle:PaddleExporter",
            summary="Static graph for Paddle Inference, in PaddleX's layout",
        )
    ]


@hookimpl
def segcore_devices() -> list[DeviceSpec]:
    """Declare the kinds of devices."""
    return [
        DeviceSpec(name="cpu", target="segcore.devices.cpu:CPU", summary="The processor"),
        DeviceSpec(name="gpu", target="segcore.devices.gpu:GPU", summary="NVIDIA GPUs"),
    ]


@hookimpl
def segcore_runtimes() -> list[RuntimeSpec]:
    """Declare the engines of inference."""
    return [
        RuntimeSpec(
            name="paddle",
            target="segcore.inference.paddle:PaddleInference",
            summary="Paddle Inference, on exported graphs",
        ),
        RuntimeSpec(
            name="eager",
            target="segcore.inference.eager:Eager",
            summary="The network as it was trained, on weights and configuration",
        ),
    ]


@hookimpl
def segcore_observers() -> list[ObserverSpec]:
    """Declare the observers of trainings."""
    return [
        ObserverSpec(
            name="CSVLog",
            target="segcore.engine.observers:CSVLog",
            summary="Scores of every evaluation in evaluations.csv",
        )
    ]


@hookimpl
def segcore_commands() -> list[CommandSpec]:
    """Declare the verbs of the command line."""
    return [
        CommandSpec(name=name, target=f"segcore.cli.{name}:{name}_command", summary=summary)
        for name, summary in _COMMANDS.items()
    ]
