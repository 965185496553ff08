"""What segcore-transformers offers: data only, nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segcore.plugin import (
    BackboneSpec,
    LossSpec,
    ModelSpec,
    Published,
    Score,
    WeightsSpec,
    hookimpl,
)

_PADDLESEG = "https://bj.bcebos.com/paddleseg/dygraph"

# Trainable parameters; then as published: mIoU (SegFormer on Cityscapes val, SeaFormer on ADE20K
# val), milliseconds on a GPU and on a CPU, megabytes
_SEGFORMERS = {
    "B0": (3_719_027, 0.7673, 11.1946, 268.929, 13.2),
    "B1": (13_682_131, 0.7835, 17.9998, 403.393, 48.5),
    "B2": (27_361_235, 0.8160, 48.0371, 1248.52, 96.9),
    "B3": (47_237_075, 0.8247, 64.341, 1666.35, 167.3),
    "B4": (64_007_635, 0.8238, 82.4336, 1995.42, 226.7),
    "B5": (84_607_955, 0.8258, 97.3717, 2420.19, 229.7),
}
_SEAFORMERS = {
    "tiny": (1_667_318, 0.3458, 13.9496, 330.132, 6.1),
    "small": (3_990_118, 0.3873, 19.2295, 358.343, 14.3),
    "base": (8_605_654, 0.4092, 24.4073, 397.574, 30.8),
    "large": (13_951_510, 0.4366, 27.8123, 550.464, 49.8),
}
# the address of base is spelt in another way than the others', and its folder lacks the size
_SEAFORMER_ROOTS = {"base": "https://paddleseg.bj.bcebos.com/dygraph"}
_SEAFORMER_WEIGHTS = {
    "tiny": "seaformer_tiny_ade20k_512x512_160k/model.pdparams",
    "small": "seaformer_small_ade20k_512x512_160k/model.pdparam",  # as PaddleSeg spells it
    "base": "seaformer_ade20k_512x512_160k/model.pdparams",
    "large": "seaformer_large_ade20k_512x512_160k/model.pdparams",
}

# size of MaskFormer: its Swin, trainable parameters, mIoU on ADE20K val, as published
_MASKFORMERS = {
    "tiny": ("Swin-T", 41_757_009, 0.4793),
    "small": ("Swin-S", 63_074_913, 0.504),
}


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare the networks of this distribution, family by family."""
    return (*_segformers(), *_seaformers(), *_maskformers())


@hookimpl
def segcore_backbones() -> tuple[BackboneSpec, ...]:
    """Declare the backbones that these networks stand on, for heads of any plugin."""
    return (*_mix_vision_transformers(), *_seaformer_backbones(), *_swin_transformers())


@hookimpl
def segcore_losses() -> tuple[LossSpec, ...]:
    """Declare the loss that MaskFormer is trained with, and nothing else can be."""
    return (
        LossSpec(
            name="MaskFormerLoss",
            target="segcore_transformers.maskformer_loss:MaskFormerLoss",
            options="segcore_transformers.maskformer_options:MaskFormerLossOptions",
            summary="Classes and masks of segments, matched with those of the image; MaskFormer",
        ),
    )


def _segformers() -> Iterator[ModelSpec]:
    for size, (parameters, miou, *cost) in _SEGFORMERS.items():
        run = f"segformer_{size.lower()}_cityscapes_1024x1024_160k"
        trained = WeightsSpec(
            trained_on="CITYSCAPES",
            url=f"{_PADDLESEG}/cityscapes/{run}/model.pdparams",
            num_classes=19,
        )
        yield ModelSpec(
            name=f"SegFormer-{size}",
            summary=f"Hierarchical transformer under a linear head, size {size}",
            aliases=(f"SegFormer-{size} (slice)",),
            target="segcore_transformers.segformer:build_segformer",
            options=f"segcore_transformers.config:SegFormer{size}Options",
            recipe=f"segcore_transformers:recipes/segformer_{size.lower()}.yaml",
            weights=(trained,),
            parameters=parameters,
            paper="https://arxiv.org/abs/2105.15203",
            licence="Apache-2.0",
            tags=("transformer",),
            published=_published(
                Score(
                    metric="mIoU",
                    value=miou,
                    dataset="Cityscapes val",
                    input="2048x1024 in windows of 1024x1024",
                    source="PaddleSeg configs/segformer",
                ),
                cost,
                note="84.6 million parameters of 4 bytes take more than size_mb says"
                if size == "B5"
                else None,
            ),
        )


def _published(score: Score, cost: Sequence[float], note: str | None = None) -> Published:
    gpu_ms, cpu_ms, size_mb = cost
    return Published(
        accuracy=(score,),
        size_mb=size_mb,
        gpu_ms=gpu_ms,
        gpu="NVIDIA Tesla T4, FP32",
        cpu_ms=cpu_ms,
        cpu="Intel Xeon Gold 5117 at 2.00 GHz, 8 threads, FP32",
        cost_source="PaddleX 3.0 list of semantic segmentation models",
        note=note,
    )


