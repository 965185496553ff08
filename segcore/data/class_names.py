"""Whether a model and a dataset mean the same classes by the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.data.paths import printable
from segcore.errors import DataError

__all__ = ["compare_class_names"]

_SHOWN = 10


def compare_class_names(
    of_model: Sequence[str], of_dataset: Sequence[str], source: str
) -> str | None:
    """Return a warning that lists the classes with other names than the model's; None for none.

    Classes are compared by their numbers, so that a class which both know at different numbers
    raises DataError. Names that were counted, because nobody gave any, say nothing.
    """
    if _are_counted(of_model) or _are_counted(of_dataset):
        return None
    known = {_key(name): number for number, name in enumerate(of_model)}
    moved = [
        f"{printable(name)} is {number} here and {known[_key(name)]} there"
        for number, name in enumerate(of_dataset)
        if known.get(_key(name), number) != number
    ]
    if moved:
        more = f", and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        raise DataError(
            f"{source}: has its classes in another order than the model: "
            f"{', '.join(moved[:_SHOWN])}{more}. Bring them into the order of the model: "
            f"{', '.join(map(printable, of_model))}"
        )
    others = [
        f"{number} {printable(name)} ({printable(trained)})"
        for number, (name, trained) in enumerate(zip(of_dataset, of_model, strict=False))
        if name != trained
    ]
    if not others:
        return None
    return (
        f"{source}: {len(others)} of {len(of_dataset)} classes have other names than the model "
        f"knows them by (in brackets), and are compared by their numbers: {', '.join(others)}"
    )


def _are_counted(names: Sequence[str]) -> bool:
    counted = [str(number) for number in range(len(names))]
    return list(names) in (counted, [f"class {number}" for number in counted])


def _key(name: str) -> str:
    return name.strip().casefold()
