"""Numbers as programs give them: Python's or NumPy's, and now and then something else."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any

__all__ = ["as_integer", "plain_real"]


def as_integer(value: Any) -> int | None:
    """Give the whole number that `value` is, or None; True and False are none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def plain_real(value: Any) -> Any:
    """Give a number as Python's float, and anything else as it is, for whoever refuses it."""
    return value if isinstance(value, bool) or not isinstance(value, Real) else float(value)
