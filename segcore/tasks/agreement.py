"""Compare what an exported model computes with what the network computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["disagreement"]


def disagreement(
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    *,
    differing_share: float = 1e-3,
    relative_error: float = 1e-3,
) -> str | None:
    """Say how `actual` departs from `expected`, or None where it agrees.

    Integers (class maps) may differ in a share of `differing_share` of their places, since another
    order of summation decides near-ties otherwise; real numbers by `relative_error` of the largest.
    """
    if len(actual) != len(expected):
        return f"it gives {len(actual)} outputs instead of {len(expected)}"
    for number, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
        if got.shape != wanted.shape:
            return f"output {number} has shape {got.shape} instead of {wanted.shape}"
        if np.issubdtype(wanted.dtype, np.integer):
            share = float((got != wanted).mean())
            if share > differing_share:
                return f"output {number} differs in {share:.2%} of its places"
            continue
        error = float(np.abs(got - wanted).max(initial=0.0))
        bound = relative_error * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        if not error <= bound:  # written so that NaN disagrees
            return f"output {number} is off by up to {error:.3g} (allowed {bound:.3g})"
    return None
