"""Read JSON that strangers wrote: the one place of `segcore.data` that does."""

from __future__ import annotations

import json
from typing import Any

from segcore.errors import DataError
from segcore.foreign import foreign_errors

__all__ = ["parse_json"]


def parse_json(data: bytes | str, source: str) -> Any:
    """Give the value that JSON in UTF-8, -16 or -32 stands for. Raises DataError."""
    with foreign_errors(lambda reason: DataError(f"{source}: is no JSON ({reason}).")):
        return json.loads(data)
