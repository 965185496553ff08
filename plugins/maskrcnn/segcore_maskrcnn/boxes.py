"""Arithmetic of boxes (x1, y1, x2, y2) in pixels, a row each.

A box's width is x2 - x1, without the pixel that older implementations add.
"""

from __future__ import annotations

import math
from typing import Any

import paddle

__all__ = ["best_of_each_image", "clip_boxes", "decode", "encode", "image_index", "pairwise_iou"]

_TINY = 1e-12
_MAX_LOG_RATIO = math.log(1000.0 / 16)  # keeps exp() of an untrained network finite


def pairwise_iou(first: Any, second: Any) -> Any:
    """Give the overlap of each of M boxes with each of N as intersection over union (M, N)."""
    first = first.unsqueeze(1)  # (M, 1, 4)
    low = paddle.maximum(first[:, :, :2], second[:, :2])
    high = paddle.minimum(first[:, :, 2:], second[:, 2:])
    sides = paddle.clip(high - low, min=0.0)  # (M, N, 2)
    intersection = sides[:, :, 0] * sides[:, :, 1]
    union = _area(first) + _area(second) - intersection
    # two boxes without area have no union
    return intersection / paddle.clip(union, min=_TINY)


def _area(boxes: Any) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def encode(anchors: Any, boxes: Any, weights: tuple[float, ...]) -> Any:
    """Describe each of M boxes by its offset from its anchor and their ratio in size (M, 4)."""
    width, height = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    box_width, box_height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x_offset = boxes[:, 0] + 0.5 * box_width - (anchors[:, 0] + 0.5 * width)
    y_offset = boxes[:, 1] + 0.5 * box_height - (anchors[:, 1] + 0.5 * height)
    return paddle.stack(
        [
            weights[0] * x_offset / width,
            weights[1] * y_offset / height,
            weights[2] * paddle.log(box_width / width),
            weights[3] * paddle.log(box_height / height),
        ],
        axis=1,
    )


def decode(deltas: Any, anchors: Any, weights: tuple[float, ...]) -> Any:
    """Undo `encode` for each class: deltas (M, 4 * C) and anchors (M, 4) to boxes (M, C, 4)."""
    deltas = deltas.reshape([0, -1, 4])  # (M, C, 4)
    anchors = anchors.unsqueeze(1)  # (M, 1, 4)
    size = anchors[:, :, 2:] - anchors[:, :, :2]
    centre = anchors[:, :, :2] + 0.5 * size
    offset = deltas[:, :, :2] / paddle.to_tensor(weights[:2], deltas.dtype)
    log_ratio = deltas[:, :, 2:] / paddle.to_tensor(weights[2:], deltas.dtype)
    centre = offset * size + centre
    half = 0.5 * paddle.exp(paddle.clip(log_ratio, max=_MAX_LOG_RATIO)) * size
    return paddle.concat([centre - half, centre + half], axis=2)


def clip_boxes(boxes: Any, sizes: Any) -> Any:
    """Cut boxes (M, C, 4) or (M, 4) at the borders of their images of `sizes` (M, 2), h and w."""
    limits = paddle.concat([sizes[:, 1:], sizes[:, :1]] * 2, axis=1)  # (M, 4) as w, h, w, h
    if boxes.ndim == 3:
        limits = limits.unsqueeze(1)
    return paddle.clip(paddle.minimum(boxes, limits), min=0.0)


def image_index(counts: Any, rows: Any) -> Any:
    """Say of which image each row of `rows` is, given how many each image has: (M,), int64."""
    ends = paddle.cumsum(counts.astype("int64"))
    positions = paddle.arange(paddle.shape(rows)[0], dtype="int64")
    return (positions.unsqueeze(1) >= ends.unsqueeze(0)).astype("int64").sum(axis=1)


def best_of_each_image(scores: Any, image: Any, counts: Any, kept: int) -> tuple[Any, Any]:
    """Choose of M rows the `kept` with the best `scores` of each image, grouped by image.

    `image` (M,) says of which image each row is, `counts` (N,) how many each has. Gives indices
    and how many are of each image (N,), int32. An image's rows come best first where some are
    dropped, in their old order where none are: as in PaddleDetection, whose training without
    randomness takes the first ones. One sort for all images needs no loop, which a traced graph of
    any batch size could not have.
    """
    counts = counts.astype("int64")
    total = paddle.shape(scores)[0].astype("int64")
    place = paddle.arange(total, dtype="int64")
    rank = paddle.argsort(paddle.argsort(scores, descending=True))
    order = paddle.where(counts.gather(image) > kept, rank, place)
    order = paddle.argsort(image * total + order)
    begin = (paddle.cumsum(counts) - counts).gather(image.gather(order))
    chosen = paddle.masked_select(order, place - begin < kept)
    return chosen, paddle.clip(counts, max=kept).astype("int32")
