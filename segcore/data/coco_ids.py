"""The ids that a COCO file gives its images and categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from segcore.data.coco import read_coco
from segcore.data.paths import printable
from segcore.tasks.coco_results import CocoIds

__all__ = ["read_coco_ids"]


def read_coco_ids(path: Path) -> CocoIds:
    """Read the ids of the COCO file `path`. Raises DataError as `read_coco` does."""
    content = read_coco(path)
    return CocoIds(
        printable(path),
        _by_name((_plain(image.file_name), image.id) for image in content.images),
        _by_name((category.name, category.id) for category in content.categories),
    )


def _plain(file_name: str) -> str:
    """Give `file_name` without `./` and with slashes, whatever wrote it."""
    return str(PurePosixPath(file_name.replace("\\", "/")))


def _by_name(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for name, number in pairs:
        found[name].append(number)
    return {name: tuple(numbers) for name, numbers in found.items()}
