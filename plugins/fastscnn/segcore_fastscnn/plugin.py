"""What segcore-fastscnn offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import ModelSpec, Published, Score, WeightsSpec, hookimpl

_PADDLESEG = "https://bj.bcebos.com/paddleseg/dygraph"


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare FastSCNN."""
    return (
        ModelSpec(
            name="FastSCNN",
            summary="Real-time segmentation of large images with 1.4 million parameters",
            target="segcore_fastscnn.fast_scnn:FastSCNN",
            options="segcore_fastscnn.config:FastSCNNOptions",
            recipe="segcore_fastscnn:recipes/fastscnn_cityscapes.yaml",
            weights=(
                WeightsSpec(
                    trained_on="CITYSCAPES",
                    url=f"{_PADDLESEG}/cityscapes/fastscnn_cityscapes_1024x1024_160k/model.pdparams",
                    num_classes=19,
                ),
            ),
            parameters=1_420_342,
            paper="https://arxiv.org/abs/1902.04502",
            licence="Apache-2.0",
            tags=("real-time", "cnn"),
            published=Published(
                accuracy=(
                    Score(
                        metric="mIoU",
                        value=0.6931,
                        dataset="Cityscapes val",
                        input="trained on crops of 1024x1024",
                        source="PaddleSeg configs/fastscnn",
                    ),
                ),
            ),
        ),
    )
