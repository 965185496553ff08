"""Which class of the result each label of a source becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from segcore.annotation import IGNORED, Classes
from segcore.errors import RequestError

__all__ = [
    "DEFAULT_BACKGROUND",
    "IGNORE_LABEL",
    "ClassTable",
    "is_background",
    "is_writable",
    "plan_classes",
]

DEFAULT_BACKGROUND = "_background_"
IGNORE_LABEL = "__ignore__"
_MOST_CLASSES = 2**15 - 1
_SHOWN = 20


def is_background(name: str) -> bool:
    """Say whether a class is called background, as LabelMe, Pascal VOC and people write it."""
    return name.strip("_ ").casefold() == "background"


def is_writable(name: str) -> bool:
    """Say whether a file can hold `name`; JSON may hold half a character, which none can."""
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class ClassTable:
    """The classes of the result, and the class or `IGNORED` that each label becomes."""

    classes: Classes
    index: Mapping[str, int]


def plan_classes(
    source: Classes,
    names: Sequence[str] | None = None,
    background: str | None = None,
    ignored: Iterable[str] = (),
) -> ClassTable:
    """Decide the classes of the result.

    `names` are the wanted classes in order, those of `source` where it is None. `background` is
    the name of class 0, for what nobody annotated; without it, it is what `names` call background,
    or `_background_` where the source leaves pixels without a class. Labels in `ignored`, and
    `__ignore__`, become `IGNORED`. Raises RequestError that lists the labels which would be lost.
    """
    left_out = {IGNORE_LABEL, *ignored}
    wanted = [name for name in (source.names if names is None else names) if name not in left_out]
    _refuse_repeated(wanted)
    if background is None:
        background = next(filter(is_background, wanted), None)
    if background is None and source.has_background:
        own = source.names[0] if source.has_background and source.names else DEFAULT_BACKGROUND
        background = own if is_background(own) else DEFAULT_BACKGROUND
    ordered = [name for name in wanted if name != background]
    if background is not None:
        ordered.insert(0, background)
    index = {name: number for number, name in enumerate(ordered)}
    if background is not None:
        # a source may write the same thing in another way
        index |= {n: 0 for n in source.names if is_background(n) and n not in index}
    index |= dict.fromkeys(left_out, IGNORED)
    unknown = [name for name in source.names if name not in index]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise RequestError(
            f"{len(unknown)} labels are not among the classes: "
            f"{', '.join(repr(name) for name in unknown[:_SHOWN])}{more}. Add them to "
            "--classes, or leave their pixels out of training: --ignore-label NAME."
        )
    if len(ordered) < 1 or len(ordered) > _MOST_CLASSES:
        raise RequestError(f"{len(ordered)} classes: there must be 1 to {_MOST_CLASSES}.")
    colours = dict(zip(source.names, source.colours, strict=False))
    chosen = tuple(colours.get(name) for name in ordered)
    classes = Classes(tuple(ordered), chosen if any(chosen) else (), background is not None)
    return ClassTable(classes, index)


def _refuse_repeated(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen or not name.strip() or not is_writable(name):
            what = "stands twice" if name in seen else "has no character that can be written"
            raise RequestError(f"class {name!r} {what}; give every class its own name.")
        seen.add(name)
