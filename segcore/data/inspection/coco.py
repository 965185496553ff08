"""Inspect a dataset in COCO's layout: the annotation files, every image, and the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.coco import CocoAnnotation, CocoFile, CocoImage, read_coco
from segcore.data.cocodataset import annotation_file, check_size, image_folder
from segcore.data.decode import decode_image
from segcore.data.inspection.census import PICTURES, Census, SplitCensus, View, judge_classes
from segcore.data.inspection.collector import Collector
from segcore.data.inspection.ledger import Ledger
from segcore.data.inspection.repetition import Repetitions
from segcore.data.inspection.sample import SPECK_AREA, Look, look_at_image
from segcore.data.listfile import Row
from segcore.data.overlay import draw_overlay
from segcore.data.palette import voc_palette
from segcore.data.paths import printable
from segcore.data.pool import map_in_threads
from segcore.data.rowfile import RowFiles
from segcore.data.stats.survey import Progress
from segcore.errors import DataError
from segcore.filesystem import is_file
from segcore.tasks.instances import mask_rle
from segcore.tasks.rle import decode_mask

__all__ = ["inspect_coco"]

_NAMES = {
    "leaves-dataset": "leaves-dataset",
    "missing-image": "file-missing",
    "not-a-file": "not-regular",
}
"""Problems of annotation files that other datasets have as well; the rest are kinds `coco-...`."""


def inspect_coco(
    root: Path,
    config: DataConfig,
    splits: Sequence[str],
    collector: Collector,
    *,
    workers: int | None,
    progress: Progress,
) -> Census:
    """Look at every object and image of `splits` of the dataset in `root`."""
    return _Inspector(root, config, splits, collector).run(workers, progress)


class _Inspector:
    """One look at one dataset."""

    def __init__(
        self, root: Path, config: DataConfig, splits: Sequence[str], collector: Collector
    ) -> None:
        self.config = config
        self.collector = collector
        self.paths = {split: annotation_file(root, split, config) for split in splits}
        self.files = {
            split: RowFiles(image_folder(root, split, config), config) for split in splits
        }
        self.folders = {split: image_folder(root, split, config) for split in splits}
        self.contents: dict[str, CocoFile] = {}
        self.ledgers = {split: Ledger() for split in splits}
        self.censuses = {split: SplitCensus(split) for split in splits}

    def run(self, workers: int | None, progress: Progress) -> Census:
        for split, path in self.paths.items():
            self._read(split, path)
        names = self._agree_on_classes()
        total = sum(len(content.images) for content in self.contents.values())
        seen = progress(map_in_threads(self._look, self._places(), workers), total=total)
        for split, image, line, look in seen:
            self._note(split, image, line, look)
        shown = {split: path.name for split, path in self.paths.items()}
        repetitions = Repetitions(self.ledgers, shown, self._rows, self.collector)
        repetitions.tell_names()
        repetitions.tell_leaks()
        repetitions.tell_copies()
        censuses = tuple(self.censuses.values())
        file = next(iter(shown.values()), "")
        judge_classes(censuses, names, self.collector, file=file, by_pixels=False)
        return Census("COCOInstSegDataset", censuses, names, counted="objects")

    def _read(self, split: str, path: Path) -> None:
        if not is_file(path):
            message = (
                f"{path.name}: is missing. Put the annotations of {split} there, or name their "
                "file with data.annotation_files."
            )
            self.collector.add("list-missing", path.name, message, split=split)
            return
        try:
            content = read_coco(path, self.folders[split], allow_outside=self.config.allow_outside)
        except DataError as error:
            kind = error.kind or "coco-invalid"
            self.collector.add(kind, path.name, str(error), split=split)
            return
        self.contents[split] = content
        told: set[tuple[str, int]] = set()
        for problem in content.problems:
            if problem.annotation_id is not None:
                key = problem.kind, problem.annotation_id
                if key in told:  # one object with several bad parts
                    continue
                told.add(key)
            kind = _NAMES.get(problem.kind, f"coco-{problem.kind}")
            file = path.name if problem.file == printable(path) else problem.file
            message = f"{printable(file)}: {problem.message}"
            self.collector.add(kind, file, message, split=split)
        if not content.images:
            message = f"{path.name}: lists no images that can be used."
            self.collector.add("list-empty", path.name, message, split=split)
        self._count_objects(split, content)

    def _count_objects(self, split: str, content: CocoFile) -> None:
        names = {image.id: image.file_name for image in content.images}
        for annotation in content.annotations:
            where = f"{printable(names[annotation.image_id])}: annotation {annotation.id}"
            if annotation.iscrowd:
                text = f"{where} is a crowd; neither losses nor metrics count it."
                self.collector.add("coco-crowd", names[annotation.image_id], text, split=split)
            elif annotation.area < SPECK_AREA:
                text = f"{where} covers {annotation.area:.3g} square pixels."
                self.collector.add("tiny-objects", names[annotation.image_id], text, split=split)

    def _agree_on_classes(self) -> tuple[str, ...]:
        """Give the names of the classes, and count how often each occurs."""
        agreed: list[tuple[int, str]] | None = None
        for split, content in self.contents.items():
            listed = sorted((category.id, category.name) for category in content.categories)
            if agreed is None:
                agreed = listed
            elif listed != agreed:
                first = self.paths[next(iter(self.contents))].name
                message = (
                    f"{self.paths[split].name}: its categories are not those of {first}. "
                    "Give both the same ids and names."
                )
                self.collector.add("coco-categories", self.paths[split].name, message, split=split)
        numbers = {category_id: number for number, (category_id, _) in enumerate(agreed or ())}
        for split, content in self.contents.items():
            for annotation in content.annotations:
                number = numbers.get(annotation.category_id)
                if number is not None:
                    self.censuses[split].count(number, round(annotation.area))
        names = tuple(name for _, name in agreed or ())
        if self.config.num_classes not in (None, len(names)) and names:
            message = (
                f"{len(names)} categories, but data.num_classes is {self.config.num_classes}. "
                "Mend one of the two."
            )
            self.collector.add("classes-disagree", next(iter(self.paths.values())).name, message)
        return names

    def _places(self) -> Iterator[tuple[str, CocoImage, int]]:
        for split, content in self.contents.items():
            for number, image in enumerate(content.images, start=1):
                yield split, image, number

    def _look(self, place: tuple[str, CocoImage, int]) -> tuple[str, CocoImage, int, Look]:
        split, image, number = place
        look = Look()
        size = look_at_image(look, image.file_name, self.files[split], self.config)
        if size is not None:
            try:
                check_size(image.file_name, size, (image.height, image.width))
            except DataError as error:
                look.tell_error(image.file_name, error)
        return split, image, number, look

    def _note(self, split: str, image: CocoImage, number: int, look: Look) -> None:
        for kind, name, message in look.problems:
            if kind != "file-missing":  # reading the annotations told it
                self.collector.add(kind, name, message, split=split)
        row = Row(image.file_name, "", number)
        self.ledgers[split].add(row, path=look.path, content=look.content, picture=look.picture)
        census = self.censuses[split]
        census.samples += 1
        if look.is_sound and len(census.views) < PICTURES:
            census.views.append(View(image.file_name, partial(self._draw, split, image)))

    def _draw(self, split: str, image: CocoImage) -> np.ndarray:
        name = image.file_name
        picture, _ = decode_image(self.files[split].read(name), printable(name), self.config)
        objects = [a for a in self.contents[split].annotations if a.image_id == image.id]
        return _draw_objects(picture[..., :3] if picture.shape[2] >= 3 else picture, objects)

    def _rows(self, split: str, lines: Iterable[int]) -> Iterator[Row]:
        content = self.contents.get(split)
        for number in sorted(set(lines)) if content is not None else ():
            yield Row(content.images[number - 1].file_name, "", number)  # type: ignore[union-attr]


def _draw_objects(image: np.ndarray, objects: Sequence[CocoAnnotation]) -> np.ndarray:
    """Lay each object over `image` (H, W, C) in a colour of its own, with its box."""
    import cv2

    size = image.shape[0], image.shape[1]
    labels = np.zeros(size, np.int32)
    largest_first = sorted(objects, key=lambda a: -a.area)
    for number, annotation in enumerate(largest_first, start=1):
        mask = decode_mask(mask_rle(annotation.segmentation, size))
        labels[mask.astype(bool)] = number
    palette = voc_palette(max(256, len(objects) + 1))
    picture = np.ascontiguousarray(draw_overlay(image, labels, palette))
    for number, annotation in enumerate(largest_first, start=1):
        x, y, width, height = (round(value) for value in annotation.bbox)
        colour = tuple(int(value) for value in palette[number])
        cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), colour, 1)
    return picture
