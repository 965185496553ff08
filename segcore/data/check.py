"""Look at every sample before a training begins, so that a bad one does not end it hours later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from segcore.errors import DataError
from segcore.protocols import Dataset

__all__ = ["find_faults", "require_sound"]

_SHOWN = 20


def find_faults(
    dataset: Dataset, progress: Callable[[Iterable[str | None]], Iterable[str | None]] = iter
) -> list[str]:
    """Give what is wrong with each unusable sample of `dataset`, in order; `progress` looks on.

    Labels are decoded and compared with the classes, images by their headers alone. Datasets of
    plugins that cannot `check` a sample are taken as they are.
    """
    check = getattr(dataset, "check", None)
    if check is None:
        return []

    def fault(index: int) -> str | None:
        try:
            check(index)
        except DataError as error:
            return str(error)
        return None

    # threads suffice: reading files and decoding PNG leave the interpreter free
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = progress(pool.map(fault, range(len(dataset))))
        return [text for text in found if text is not None]


def require_sound(datasets: Mapping[str, Dataset]) -> None:
    """Raise DataError that lists the first 20 unusable samples of `datasets`, and their number."""
    from tqdm import tqdm

    faults: list[str] = []
    for split, dataset in datasets.items():
        show = partial(
            tqdm, desc=f"checking {split}", total=len(dataset), disable=None, delay=2, leave=False
        )
        faults += find_faults(dataset, show)
    if not faults:
        return
    if len(faults) == 1:
        raise DataError(faults[0])
    more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    raise DataError(
        f"{len(faults)} samples cannot be used:\n  " + "\n  ".join(faults[:_SHOWN] + more)
    )
