"""What segcore-hrnet offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import BackboneSpec, ModelSpec, Published, Score, WeightsSpec, hookimpl

_PADDLESEG = "https://bj.bcebos.com/paddleseg/dygraph"
_HRNET_PAPER = "https://arxiv.org/abs/1908.07919"
_OCRNET_PAPER = "https://arxiv.org/abs/1909.11065"

# trainable parameters with 19 classes, by the suffix of the name
_FCN_PARAMETERS = {
    "W18_Small_V1": 1_540_819,
    "W18": 9_641_119,
    "W30": 26_024_695,
    "W32": 29_546_515,
    "W40": 45_894_435,
    "W44": 55_424_779,
    "W48": 65_859_379,
    "W60": 102_588_715,
    "W64": 116_640_339,
}
_OCRNET_PARAMETERS = {"W18": 12_083_122, "W48": 70_374_982}

_FCN_MIOU = {"W18": (0.7897, 0.7539), "W48": (0.8070, 0.7872)}
_OCRNET_MIOU = {"W18": (0.8067, 0.7576), "W48": (0.8215, 0.7998)}

# milliseconds on an NVIDIA Tesla T4 and on an Intel Xeon Gold 5117 with 8 threads, and megabytes
_OCRNET_COST = {"W18": (48.2335, 906.385, 43.1), "W48": (78.9976, 2226.95, 249.8)}


def _weights(head: str, width: str) -> tuple[WeightsSpec, ...]:
    """List the weights of the two widths that PaddleSeg has trained, W18 and W48."""
    net = f"hrnet{width.lower()}"
    iterations = "80k" if head == "fcn" else "160k"
    cityscapes = f"cityscapes/{head}_{net}_cityscapes_1024x512_{iterations}"
    voc = f"pascal_voc12/{head}_{net}_voc12aug_512x512_40k"
    return (
        WeightsSpec(
            trained_on="CITYSCAPES",
            url=f"{_PADDLESEG}/{cityscapes}/model.pdparams",
            num_classes=19,
        ),
        WeightsSpec(trained_on="VOC", url=f"{_PADDLESEG}/{voc}/model.pdparams", num_classes=21),
    )


def _backbone_weights(width: str) -> tuple[WeightsSpec, ...]:
    url = f"{_PADDLESEG}/hrnet_{width.lower()}_ssld.tar.gz"
    return (WeightsSpec(trained_on="IMAGENET", url=url, part="backbone"),)


def _accuracy(miou: tuple[float, float], folder: str) -> tuple[Score, ...]:
    measured = zip(miou, (("Cityscapes val", "1024x512"), ("VOC 2012 val", "512x512")), strict=True)
    return tuple(
        Score(
            metric="mIoU",
            value=value,
            dataset=dataset,
            input=f"trained on crops of {size}",
            source=f"PaddleSeg configs/{folder}",
        )
        for value, (dataset, size) in measured
    )


def _fcn(suffix: str) -> ModelSpec:
    is_published = suffix in _FCN_MIOU
    return ModelSpec(
        name=f"HRNet-FCN-{suffix}",
        summary=f"High-resolution network, {_described(suffix)}",
        aliases=(f"HRNet-{suffix}", f"FCN-HRNet-{suffix}"),
        target="segcore_hrnet.fcn:build_fcn",
        options=f"segcore_hrnet.config:FCN{suffix.replace('_', '')}Options",
        recipe="segcore_hrnet:recipes/hrnet_fcn.yaml",
        weights=_weights("fcn", suffix) if is_published else (),
        parameters=_FCN_PARAMETERS[suffix],
        paper=_HRNET_PAPER,
        licence="Apache-2.0",
        tags=("cnn", "high-resolution"),
        published=Published(accuracy=_accuracy(_FCN_MIOU[suffix], "fcn") if is_published else ()),
    )


def _ocrnet(suffix: str) -> ModelSpec:
    gpu_ms, cpu_ms, size_mb = _OCRNET_COST[suffix]
    return ModelSpec(
        name=f"OCRNet_HRNet-{suffix}",
        summary=f"Object-contextual representations on HRNet, {_described(suffix)}",
        aliases=(f"OCRNet-{suffix}",),
        target="segcore_hrnet.ocrnet:build_ocrnet",
        options=f"segcore_hrnet.config:OCRNet{suffix}Options",
        recipe="segcore_hrnet:recipes/ocrnet_hrnet.yaml",
        weights=_weights("ocrnet", suffix),
        parameters=_OCRNET_PARAMETERS[suffix],
        paper=_OCRNET_PAPER,
        licence="Apache-2.0",
        tags=("cnn", "high-resolution", "attention"),
        published=Published(
            accuracy=_accuracy(_OCRNET_MIOU[suffix], "ocrnet"),
            size_mb=size_mb,
            gpu_ms=gpu_ms,
            gpu="NVIDIA Tesla T4, FP32",
            cpu_ms=cpu_ms,
            cpu="Intel Xeon Gold 5117 at 2.00 GHz, 8 threads, FP32",
            cost_source="PaddleX 3.0 list of semantic segmentation models",
        ),
    )


def _described(suffix: str) -> str:
    """Say in words which HRNet it is."""
    if suffix == "W18_Small_V1":
        return "small: 16 channels at stride 4, few blocks"
    return f"{suffix[1:]} channels at stride 4"


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare HRNet-FCN in nine widths, and OCRNet in two."""
    return (*map(_fcn, _FCN_PARAMETERS), *map(_ocrnet, _OCRNET_PARAMETERS))


@hookimpl
def segcore_backbones() -> tuple[BackboneSpec, ...]:
    """Declare HRNet in nine widths, for heads of any plugin."""
    return tuple(
        BackboneSpec(
            name=f"HRNet_{suffix}",
            target=f"segcore_hrnet.hrnet:hrnet_{suffix.lower()}",
            options="segcore_hrnet.config:HRNetOptions",
            summary=f"High-resolution network, {_described(suffix)}",
            weights=_backbone_weights(suffix) if suffix in _FCN_MIOU else (),
        )
        for suffix in _FCN_PARAMETERS
    )
