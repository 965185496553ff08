"""What segcore-unet offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import ModelSpec, WeightsSpec, hookimpl

_PADDLESEG = "https://paddleseg.bj.bcebos.com/dygraph"
_PAPER = "https://arxiv.org/abs/1505.04597"
_RECIPE = "segcore_unet:recipes/unet_cityscapes.yaml"

# dataset: folder of the file, classes
_TRAININGS = {
    "CITYSCAPES": ("cityscapes/unet_cityscapes_1024x512_160k", 19),
    "STARE": ("stare/unet_stare_128x128_40k", 2),
    "DRIVE": ("drive/unet_drive_128x128_40k", 2),
    "CHASE_DB1": ("chasedb1/unet_chasedb1_128x128_40k", 2),
    "HRF": ("hrf/unet_hrf_256x256_40k", 2),
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
                for dataset, (folder, num_classes) in _TRAININGS.items()
            ),
            parameters=13_406_227,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("medical", "cnn"),
            published={
                "cityscapes_val_miou": 0.65,
                "stare_miou": 0.8354,
                "drive_miou": 0.8212,
                "chase_db1_miou": 0.8087,
                "hrf_miou": 0.7845,
                "input": "1024x512 for Cityscapes, 256x256 for HRF, else 128x128",
                "source": "PaddleSeg configs/unet",
            },
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
        ),
    )
