"""What feature maps look like within boxes: RoIAlign on one map or on a pyramid.

A box is looked up on the map whose pixels suit its size. Paper: He et al., "Mask R-CNN", section 3,
https://arxiv.org/abs/1703.06870, and for the choice of the map Lin et al., "Feature Pyramid
Networks for Object Detection", section 4.2, https://arxiv.org/abs/1612.03144

Boxes are not shifted by the half pixel that RoIAlign has got since, as in PaddleDetection's current
sources, whatever their settings say; its release 2.6.0 shifts them where `aligned` is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle.vision import ops

from segcore_maskrcnn.boxes import image_index

__all__ = ["align_rois"]

_FINEST = 2  # of the pyramid's maps, numbered by the logarithm of their strides
_USUAL_LEVEL, _USUAL_SIZE = 4, 224  # a box of 224 px goes to the map of stride 16


def align_rois(
    features: Sequence[Any],
    strides: Sequence[int],
    boxes: Any,
    counts: Any,
    resolution: int,
) -> Any:
    """Give features (M, C, `resolution`, `resolution`) within `boxes` (M, 4).

    `features` are those that boxes are looked up on; `counts` (N,) int32 says how many boxes are of
    each image.
    """
    if len(features) == 1:
        return _align(features[0], strides[0], boxes, counts, resolution)
    # all boxes as if of one image: before Paddle 3 the operator fails on images without any
    by_level, places, sums = ops.distribute_fpn_proposals(
        boxes,
        _FINEST,
        _FINEST + len(features) - 1,
        _USUAL_LEVEL,
        _USUAL_SIZE,
        rois_num=counts.sum().astype("int32").reshape([1]),
    )
    places = places.flatten()
    owner = image_index(counts, boxes).gather(paddle.argsort(places))  # level by level
    level = image_index(paddle.concat(sums), boxes)
    images = paddle.arange(paddle.shape(counts)[0], dtype="int64")
    found = []
    for i in range(len(features)):
        own = paddle.logical_and(
            (level == i).unsqueeze(1), owner.unsqueeze(1) == images.unsqueeze(0)
        )
        numbers = own.astype("int32").sum(axis=0, dtype="int32")
        found.append(_align(features[i], strides[i], by_level[i], numbers, resolution))
    return paddle.concat(found).gather(places)


def _align(feature: Any, stride: int, boxes: Any, counts: Any, resolution: int) -> Any:
    return ops.roi_align(
        feature,
        boxes,
        counts,
        resolution,
        spatial_scale=1.0 / stride,
        sampling_ratio=0,
        aligned=False,
    )
