"""Objects of many images in the form of COCO's results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segcore.errors import RequestError

__all__ = ["CocoIds", "coco_rows", "is_coco_results"]

_SHOWN = 3
_ROWS = re.compile(rb'\[(?:\]\Z|\{"image_id": \d+, "file_name": ")')


@dataclass(frozen=True)
class CocoIds:
    """The ids of a COCO file: of images by file name, of categories by name.

    A name that stands for several has several ids. `source` is the file, for messages.
    """

    source: str
    images: Mapping[str, tuple[int, ...]]
    categories: Mapping[str, tuple[int, ...]]

    def image(self, source: str) -> int | None:
        """Give the id of the image from `source`, a path or an address that ends in its file name.

        It is None where the file does not list it. Raises RequestError for a name of several.
        """
        parts = re.split(r"[\\/]", source)
        names = ("/".join(parts[start:]) for start in range(len(parts)))
        found = next((self.images[name] for name in names if name in self.images), None)
        return None if found is None else self._one(found, "image", source)

    def category(self, name: str) -> int:
        """Give the id of the category `name`. Raises RequestError for none, or more than one."""
        if name not in self.categories:
            known = ", ".join(self.categories)
            raise RequestError(f"{self.source} has no category {name!r}, only {known or 'none'}")
        return self._one(self.categories[name], "category", name)

    def unlisted(self, sources: Sequence[str]) -> list[str]:
        """Give those of `sources` that are no image of the file.

        Raises RequestError where that is all of them, and for two that are one image.
        """
        taken: dict[int, str] = {}
        unlisted = []
        for source in sources:
            number = self.image(source)
            if number is None:
                unlisted.append(source)
            elif number in taken:
                raise RequestError(
                    f"{taken[number]} and {source} are one image in {self.source}: leave one out"
                )
            else:
                taken[number] = source
        if not taken:
            known = ", ".join(list(self.images)[:_SHOWN])
            raise RequestError(
                f"{self.source} lists none of the images, of which the first is {sources[0]}. Its "
                f"file names are {known or 'none'}...: are they the images of this file?"
            )
        return unlisted

    def _one(self, found: Sequence[int], what: str, name: str) -> int:
        if len(found) > 1:
            raise RequestError(
                f"{self.source} has {len(found)} times the {what} {name!r}, so that its id is "
                "unknown: leave one in the file"
            )
        return found[0]


def coco_rows(results: Sequence[Mapping[str, Any]], ids: CocoIds | None) -> list[dict[str, Any]]:
    """Give all objects of `results`, which are the JSON forms of instance results.

    With `ids` images that their file does not list are left out; without them images are numbered
    from 1 in their order, categories from 1 in the order of the classes. `file_name` and
    `category_name`, which readers of COCO's results pass over, name them.
    """
    numbers = (
        range(1, len(results) + 1)
        if ids is None
        else [ids.image(result["source"]) for result in results]
    )
    return [
        {
            "image_id": number,
            "file_name": result["source"],
            "category_id": found["id"] + 1 if ids is None else ids.category(found["name"]),
            "category_name": found["name"],
            "bbox": found["bbox"],
            "score": found["score"],
            "segmentation": found["segmentation"],
        }
        for number, result in zip(numbers, results, strict=True)
        if number is not None
        for found in result["instances"]
    ]


def is_coco_results(head: bytes) -> bool:
    """Say whether a file that begins so holds rows as `coco_rows` makes them, or none."""
    return _ROWS.match(head) is not None