def _mix_vision_transformers() -> Iterator[BackboneSpec]:
    for size in _SEGFORMERS:
        yield BackboneSpec(
            name=f"MiT-{size}",
            summary=f"Mixed transformer, the backbone of SegFormer-{size}",
            aliases=(f"MixVisionTransformer_{size}",),
            target=f"segcore_transformers.mit:mit_{size.lower()}",
            options="segcore_transformers.config:MiTOptions",
            weights=(_mit_weights(size),),
        )


def _mit_weights(size: str) -> WeightsSpec:
    archive = f"mix_vision_transformer_{size.lower()}.tar.gz"
    return WeightsSpec(
        trained_on="IMAGENET", url=f"{_PADDLESEG}/backbone/{archive}", part="backbone"
    )


def _maskformers() -> Iterator[ModelSpec]:
    for size, (backbone, parameters, miou) in _MASKFORMERS.items():
        trained = f"{_PADDLESEG}/ade20k/maskformer_ade20k_swin_{size}/model.pdparams"
        yield ModelSpec(
            name=f"MaskFormer_{size}",
            summary=f"Segments as masks with a class, found by a transformer on {backbone}",
            target="segcore_transformers.maskformer:build_maskformer",
            options=f"segcore_transformers.maskformer_options:MaskFormer{size.title()}Options",
            recipe=f"segcore_transformers:recipes/maskformer_{size}.yaml",
            weights=(WeightsSpec(trained_on="ADE20K", url=trained, num_classes=150),),
            parameters=parameters,
            paper="https://arxiv.org/abs/2107.06278",
            licence="Apache-2.0",
            tags=("transformer",),
            published=Published(
                accuracy=(
                    Score(
                        metric="mIoU",
                        value=miou,
                        dataset="ADE20K val",
                        input="short side 512",
                        source="PaddleSeg configs/maskformer",
                    ),
                ),
            ),
        )


def _swin_transformers() -> Iterator[BackboneSpec]:
    for size, (backbone, *_) in _MASKFORMERS.items():
        yield BackboneSpec(
            name=backbone,
            summary=f"Transformer with shifted windows, the backbone of MaskFormer_{size}",
            aliases=(f"SwinTransformer_{size}_patch4_window7_224",),
            target=f"segcore_transformers.swin:swin_{size}",
            options="segcore_transformers.maskformer_options:SwinOptions",
            weights=(_swin_weights(size),),
        )


def _swin_weights(size: str) -> WeightsSpec:
    root = "https://bj.bcebos.com/paddleseg/paddleseg/dygraph/ade20k"
    url = f"{root}/maskformer_ade20k_swin_{size}/pretrain/model.pdparams"
    return WeightsSpec(trained_on="IMAGENET", url=url, part="backbone")


def _seaformers() -> Iterator[ModelSpec]:
    for size, (parameters, miou, *cost) in _SEAFORMERS.items():
        trained = WeightsSpec(
            trained_on="ADE20K",
            url=f"{_SEAFORMER_ROOTS.get(size, _PADDLESEG)}/ade20k/{_SEAFORMER_WEIGHTS[size]}",
            num_classes=150,
        )
        yield ModelSpec(
            name=f"SeaFormer_{size}",
            summary=f"Mobile transformer with axial attention, {size}",
            aliases=(f"SeaFormer_{size} (slice)",),
            target="segcore_transformers.seaformer:build_seaformer",
            options=f"segcore_transformers.config:SeaFormer{size.title()}Options",
            recipe=f"segcore_transformers:recipes/seaformer_{size}.yaml",
            weights=(trained,),
            parameters=parameters,
            paper="https://arxiv.org/abs/2301.13156",
            licence="Apache-2.0",
            tags=("transformer", "mobile"),
            published=_published(
                Score(
                    metric="mIoU",
                    value=miou,
                    dataset="ADE20K val",
                    input="short side 512, in windows (their size is not stated)",
                    source="PaddleSeg configs/seaformer",
                ),
                cost,
            ),
        )


def _seaformer_backbones() -> Iterator[BackboneSpec]:
    for size in _SEAFORMERS:
        yield BackboneSpec(
            name=f"SeaFormer_{size}",
            summary=f"Mobile transformer with axial attention, {size}",
            target=f"segcore_transformers.seaformer_backbone:seaformer_{size}",
            options="segcore_transformers.config:SeaFormerBackboneOptions",
            weights=(_seaformer_backbone_weights(size),),
        )


def _seaformer_backbone_weights(size: str) -> WeightsSpec:
    file = f"seaformer_{size}_imagenet_pretrained.pdparams"
    root = _SEAFORMER_ROOTS.get(size, _PADDLESEG)
    return WeightsSpec(trained_on="IMAGENET", url=f"{root}/ade20k/backbone/{file}", part="backbone")
