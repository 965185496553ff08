"""How odd a sample is among the others of its dataset, and why.

Each sign of oddness gives a sample 0 (like the others) to 1; the sum orders them. Numbers are
compared with the median, in units of the usual deviation from it, which a few odd samples do not
move: three units are a quarter, six and more are 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segcore.data.view.facts import FactTable

__all__ = ["Oddness", "judge_oddness"]

_TELLING = 0.25  # signs of at least this much are named
_RARE = 0.1  # classes in a smaller part of the images are rare
_SIX_SIGMA = 6.0
_MAD_TO_SIGMA = 1.4826
_HALF_AT = 5  # tiny objects


@dataclass(frozen=True)
class Oddness:
    """The scores of samples, (N,), and what gives the reasons of one, the strongest first."""

    scores: np.ndarray
    reasons: Callable[[int], tuple[str, ...]]


@dataclass(frozen=True)
class _Sign:
    scores: np.ndarray
    describe: Callable[[int], str]


def judge_oddness(facts: FactTable, class_names: Sequence[str]) -> Oddness:
    """Compare the samples of `facts` with each other."""
    signs = [
        *_deviations(facts),
        _ignored(facts),
        _tiny(facts),
        _rare(facts, class_names),
        _lone(facts),
    ]
    table = np.stack([sign.scores for sign in signs])

    def reasons(position: int) -> tuple[str, ...]:
        column = table[:, position]
        order = [number for number in np.argsort(-column) if column[number] >= _TELLING]
        return tuple(signs[number].describe(position) for number in order)

    return Oddness(table.sum(axis=0), reasons)


def _deviations(facts: FactTable) -> Iterator[_Sign]:
    brightness, contrast = facts.column("brightness"), facts.column("contrast")
    yield _two_sided(brightness, 2, "dark", "bright", lambda i: f" ({brightness[i]:.0f} of 255)")
    yield _two_sided(contrast, 1, "flat", "harsh", lambda i: f" (contrast {contrast[i]:.0f})")
    area, aspect = facts.column("area"), facts.column("aspect")
    yield _two_sided(np.log2(area), 0.1, "small", "large", lambda i: f" ({area[i]:,.0f} px)")
    yield _two_sided(np.log2(aspect), 0.1, "tall", "wide", lambda i: f" ({aspect[i]:.2f} : 1)")
    objects = facts.column("objects")
    crowded = _deviation(np.log2(1 + objects), 0.3)
    yield _Sign(_squared(crowded), lambda i: f"crowded ({objects[i]:,.0f} objects)")
    edges = np.log2(facts.column("edges"))
    yield _Sign(_squared(-_deviation(edges, 0.2)), lambda _: "borders of the label off the edges")


def _two_sided(
    values: np.ndarray, least: float, low: str, high: str, detail: Callable[[int], str]
) -> _Sign:
    deviation = _deviation(values, least)
    return _Sign(
        _squared(np.abs(deviation)),
        lambda i: (low if deviation[i] < 0 else high) + detail(i),
    )


def _deviation(values: np.ndarray, least: float) -> np.ndarray:
    """Give how far values are from their median; `least` is the smallest unit; NaN becomes 0."""
    known = values[~np.isnan(values)]
    if not known.size:
        return np.zeros(values.shape)
    median = np.median(known)
    unit = max(_MAD_TO_SIGMA * float(np.median(np.abs(known - median))), least)
    deviation: np.ndarray = np.nan_to_num((values - median) / unit)
    return deviation


def _squared(deviation: np.ndarray) -> np.ndarray:
    scores: np.ndarray = (deviation / _SIX_SIGMA).clip(0, 1) ** 2
    return scores


def _ignored(facts: FactTable) -> _Sign:
    share = facts.column("ignored")
    return _Sign(((share - 0.25) / 0.75).clip(0, 1), lambda i: f"{share[i]:.0%} ignored")


def _tiny(facts: FactTable) -> _Sign:
    tiny = facts.column("tiny")
    return _Sign(
        tiny / (tiny + _HALF_AT),
        lambda i: f"{tiny[i]:.0f} tiny {'object' if tiny[i] == 1 else 'objects'}",
    )


def _rare(facts: FactTable, class_names: Sequence[str]) -> _Sign:
    """Judge each sample by the rarest class that it has."""
    images = np.zeros(len(class_names), np.int64)
    for position in range(len(facts)):
        images[facts.classes(position)] += 1
    rarity = (1 - images / max(1, len(facts)) / _RARE).clip(0, 1)

    def rarest(position: int) -> int | None:
        classes = facts.classes(position)
        return int(classes[rarity[classes].argmax()]) if classes.size else None

    found = [rarest(position) for position in range(len(facts))]
    scores = np.array([0.0 if number is None else rarity[number] for number in found])

    def describe(position: int) -> str:
        number = found[position] or 0
        return f"has {class_names[number]}, which {images[number]:,} of {len(facts):,} images have"

    return _Sign(scores, describe)


def _lone(facts: FactTable) -> _Sign:
    """Judge samples of one class alone, where that is not the rule."""
    single = np.array([facts.classes(position).size <= 1 for position in range(len(facts))], bool)
    usual = single.mean() > _RARE if single.size else True
    scores = np.where(single, 0.0 if usual else 0.5, 0.0)
    return _Sign(scores, lambda _: "one class alone")
