"""What segcore-pplite offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import ModelSpec, Published, Score, WeightsSpec, hookimpl

_PADDLESEG = "https://paddleseg.bj.bcebos.com/dygraph"
_PAPER = "https://arxiv.org/abs/2204.02681"


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
            weights=_weights("stdc1"),
            parameters=8_141_600,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("real-time", "cnn"),
            published=Published(
                accuracy=_accuracy(0.7704, 0.7603, 0.7310, camvid=0.7330),
                size_mb=28.5,
                gpu_ms=7.6827,
                gpu="NVIDIA Tesla T4, FP32",
                cpu_ms=138.683,
                cpu="Intel Xeon Gold 5117 at 2.00 GHz, 8 threads, FP32",
                cost_source="PaddleX 3.0 list of semantic segmentation models",
            ),
        ),
        ModelSpec(
            name="PP-LiteSeg-B",
            summary="Real-time segmentation, base: STDC2 backbone",
            aliases=("PPLiteSeg-B", "pp_liteseg_stdc2"),
            target="segcore_pplite.pp_liteseg:build_pp_liteseg",
            options="segcore_pplite.config:PPLiteSegBOptions",
            recipe="segcore_pplite:recipes/pp_liteseg_b.yaml",
            weights=_weights("stdc2"),
            parameters=12_366_464,
            paper=_PAPER,
            licence="Apache-2.0",
            tags=("real-time", "cnn"),
            published=Published(
                accuracy=_accuracy(0.7904, 0.7875, 0.7525, camvid=0.7510),
                size_mb=47.0,
                cost_source="PaddleX 3.0 list of semantic segmentation models",
            ),
        ),
    )


def _weights(backbone: str) -> tuple[WeightsSpec, ...]:
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
    )


def _accuracy(large: float, middle: float, small: float, *, camvid: float) -> tuple[Score, ...]:
    """List what PaddleSeg measured; a training of its own belongs to each size."""
    measured = (
        (large, "Cityscapes val", "2048x1024"),
        (middle, "Cityscapes val", "1536x768"),
        (small, "Cityscapes val", "1024x512"),
        (camvid, "CamVid test", "960x720"),
    )
    return tuple(
        Score(
            metric="mIoU",
            value=value,
            dataset=dataset,
            input=size,
            source="PaddleSeg configs/pp_liteseg",
        )
        for value, dataset, size in measured
    )
