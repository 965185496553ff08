"""What segcore-transformers offers: data only, nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator

from segcore.plugin import BackboneSpec, LossSpec, ModelSpec, WeightsSpec, hookimpl

_PADDLESEG = "https://bj.bcebos.com/paddleseg/dygraph"

# size of SegFormer: trainable parameters, mIoU on Cityscapes val with sliding windows, as published
_SEGFORMERS = {
    "B0": (3_719_027, 0.7673),
    "B1": (13_682_131, 0.7835),
    "B2": (27_361_235, 0.8160),
    "B3": (47_237_075, 0.8247),
    "B4": (64_007_635, 0.8238),
    "B5": (84_607_955, 0.8258),
}

# size of MaskFormer: its Swin, trainable parameters, mIoU on ADE20K val, as published
_MASKFORMERS = {
    "tiny": ("Swin-T", 41_757_009, 0.4793),
    "small": ("Swin-S", 63_074_913, 0.504),
}


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare the networks of this distribution, family by family."""
    return (*_segformers(), *_maskformers())


@hookimpl
def segcore_backbones() -> tuple[BackboneSpec, ...]:
    """Declare the backbones that these networks stand on, for heads of any plugin."""
    return (*_mix_vision_transformers(), *_swin_transformers())


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
    for size, (parameters, miou) in _SEGFORMERS.items():
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
            weights=(trained, _mit_weights(size)),
            parameters=parameters,
            paper="https://arxiv.org/abs/2105.15203",
            licence="Apache-2.0",
            tags=("transformer",),
            published={
                "cityscapes_val_miou": miou,
                "input": "2048x1024 in windows of 1024x1024",
                "source": "PaddleSeg configs/segformer",
            },
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
            weights=(
                WeightsSpec(trained_on="ADE20K", url=trained, num_classes=150),
                _swin_weights(size),
            ),
            parameters=parameters,
            paper="https://arxiv.org/abs/2107.06278",
            licence="Apache-2.0",
            tags=("transformer",),
            published={
                "ade20k_val_miou": miou,
                "input": "short side 512",
                "source": "PaddleSeg configs/maskformer",
            },
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
