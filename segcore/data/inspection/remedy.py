"""The commands that mend what a check found, where `segcore data fix` can do it without loss."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from segcore.data.colour import count_colours, is_grey
from segcore.data.decode import decode_image
from segcore.data.inspection.collector import Collector
from segcore.errors import DataError
from segcore.filesystem import real_path

__all__ = ["find_colours", "offer_colours", "offer_label_map", "offer_plain_fixes"]

_OPTIONS: Mapping[str, str] = {
    "label-alpha": "",
    "label-deep": "",
    "label-exif": "",
    "label-orientation": "",
    "label-palette": "",
    "list-unreadable": "",
    "row-repeated": "",
    "label-mask": "--label-map 255=1",
    "split-same-content": "--drop-leaks",
    "split-same-file": "--drop-leaks",
}
"""The options of `segcore data fix` for each kind of finding."""

_BLACK = (0, 0, 0)


def offer_plain_fixes(collector: Collector, root: Path, *, has_colours: bool) -> None:
    """Offer the commands that depend on nothing but the kind of finding."""
    for kind, options in _OPTIONS.items():
        collector.offer(kind, _command(root, options))
    collector.offer("list-missing", f"segcore data split {shlex.quote(str(root))}")
    # done twice in place, this would turn a label twice
    collector.offer("rotated-square", _copying(root, "--labels-as-stored"))
    if has_colours:  # labels.txt says which class each colour is
        collector.offer("label-colours", _command(root, ""))


def offer_label_map(collector: Collector, root: Path, classes: Iterable[int]) -> None:
    """Offer to number the values of labels without gaps."""
    pairs = [f"{old}={new}" for new, old in enumerate(sorted(classes)) if new != old]
    if pairs:  # done twice in place, this would move values on and on
        collector.offer("class-gap", _copying(root, f"--label-map {','.join(pairs)}"))


def offer_colours(collector: Collector, root: Path, colours: Collection[tuple[int, ...]]) -> None:
    """Offer to number colours, black first; the owner may give them other numbers."""
    pairs = [
        "#{:02x}{:02x}{:02x}={}".format(*colour, number)
        for number, colour in enumerate(sorted(colours))
    ]
    if set(colours) == {_BLACK}:  # all of them are grey, which needs no numbers
        collector.offer("label-colours", _command(root, ""))
    elif pairs:
        collector.offer("label-colours", _command(root, f"--colours '{','.join(pairs)}'"))


def find_colours(data: bytes) -> set[tuple[int, ...]]:
    """Give the RGB colours of a label drawn in few colours; none of other pictures.

    A picture of greys is taken for class indices in three channels: it has but black.
    """
    try:
        picture, _ = decode_image(data, "a label")
    except DataError:
        return set()
    if is_grey(picture):
        return {_BLACK}
    colours = count_colours(picture)
    return set(colours.counts) if colours.is_all else set()


def _command(root: Path, options: str, place: str = "--in-place") -> str:
    return " ".join(filter(None, ("segcore data fix", shlex.quote(str(root)), place, options)))


def _copying(root: Path, options: str) -> str:
    named = root if root.name not in ("", "..") else real_path(root)  # `.` and `..` have no name
    copy = shlex.quote(str(named.parent / f"{named.name or 'dataset'}-fixed"))
    return _command(root, options, f"--output {copy}")
