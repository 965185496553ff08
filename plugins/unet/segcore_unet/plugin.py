"""What segcore-unet offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import ModelSpec, Published, Score, WeightsSpec, hookimpl

_PADDLESEG = "https://bj.bcebos.com/paddleseg/dygraph"
_PAPER = "https://arxiv.org/abs/1505.04597"
_RECIPE = "segcore_unet:recipes/unet_cityscapes.yaml"

# dataset: folder of the file, classes, mIoU, what it was measured on, size of the crops
_TRAININGS = {
    "CITYSCAPES": (
        "cityscapes/unet_cityscapes_1024x512_160k",
        19,
        0.65,
        "Cityscapes val",
        "1024x512",
    ),
    "STARE": ("stare/unet_stare_128x128_40k", 2, 0.8354, "STARE", "128x128"),
    "DRIVE": ("drive/unet_drive_128x128_40k", 2, 0.8212, "DRIVE", "128x128"),
    "CHASE_DB1": ("chasedb1/unet_chasedb1_128x128_40k", 2, 0.8087, "CHASE DB1", "128x128"),
    "HRF": ("hrf/unet_hrf_256x256_40k", 2, 0.7845, "HRF", "256x256"),
}


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare UNet-bilinear and UNet-deconv."""
    return (
        ModelSpec(
            name="UNet-bilinear",
            summary="U-Net, interpolating on the way up: fine structures, little data",
            aliases=("UNet",),
            target="segcore_unet.unet:build_unet_bilinear",
            options="segcore_unet.config:UNetBilinearOptions",
            recipe=_RECIPE,
            weights=tuple(
                WeightsSpec(
                    trained_on=dataset,
                    url=f"{_PADDLESEG}/{folder}/model.pdparams",
                    num_classes=num_classes,
                )
                for dataset, (folder, num_classes, *_) in _TRAININGS.items()
            ),
            parameters=13_406_227,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("medical", "cnn"),
            published=Published(
                accuracy=tuple(
                    Score(
                        metric="mIoU",
                        value=miou,
                        dataset=dataset,
                        input=f"trained on crops of {size}",
                        source="PaddleSeg configs/unet",
                    )
                    for _, _, miou, dataset, size in _TRAININGS.values()
                ),
            ),
        ),
        ModelSpec(
            name="UNet-deconv",
            summary="U-Net, with transposed convolutions on the way up",
            target="segcore_unet.unet:build_unet_deconv",
            options="segcore_unet.config:UNetDeconvOptions",
            recipe=_RECIPE,
            parameters=12_579_091,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("medical", "cnn"),
            published=Published(),
        ),
    )
