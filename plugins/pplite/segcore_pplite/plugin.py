"""What segcore-pplite offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import ModelSpec, WeightsSpec, hookimpl

_PADDLESEG = "https://paddleseg.bj.bcebos.com/dygraph"
_PAPER = "https://arxiv.org/abs/2204.02681"
_SOURCE = "PaddleSeg configs/pp_liteseg"


def _weights(backbone: str, archive: str) -> tuple[WeightsSpec, ...]:
    cityscapes = f"pp_liteseg_{backbone}_cityscapes_1024x512_scale1.0_160k"
    camvid = f"pp_liteseg_{backbone}_camvid_960x720_10k"
    return (
        WeightsSpec(
            trained_on="CITYSCAPES",
            url=f"{_PADDLESEG}/cityscapes/{cityscapes}/model.pdparams",
            num_classes=19,
        ),
        WeightsSpec(
            trained_on="CAMVID",
            url=f"{_PADDLESEG}/camvid/{camvid}/model.pdparams",
            num_classes=11,
        ),
        WeightsSpec(
            trained_on="IMAGENET",
            url=f"https://bj.bcebos.com/paddleseg/dygraph/{archive}.tar.gz",
            part="backbone",
        ),
    )


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare PP-LiteSeg-T and PP-LiteSeg-B."""
    return (
        ModelSpec(
            name="PP-LiteSeg-T",
            summary="Real-time segmentation, tiny: STDC1 backbone",
            aliases=("PPLiteSeg-T", "pp_liteseg_stdc1"),
            target="segcore_pplite.pp_liteseg:build_pp_liteseg",
            options="segcore_pplite.config:PPLiteSegTOptions",
            recipe="segcore_pplite:recipes/pp_liteseg_t.yaml",
            weights=_weights("stdc1", "PP_STDCNet1"),
            parameters=8_141_600,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("real-time", "cnn"),
            published={"cityscapes_val_miou": 0.7704, "input": "2048x1024", "source": _SOURCE},
        ),
        ModelSpec(
            name="PP-LiteSeg-B",
            summary="Real-time segmentation, base: STDC2 backbone",
            aliases=("PPLiteSeg-B", "pp_liteseg_stdc2"),
            target="segcore_pplite.pp_liteseg:build_pp_liteseg",
            options="segcore_pplite.config:PPLiteSegBOptions",
            recipe="segcore_pplite:recipes/pp_liteseg_b.yaml",
            weights=_weights("stdc2", "PP_STDCNet2"),
            parameters=12_366_464,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("real-time", "cnn"),
            published={"cityscapes_val_miou": 0.7904, "input": "2048x1024", "source": _SOURCE},
        ),
    )
