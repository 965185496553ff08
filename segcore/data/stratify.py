"""Deal units out to parts so that sizes and classes come out in the wished shares.

A unit is what stays together: an image, or all frames of a video. The rarest class is dealt out
first, each unit to the part that lacks most of that class: the iterative stratification of
Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data" (2011), here for units
of several images and with parts that are never filled beyond their size while another has room.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["deal_out", "round_shares"]


def round_shares(total: int, shares: Sequence[float]) -> list[int]:
    """Split `total` into whole numbers in these shares, which sum to 1, by largest remainder.

    Every share above 0 gets 1 at least, as long as `total` allows.
    """
    exact = [total * share for share in shares]
    counts = [int(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    for i, share in enumerate(shares):
        if share > 0 and counts[i] == 0 and max(counts) > 1:
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    return counts


def deal_out(
    sizes: np.ndarray, classes: np.ndarray, shares: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Give the part (U,) of each of U units.

    `sizes` (U,) are images in each unit, `classes` (U, C) how many of them show each class (C may
    be 0), `shares` (S,) sum to 1 and are all above 0. No part is left empty; U must be S at least.
    The same arguments and generator give the same parts.
    """
    dealer = _Dealer(sizes, classes, shares)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # what is large is placed while it fits
    shows = classes > 0
    while True:
        waiting = dealer.parts < 0
        frequency = shows[waiting].sum(axis=0)
        if not frequency.any():
            break
        rarest = int(np.where(frequency > 0, frequency, len(sizes) + 1).argmin())
        for unit in order[waiting[order] & shows[order, rarest]]:
            dealer.place(unit, dealer.lacking[:, rarest])
    for unit in order[dealer.parts[order] < 0]:
        dealer.place(unit, dealer.room)
    _fill_empty_parts(dealer.parts, order, len(shares))
    return dealer.parts


class _Dealer:
    """What each part still lacks: images in `room` (S,), images of each class in `lacking`."""

    def __init__(self, sizes: np.ndarray, classes: np.ndarray, shares: Sequence[float]) -> None:
        self._sizes = sizes
        self._classes = classes
        self.parts = np.full(len(sizes), -1)
        self.room = np.array(round_shares(int(sizes.sum()), shares))
        self.lacking = np.outer(shares, classes.sum(axis=0))  # (S, C)

    def place(self, unit: int, need: np.ndarray) -> None:
        """Give a unit to the part with the greatest need (S,), then room, among those it fits."""
        size = self._sizes[unit]
        fits = np.flatnonzero(self.room >= size)
        if fits.size:
            part = max(fits, key=lambda i: (need[i], self.room[i], -i))
        else:
            part = self.room.argmax()
        self.parts[unit] = part
        self.room[part] -= size
        self.lacking[part] -= self._classes[unit]


def _fill_empty_parts(parts: np.ndarray, order: np.ndarray, count: int) -> None:
    """Move the smallest unit of the part with most units into each part that has none."""
    for empty in range(count):
        filled = np.bincount(parts, minlength=count)
        if filled[empty] == 0:
            of_largest = order[parts[order] == filled.argmax()]
            parts[of_largest[-1]] = empty
