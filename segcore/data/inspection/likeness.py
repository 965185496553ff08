"""Find pictures that are the same, or nearly, among millions, by numbers made from each.

The fingerprint of a picture says where it becomes brighter from left to right on a grid of 16 by
16 (a difference hash). It stays nearly the same when a picture is scaled, compressed again or made
a little brighter, as the neighbouring frames of a video do. Turned and cropped ones are not found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["WORDS", "fingerprint", "near_pairs"]

WORDS = 4
"""A fingerprint is this many numbers of 64 bits."""

_SIDE = 16
_STEP = 2  # grey levels; smaller changes are noise of the compression
_MIN_STEPS = 40  # pictures with fewer changes say too little to be compared
_MAX_DISTANCE = 10  # of 256 bits
_BANDS = 8  # near pairs agree in at least one of these parts of 32 bits, but for rare exceptions
_CROWD = 64  # a part that more pictures share says nothing
_CHUNK = 2**14  # rows whose bits are unpacked at a time: 4 MiB


def fingerprint(grey: np.ndarray) -> np.ndarray | None:
    """Give the fingerprint of a grey picture (H, W) uint8, (4,) uint64; None where it is flat."""
    import cv2

    small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    change = small[:, 1:] - small[:, :-1]
    if np.count_nonzero(np.abs(change) > _STEP) < _MIN_STEPS:
        return None
    words: np.ndarray = np.packbits(change > _STEP).view(np.uint64)
    return words


def near_pairs(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield an index of `theirs` (M, 4) with the one of `ours` (N, 4) that is nearest to it.

    Only those that hardly differ are given, each of `theirs` once, in order.
    """
    if not len(ours) or not len(theirs):
        return
    best = np.full(len(theirs), _MAX_DISTANCE + 1, np.int16)
    partner = np.full(len(theirs), -1, np.int64)
    our_bands = ours.view(np.uint32)
    their_bands = theirs.view(np.uint32)
    for band in range(_BANDS):
        order = np.argsort(our_bands[:, band], kind="stable")
        keys = our_bands[order, band]
        first = np.searchsorted(keys, their_bands[:, band], "left")
        last = np.searchsorted(keys, their_bands[:, band], "right")
        for shift in range(_CROWD):
            # one candidate for each of theirs at a time keeps the memory small
            rows = np.flatnonzero((first + shift < last) & (last - first <= _CROWD))
            if not rows.size:
                break
            candidates = order[first[rows] + shift]
            distance = _distance(theirs[rows], ours[candidates])
            nearer = distance < best[rows]
            best[rows[nearer]] = distance[nearer]
            partner[rows[nearer]] = candidates[nearer]
    for index in np.flatnonzero(partner >= 0):
        yield int(index), int(partner[index])


def _distance(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Count the bits in which rows of (K, 4) uint64 differ, (K,) int16."""
    counts = np.empty(len(some), np.int16)
    for start in range(0, len(some), _CHUNK):
        part = slice(start, start + _CHUNK)
        bits = np.unpackbits((some[part] ^ others[part]).view(np.uint8), axis=1)
        counts[part] = bits.sum(axis=1, dtype=np.int16)
    return counts
