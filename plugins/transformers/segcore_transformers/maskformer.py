"""MaskFormer: segmentation as a set of masks, each with a class.

A transformer decoder turns queries into segments: each one has class probabilities, "nothing" among
them, and a vector whose product with the pixels' embeddings is its mask. The classes of a pixel are
the segments' classes, weighed by how much each mask covers it. Paper: Cheng et al., "Per-Pixel
Classification is Not All You Need for Semantic Segmentation", NeurIPS 2021,
https://arxiv.org/abs/2107.06278

Names of layers are those of the published weights. Against PaddleSeg, eval mode gives every image
of a batch, not only the last one, and computes the masks of the last decoder layer only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore.nn.build import build_backbone
from segcore.nn.resize import resize, spatial_size
from segcore_transformers.pixel_decoder import PixelDecoder, projection
from segcore_transformers.query_decoder import QueryDecoder, sine_positions
from segcore_transformers.tokens import to_tokens

__all__ = ["MaskFormer", "build_maskformer", "class_scores"]


def _linear(in_channels: int, out_channels: int) -> nn.Linear:
    """Create a linear layer whose weights and bias start within 1 / sqrt(in_channels)."""
    bound = 1 / math.sqrt(in_channels)
    start = nn.initializer.Uniform(-bound, bound)
    return nn.Linear(in_channels, out_channels, weight_attr=start, bias_attr=start)


class _MaskEmbedding(nn.Layer):
    """Three linear layers with rectifiers between them."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        widths = [(channels, channels), (channels, channels), (channels, out_channels)]
        self.layers = nn.LayerList([_linear(*width) for width in widths])

    def forward(self, x: Any) -> Any:
        """Map (N, Q, channels) to (N, Q, out_channels)."""
        x = functional.relu(self.layers[0](x))
        return self.layers[2](functional.relu(self.layers[1](x)))


class _Transformer(nn.Layer):
    """The decoder, under the name that it has in published weights."""

    def __init__(self, decoder: QueryDecoder) -> None:
        super().__init__()
        self.decoder = decoder


class SegmentPredictor(nn.Layer):
    """Find segments: the class and the mask of each query."""

    def __init__(
        self, in_channels: int, num_classes: int, num_queries: int, channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.channels = channels
        decoder = QueryDecoder(channels, heads=8, layers=6, hidden_channels=2048, dropout=dropout)
        self.transformer = _Transformer(decoder)
        start = nn.initializer.Normal()
        self.query_embed = nn.Embedding(num_queries, channels, weight_attr=start)
        self.input_proj = projection(in_channels, channels, 1, bias=True)
        self.class_embed = _linear(channels, num_classes + 1)
        self.mask_embed = _MaskEmbedding(channels, channels)

    def forward(self, coarse: Any, pixels: Any) -> list[Mapping[str, Any]]:
        """Look in `coarse` (N, in_channels, H', W') and draw on `pixels` (N, channels, H, W).

        In training each decoder layer gives its segments, in eval mode the last one does.
        """
        queries = self.transformer.decoder(
            self.query_embed.weight.unsqueeze(0),
            to_tokens(self.input_proj(coarse)),
            sine_positions(coarse, self.channels),
        )
        if not self.training:
            queries = queries[-1:]
        height = spatial_size(pixels)[0]
        columns = pixels.flatten(2)  # (N, channels, H * W)
        segments = []
        for query in queries:
            masks = paddle.matmul(self.mask_embed(query), columns)
            segments.append(
                {
                    "pred_logits": self.class_embed(query),
                    "pred_masks": masks.reshape([0, 0, height, -1]),
                }
            )
        return segments


class MaskFormerHead(nn.Layer):
    """Find segments in the features of a backbone."""

    def __init__(
        self, feature_channels: Sequence[int], num_classes: int, num_queries: int, dropout: float
    ) -> None:
        super().__init__()
        channels = 256
        self.pixel_decoder = PixelDecoder(feature_channels, channels, channels)
        self.predictor = SegmentPredictor(
            feature_channels[-1], num_classes, num_queries, channels, dropout
        )

    def forward(self, features: Sequence[Any]) -> list[Mapping[str, Any]]:
        """Map features, finest first, to segments in the size of the finest one."""
        return self.predictor(features[-1], self.pixel_decoder(features))


def class_scores(segments: Mapping[str, Any], size: Any) -> Any:
    """Weigh the classes of the segments by their masks at each pixel: (N, num_classes, H, W).

    `size` is (H, W). Scores are not negative; they add up to at most the number of segments.
    """
    probabilities = functional.softmax(segments["pred_logits"])[:, :, :-1]  # without "nothing"
    masks = functional.sigmoid(resize(segments["pred_masks"], size))  # (N, Q, H, W)
    scores = paddle.matmul(probabilities, masks.flatten(2), transpose_x=True)
    return scores.reshape([0, 0, size[0], -1])


class MaskFormer(nn.Layer):
    """Segment images of any size of at least 1 x 1 pixel.

    `backbone_indices` chooses the features, finest first: the masks have the resolution of the
    first, the transformer looks at the last. `num_queries` bounds the segments of an image,
    `dropout` is the transformer's. Raises ConfigError for an index that the backbone does not have.
    """

    size_divisor = 1

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        *,
        backbone_indices: Sequence[int] = (0, 1, 2, 3),
        num_queries: int = 100,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.backbone_indices = tuple(backbone_indices)
        channels = backbone.channels_at(backbone_indices)
        self.seghead = MaskFormerHead(channels, num_classes, num_queries, dropout)

    def forward(self, images: Any) -> Any:
        """Give [scores] (N, num_classes, H, W) for images (N, in_channels, H, W) in eval mode.

        In training: a mapping for `MaskFormerLoss`, with `pred_logits` (N, Q, num_classes + 1),
        `pred_masks` (N, Q, H / 4, W / 4) in logits, rounded up, and as `aux_outputs` the same of
        the decoder layers before the last.
        """
        features = self.backbone(images)
        segments = self.seghead([features[index] for index in self.backbone_indices])
        if self.training:
            return {**segments[-1], "aux_outputs": segments[:-1]}
        return [class_scores(segments[-1], spatial_size(images))]


def build_maskformer(
    num_classes: int,
    *,
    backbone: str,
    in_channels: int = 3,
    drop_path_rate: float | None = None,
    **options: Any,
) -> MaskFormer:
    """Build MaskFormer on the named backbone; `options` are the keywords of `MaskFormer`.

    `drop_path_rate` is the backbone's; None leaves it at its default, and is all that a backbone
    without such an option takes. Raises UnknownNameError when there is no such backbone,
    ConfigError when it lacks the option or has too few features.
    """
    own = {} if drop_path_rate is None else {"drop_path_rate": drop_path_rate}
    return MaskFormer(
        num_classes, build_backbone(backbone, in_channels=in_channels, **own), **options
    )
