"""What segcore-deeplab offers: data only, nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator

from segcore.plugin import ModelSpec, Published, Score, WeightsSpec, hookimpl

_PADDLESEG = "https://bj.bcebos.com/paddleseg/dygraph"
_V3_PAPER = "https://arxiv.org/abs/1706.05587"
_V3P_PAPER = "https://arxiv.org/abs/1802.02611"
_OTHER_NETWORK = "PaddleX 1.x publishes a mIoU of {} on Cityscapes val, of a network of its own"


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare DeepLabv3 on ResNet_vd, and DeepLabv3+ on that, on Xception and on MobileNets."""
    return (*_on_resnet(), *_on_others())


def _on_resnet() -> Iterator[ModelSpec]:
    """Declare what PaddleSeg has published trainings of."""
    for depth, plus, parameters, miou, gpu_ms, cpu_ms, size_mb in (
        (50, False, 39_068_531, (0.7990, 0.7976), 82.2631, 1735.83, 138.3),
        (101, False, 58_060_659, (0.8085, 0.8062), 121.492, 2685.51, 205.9),
        (50, True, 26_723_395, (0.8036, 0.8066), 61.0531, 1513.58, 94.9),
        (101, True, 45_715_523, (0.8110, 0.8060), 100.026, 2460.71, 162.5),
    ):
        version = "deeplabv3p" if plus else "deeplabv3"
        yield _model(
            f"Deeplabv3_Plus-R{depth}" if plus else f"Deeplabv3-R{depth}",
            f"DeepLabPlusR{depth}Options" if plus else f"DeepLabR{depth}Options",
            f"{'Encoder and decoder' if plus else 'Atrous pyramid'} on ResNet{depth}_vd",
            parameters,
            aliases=(
                f"DeepLabv3p-ResNet{depth}_vd",
                f"DeepLabv3p-R{depth}",
                f"DeepLabv3+-R{depth}",
            )
            if plus
            else (),
            paper=_V3P_PAPER if plus else _V3_PAPER,
            weights=_weights(f"{version}_resnet{depth}_os8"),
            published=Published(
                accuracy=_accuracy(miou, version),
                size_mb=size_mb,
                gpu_ms=gpu_ms,
                gpu="NVIDIA Tesla T4, FP32",
                cpu_ms=cpu_ms,
                cpu="Intel Xeon Gold 5117 at 2.00 GHz, 8 threads, FP32",
                cost_source="PaddleX 3.0 list of semantic segmentation models",
            ),
        )


def _on_others() -> Iterator[ModelSpec]:
    """Declare those that PaddleX 1.x offers, with PaddleSeg's layers."""
    for layers, parameters in ((41, 28_110_547), (65, 41_057_299)):
        yield _model(
            f"DeepLabv3p-Xception{layers}",
            f"DeepLabXception{layers}Options",
            f"Encoder and decoder on Xception{layers}",
            parameters,
            published=Published(note=_OTHER_NETWORK.format(0.793) if layers == 65 else None),
        )
    for scale, parameters in (
        ("0.25", 725_675),
        ("0.5", 1_177_187),
        ("1.0", 2_723_747),
        ("1.5", 5_128_355),
        ("2.0", 8_391_011),
    ):
        yield _model(
            f"DeepLabv3p-MobileNetV2_x{scale}",
            f"DeepLabMobileNetV2x{scale.replace('.', 'p')}Options",
            f"Encoder and decoder on MobileNetV2, {scale} times the channels",
            parameters,
            aliases=(f"DeepLabv3p-MobileNetV2_x{scale.replace('.', '_')}",),
            tags=("mobile",),
            published=Published(note=_OTHER_NETWORK.format(0.698) if scale == "1.0" else None),
        )
    yield _model(
        "DeepLabv3p-MobileNetV3_large_x1_0",
        "DeepLabMobileNetV3Options",
        "Encoder and decoder on MobileNetV3, large",
        3_515_273,
        aliases=(
            "DeepLabv3_MobileNetV3_large_x1_0_ssld",
            "DeepLabv3p-MobileNetV3_large_x1_0_ssld",
            "DeepLabv3p-MobileNetV3_large_x1.0",
        ),
        tags=("mobile",),
        published=Published(),
    )


def _model(
    name: str,
    options: str,
    summary: str,
    parameters: int,
    *,
    published: Published,
    aliases: tuple[str, ...] = (),
    paper: str = _V3P_PAPER,
    weights: tuple[WeightsSpec, ...] = (),
    tags: tuple[str, ...] = (),
) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=summary,
        aliases=aliases,
        target="segcore_deeplab.deeplab:build_deeplab",
        options=f"segcore_deeplab.config:{options}",
        recipe="segcore_deeplab:recipes/cityscapes.yaml",
        weights=weights,
        parameters=parameters,
        paper=paper,
        licence="Apache-2.0",
        tags=("cnn", *tags),
        published=published,
    )


def _accuracy(miou: tuple[float, float], folder: str) -> tuple[Score, ...]:
    """Say what PaddleSeg measured on Cityscapes and on VOC."""
    cityscapes, voc = miou
    source = f"PaddleSeg configs/{folder}"
    return (
        Score(
            metric="mIoU",
            value=cityscapes,
            dataset="Cityscapes val",
            input="trained on crops of 1024x512",
            source=source,
        ),
        Score(
            metric="mIoU",
            value=voc,
            dataset="VOC 2012 val",
            input="trained on crops of 512x512",
            source=source,
        ),
    )


def _weights(stem: str) -> tuple[WeightsSpec, ...]:
    return (
        WeightsSpec(
            trained_on="CITYSCAPES",
            url=f"{_PADDLESEG}/cityscapes/{stem}_cityscapes_1024x512_80k/model.pdparams",
            num_classes=19,
        ),
        WeightsSpec(
            trained_on="VOC",
            url=f"{_PADDLESEG}/pascal_voc12/{stem}_voc12aug_512x512_40k/model.pdparams",
            num_classes=21,
        ),
    )
