"""What a check of a dataset finds, in a form that programs and people can act on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, or that its owner should know.

    `code` is stable (`SEG023`), `severity` says whether a training may begin, `file` is the image,
    label or list that shows it best, relative to the dataset, and `line` its line, from 1, in
    `list`, the list of `split`; all three can be None. `count` is how many samples have it, and
    `others` names a few more of them. `fix` is a command that mends it, or None where none can.
    """

    code: str
    severity: Literal["error", "warning"]
    file: str
    message: str
    split: str | None = None
    list: str | None = None
    line: int | None = None
    count: int = 1
    fix: str | None = None
    others: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the fields as JSON holds them."""
        return asdict(self)
