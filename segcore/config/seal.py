"""The first line of the configuration that a run saves: a digest of all that follows.

The file explains itself, so people edit it; the digest tells an edit, or damage, from what the
training wrote. Whoever means the edit removes the line.
"""

from __future__ import annotations

import hashlib
from operator import ne

__all__ = ["is_sealed", "seal"]

_BEGINNING = b"# sha256 of all below, as the training wrote it (remove this line after an edit): "
_DAMAGED_BYTES = 3  # so many may differ in a beginning that is still known again


def seal(text: str) -> str:
    """Put the digest of `text` before it."""
    return _first_line(text.encode()).decode() + text


def is_sealed(content: bytes) -> bool | None:
    """Say whether a file is as `seal` made it; None where it has no digest to compare with."""
    body = content[len(_first_line(b"")) :]
    if content == _first_line(body) + body:
        return True
    is_known = len(content) >= len(_BEGINNING) and (
        sum(map(ne, content, _BEGINNING)) <= _DAMAGED_BYTES
    )
    return False if is_known else None


def _first_line(body: bytes) -> bytes:
    return _BEGINNING + hashlib.sha256(body).hexdigest().encode() + b"\n"
