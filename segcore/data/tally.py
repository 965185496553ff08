"""Count the warnings that reading raises, so that a set of 10,000 files costs one line a kind."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["WARNINGS", "Tally"]

WARNINGS = {
    "alpha": "have an alpha channel, which is dropped (all of it is opaque)",
    "cmyk": "are CMYK and were converted to RGB without a colour profile",
    "extra-channel": "have a fourth channel beside RGB, of which the file says nothing; it is "
    "dropped (data.channels=4 keeps it)",
    "mask": "have a mask of valid pixels, which is not used",
    "multiplied": "have transparent pixels, whose colours are used as stored, multiplied by alpha",
    "decoder": "made the decoder warn; they may be damaged",
    "duplicate-row": "stand more than once in their list",
    "ignored-label": "have a label that ignores every pixel",
    "rotated-square": "are square and were turned as their EXIF orientation says; "
    "check that their labels are turned as well",
    "suffix": "have a file name that names another format than the content",
    "transparent": "have transparent pixels, whose hidden colours are used",
    "truncated-tail": "lack their last bytes",
}


class Tally:
    """Counts by warning code, with the first file of each."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, str] = {}

    def add(self, codes: Iterable[str], source: str) -> None:
        """Count the warnings of one sample."""
        for code in codes:
            self.counts[code] = self.counts.get(code, 0) + 1
            self.examples.setdefault(code, source)

    def lines(self) -> list[str]:
        """Give one line for each code seen, in the order in which they came up."""
        return [
            f"{count} {'image' if count == 1 else 'images'}: "
            f"{WARNINGS.get(code, code)} (first: {self.examples[code]})"
            for code, count in self.counts.items()
        ]
