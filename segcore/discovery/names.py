"""Names as users type them: case, `-`, `_` and spaces never matter."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["distribution_key", "name_key", "nearest", "one_line"]

_IGNORED = str.maketrans("", "", "-_ ")


def name_key(name: str) -> str:
    """Fold `name` so that all spellings of one name are equal."""
    return name.casefold().translate(_IGNORED)


def distribution_key(name: str) -> str:
    """Fold the name of a distribution as package indexes do (PEP 503)."""
    folded = name.casefold().replace("_", "-").replace(".", "-")
    return "-".join(part for part in folded.split("-") if part)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Give the names of `known` that `name` may have been meant as, best first."""
    # imported here because it is only needed once something went wrong
    from difflib import get_close_matches

    spellings = {name_key(candidate): candidate for candidate in known}
    return [spellings[key] for key in get_close_matches(name_key(name), spellings, limit, 0.6)]


def one_line(text: object, limit: int = 300) -> str:
    """Put a message of unknown origin on one line of bounded length."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
