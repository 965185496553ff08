"""Which boxes shall find which objects, and which of them a training step looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle

from segcore_maskrcnn.boxes import pairwise_iou

__all__ = ["IGNORED", "Sampler", "match", "pick_balanced", "pick_libra", "step_generator"]

IGNORED = -1
"""The label of boxes that are neither near an object nor far from all."""

Sampler = Callable[..., tuple[np.ndarray, np.ndarray]]


def step_generator() -> np.random.Generator:
    """Give a generator that hangs on Paddle's, so that a resumed training repeats itself."""
    return np.random.default_rng(paddle.randint(0, 2**31 - 1, [1]).item())


def match(
    boxes: Any, objects: Any, positive: float, negative: float, *, keep_best: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Find for each of M boxes the object that it overlaps most.

    Gives the objects' indices (M,) int64, and as NumPy labels (M,): 1 from an overlap of
    `positive` on, 0 below `negative`, else IGNORED, and the overlaps (M,). With `keep_best` the
    best boxes of every object are positive, whatever their overlap. Without objects all are 0.
    """
    count = boxes.shape[0]
    if objects.shape[0] == 0:
        nothing = np.zeros(count, np.int64)
        return paddle.to_tensor(nothing), nothing, np.zeros(count, np.float32)
    overlaps = pairwise_iou(objects, boxes)  # (objects, M)
    best = overlaps.max(axis=0).numpy()
    labels = np.full(count, IGNORED, np.int64)
    labels[best < negative] = 0
    labels[best >= positive] = 1
    if keep_best:
        is_best = (overlaps == overlaps.max(axis=1, keepdim=True)) & (overlaps > 0)
        labels[is_best.any(axis=0).numpy()] = 1
    return overlaps.argmax(axis=0), labels, best


def pick_balanced(
    labels: np.ndarray,
    count: int,
    positive_share: float,
    *,
    generator: np.random.Generator | None,
    **_: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick up to `count` boxes, of which `positive_share` at most are positive, at random.

    Gives the indices of positives (label 1) and negatives (label 0). Without `generator` the first
    ones are taken.
    """
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    wanted = min(len(positives), int(count * positive_share))
    others = min(len(negatives), count - wanted)
    return _some(positives, wanted, generator), _some(negatives, others, generator)


def pick_libra(
    labels: np.ndarray,
    count: int,
    positive_share: float,
    *,
    generator: np.random.Generator | None,
    matches: np.ndarray,
    overlaps: np.ndarray,
    bins: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick like `pick_balanced`, but as many positives of every object, and hard negatives.

    Negatives come in equal numbers from `bins` intervals of overlap; what an interval lacks is
    filled up from all. Paper: Pang et al., "Libra R-CNN: Towards Balanced Learning for Object
    Detection", https://arxiv.org/abs/1904.02701
    """
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    wanted = min(len(positives), round(count * positive_share))
    by_object = [positives[matches[positives] == number] for number in np.unique(matches)]
    positives = _spread(by_object, positives, wanted, generator)
    wanted = min(len(negatives), count - len(positives))
    edges = np.linspace(0.0, max(float(overlaps[negatives].max(initial=0.0)), 1e-6), bins + 1)
    which = np.clip(np.searchsorted(edges, overlaps[negatives], side="right") - 1, 0, bins - 1)
    by_overlap = [negatives[which == number] for number in range(bins)]
    return positives, _spread(by_overlap, negatives, wanted, generator)


def _spread(
    groups: list[np.ndarray],
    everything: np.ndarray,
    wanted: int,
    generator: np.random.Generator | None,
) -> np.ndarray:
    """Take as many of each group, and fill up from `everything` what small groups lack."""
    groups = [group for group in groups if len(group)]
    share = wanted // max(len(groups), 1)
    taken = [_some(group, min(share, len(group)), generator) for group in groups]
    chosen = np.concatenate([*taken, everything[:0]])
    rest = np.setdiff1d(everything, chosen)
    return np.concatenate([chosen, _some(rest, wanted - len(chosen), generator)])


def _some(indices: np.ndarray, count: int, generator: np.random.Generator | None) -> np.ndarray:
    if generator is None or count == len(indices):
        return indices[:count]
    return generator.permutation(indices)[:count]
