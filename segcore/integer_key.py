"""Whole numbers that strangers give as keys: ids of COCO files, keys of pickles and of YAML.

Python hashes whole numbers modulo 2**61 - 1, without the secret that it mixes into the hashes of
text. A file full of multiples of that number makes every look into a dictionary a walk through all
of it: a megabyte takes minutes. Below 2**53, which is also as far as JSON's readers agree on whole
numbers, no two have the same hash.
"""

from __future__ import annotations

from typing import Final, TypeGuard

__all__ = ["KEY_LIMIT", "is_integer_key"]

KEY_LIMIT: Final = 2**53


def is_integer_key(value: object) -> TypeGuard[int]:
    """Say whether `value` is a whole number that may be hashed. Ask before it is hashed."""
    return type(value) is int and -KEY_LIMIT < value < KEY_LIMIT
