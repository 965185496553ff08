"""COCO's layout: `images/`, `annotations/instance_train.json`, `annotations/instance_val.json`.

Any other COCO file is used by `data.annotation_files`, any other folder of its images by
`data.image_folders`. Objects are kept in a few arrays and not as records, so that a dataset of a
million polygons travels to data workers in a second.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segcore.config.schema import Config, DataConfig
from segcore.data.coco import CocoAnnotation, CocoFile, CocoImage, coco_name, read_coco
from segcore.data.decode import check_image, decode_image
from segcore.data.paths import printable
from segcore.data.rowfile import RowFiles
from segcore.errors import DataError, LabelError
from segcore.filesystem import is_file, is_folder
from segcore.tasks.instances import Instances, Mask
from segcore.tasks.rle import Rle
from segcore.tasks.sample import Sample

if TYPE_CHECKING:
    from segcore.data.inspection.census import Census
    from segcore.data.inspection.collector import Collector
    from segcore.data.stats.survey import Progress

__all__ = ["CocoDataset", "CocoDatasetFormat", "annotation_file", "check_size", "image_folder"]

_SPLITS = ("train", "val", "test")
_SHOWN = 20


def annotation_file(root: Path, split: str, config: DataConfig) -> Path:
    """Give the annotation file of `split`: `data.annotation_files`, or the one of the layout."""
    named: Mapping[Any, str] = config.annotation_files or {}
    return root / named.get(split, f"annotations/{coco_name(split, config.fold)}")


def image_folder(root: Path, split: str, config: DataConfig) -> Path:
    """Give the folder of the images of `split`: `data.image_folders`, or that of the layout."""
    named: Mapping[Any, str] = config.image_folders or {}
    return root / named.get(split, "images")


def check_size(name: str, size: tuple[int, int], recorded: tuple[int, int]) -> None:
    """Raise LabelError unless the image `name` has the size (H, W) that was recorded for it."""
    height, width = recorded
    if recorded in (size, (0, 0)):  # zeros stand for a file that says no size
        return
    hint, kind = "Annotate the image that is there.", "coco-image-size"
    if (width, height) == size:
        hint = "Did EXIF orientation turn the image? Then turn its annotations as well."
        kind = "label-exif"
    raise LabelError(
        f"{printable(name)}: {size[1]} x {size[0]} pixels, but its annotations are for "
        f"{width} x {height}. {hint}",
        kind=kind,
    )


class CocoDatasetFormat:
    """Open datasets of this layout."""

    def detects(self, root: Path) -> bool:
        """Say whether `root` has an annotation file of the layout's name."""
        return any(is_file(annotation_file(root, split, DataConfig())) for split in _SPLITS)

    def splits(self, root: Path, config: Config) -> tuple[str, ...]:
        """Name the splits that `root` has an annotation file of."""
        return tuple(
            split for split in _SPLITS if is_file(annotation_file(root, split, config.data))
        )

    def files(self, root: Path, data: DataConfig, splits: Sequence[str]) -> Iterator[str]:
        """Name every file that `splits` are made of. Raises DataError where one is missing."""
        for split in splits:
            path = annotation_file(root, split, data)
            yield str(path.absolute())
            files = RowFiles(image_folder(root, split, data), data)
            for image in read_coco(path).images:
                yield files.path(image.file_name)

    def inspect(
        self,
        root: Path,
        data: DataConfig,
        splits: Sequence[str],
        collector: Collector,
        *,
        workers: int | None,
        progress: Progress,
    ) -> Census:
        """Look at every object and image of `splits`; findings go to `collector`."""
        from segcore.data.inspection.coco import inspect_coco

        return inspect_coco(root, data, splits, collector, workers=workers, progress=progress)

    def open(self, root: Path, split: str, config: Config) -> CocoDataset:
        """Open the split `train`, `val` or `test`. Raises DataError, the first 20 files listed."""
        return CocoDataset(root, split, config.data)


class CocoDataset:
    """The images of one split with their objects. Pickles small; `load` reads an image.

    Categories are the classes 0 to C-1 in the order of their ids, which `category_ids` keeps. An
    image without an object other than a crowd is left out of the split `train`, unless
    `data.keep_unlabelled`: a network learns nothing about objects from it. `warnings` are lines
    about the annotation file.
    """

    def __init__(self, root: Path, split: str, config: DataConfig | None = None) -> None:
        self.root = Path(root)
        self.split = split
        self.config = config or DataConfig()
        self.warnings: list[str] = []
        self._file = annotation_file(self.root, split, self.config)
        self._files = RowFiles(image_folder(self.root, split, self.config), self.config)
        self._shown = printable(self._file.name)
        content = self._read()
        self.class_names, self.category_ids = self._agree_on_classes(content)
        images, annotations = self._choose_images(content)
        self._names = [image.file_name for image in images]
        self._sizes = [(image.height, image.width) for image in images]
        self.image_ids = [image.id for image in images]
        self._bytes = self._check_files()
        self._store = _Store(annotations, self.category_ids)
        self._digest = _digest(images, annotations)

    def __len__(self) -> int:
        return len(self._names)

    def describe(self, index: int) -> str:
        """Name the image of sample `index` and the annotation file."""
        return f"{printable(self._names[index])} ({self._shown}, image {self.image_ids[index]})"

    def fingerprint(self) -> str:
        """Digest of the names and sizes of all images, in order, and of all objects in them."""
        digest = hashlib.sha256(self._digest)
        for name, size in zip(self._names, self._bytes, strict=True):
            digest.update(f"{name}\0{size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def content_files(self) -> Iterator[str]:
        """Yield the path of every image, in order; the objects are in the fingerprint."""
        return map(self._files.path, self._names)

    def load(self, index: int) -> Sample:
        """Read the image (H, W, C) uint8 and the objects of sample `index`.

        Raises DataError that names the file and the image's id.
        """
        name = self._names[index]
        try:
            data = self._files.read(name, self._bytes[index])
            image, codes = decode_image(data, printable(name), self.config)
            check_size(name, (image.shape[0], image.shape[1]), self._sizes[index])
        except DataError as error:
            raise self._placed(error, index) from error
        instances = self._store.instances(index)
        return Sample(image, None, index, self.describe(index), warnings=codes, instances=instances)

    def check(self, index: int) -> None:
        """Raise DataError where `load` would, but for damage inside the picture; much quicker."""
        name = self._names[index]
        try:
            data = self._files.read(name, self._bytes[index])
            size = check_image(data, printable(name), self.config)
            check_size(name, size, self._sizes[index])
        except DataError as error:
            raise self._placed(error, index) from error

    def _placed(self, error: DataError, index: int) -> DataError:
        text = f"{error} ({self._shown}, image {self.image_ids[index]})"
        return type(error)(text, kind=error.kind)

    def _read(self) -> CocoFile:
        if not is_folder(self.root):
            raise DataError(f"{printable(self.root)}: no such folder. Name that of the dataset.")
        if not is_file(self._file):
            raise DataError(
                f"{printable(self._file)}: no such file. Put the annotations of {self.split} "
                "there, or name their file with data.annotation_files."
            )
        content = read_coco(self._file)
        told = Counter(problem.kind for problem in content.problems)
        bare = told.pop("no-annotations", 0)
        for kind, count in told.items():
            first = next(problem for problem in content.problems if problem.kind == kind)
            self.warnings.append(
                f"{self._shown}: {count} x {kind} (first: {printable(first.file)}: {first.message})"
            )
        if bare:
            self.warnings.append(f"{self._shown}: {bare} images have no objects")
        return content

    def _agree_on_classes(self, content: CocoFile) -> tuple[tuple[str, ...], tuple[int, ...]]:
        categories = sorted(content.categories, key=lambda category: category.id)
        names = tuple(category.name for category in categories)
        wanted = self.config.num_classes
        if not names:
            raise DataError(f"{self._shown}: has no categories.")
        if wanted is not None and wanted != len(names):
            raise DataError(
                f"{self._shown}: has {len(names)} categories, but data.num_classes is {wanted}. "
                "Mend one of the two."
            )
        return names, tuple(category.id for category in categories)

    def _choose_images(
        self, content: CocoFile
    ) -> tuple[list[CocoImage], list[list[CocoAnnotation]]]:
        """Give the images of the split with the objects of each."""
        of_image: dict[int, list[CocoAnnotation]] = {image.id: [] for image in content.images}
        for annotation in content.annotations:
            of_image[annotation.image_id].append(annotation)
        images = list(content.images)
        if self.split == "train" and not self.config.keep_unlabelled:
            images = [i for i in images if any(not a.iscrowd for a in of_image[i.id])]
            dropped = len(content.images) - len(images)
            if dropped:
                self.warnings.append(
                    f"{self._shown}: {dropped} images without objects are not trained on "
                    "(data.keep_unlabelled=true keeps them)"
                )
        if not images:
            raise DataError(f"{self._shown}: lists no images that can be used.")
        return images, [of_image[image.id] for image in images]

    def _check_files(self) -> array[int]:
        """Give the sizes of all image files in bytes. Raises DataError with the first 20 faults."""
        sizes = array("q")
        faults: list[DataError] = []
        for name in self._names:
            try:
                sizes.append(self._files.status(name).st_size)
            except DataError as error:  # noqa: PERF203 - all faults are shown together
                faults.append(error)
        if faults:
            lines = [str(fault) for fault in faults[:_SHOWN]]
            more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
            raise DataError(
                f"{self._shown}: {len(faults)} images cannot be used:\n  "
                + "\n  ".join(lines + more),
                kind=faults[0].kind,
            )
        return sizes


class _Store:
    """The objects of all images, as a few arrays: polygons are points with the ends of each."""

    def __init__(
        self, annotations: Sequence[Sequence[CocoAnnotation]], category_ids: Sequence[int]
    ) -> None:
        numbers = {category_id: number for number, category_id in enumerate(category_ids)}
        flat = [annotation for of_image in annotations for annotation in of_image]
        self._ends = np.cumsum([0, *(len(of_image) for of_image in annotations)])
        self._boxes = np.array([a.bbox for a in flat], np.float64).reshape(-1, 4)
        self._areas = np.array([a.area for a in flat], np.float64)
        self._classes = np.array([numbers[a.category_id] for a in flat], np.int64)
        self._is_crowd = np.array([a.iscrowd for a in flat], bool)
        polygons = [() if isinstance(a.segmentation, Rle) else a.segmentation for a in flat]
        self._polygon_ends = np.cumsum([0, *map(len, polygons)])
        parts = [polygon for of_object in polygons for polygon in of_object]
        self._point_ends = np.cumsum([0, *map(len, parts)])
        self._points = np.concatenate(parts) if parts else np.zeros((0, 2))
        self._runs = {
            number: a.segmentation
            for number, a in enumerate(flat)
            if isinstance(a.segmentation, Rle)
        }

    def instances(self, index: int) -> Instances:
        """Give the objects of image `index`."""
        chosen = range(self._ends[index], self._ends[index + 1])
        x, y, width, height = self._boxes[chosen.start : chosen.stop].T
        return Instances(
            np.stack([x, y, x + width, y + height], axis=1).astype(np.float32),
            self._classes[chosen.start : chosen.stop],
            tuple(self._mask(number) for number in chosen),
            self._is_crowd[chosen.start : chosen.stop],
            self._areas[chosen.start : chosen.stop],
        )

    def _mask(self, number: int) -> Mask:
        if number in self._runs:
            return self._runs[number]
        polygons = range(self._polygon_ends[number], self._polygon_ends[number + 1])
        ends = self._point_ends
        return tuple(self._points[ends[p] : ends[p + 1]] for p in polygons)


def _digest(images: Sequence[CocoImage], annotations: Sequence[Sequence[CocoAnnotation]]) -> bytes:
    """Digest what training learns of the objects of each image."""
    digest = hashlib.sha256()
    for image, of_image in zip(images, annotations, strict=True):
        digest.update(f"{image.width} {image.height} {len(of_image)}\n".encode())
        for a in of_image:
            digest.update(f"{a.category_id} {a.iscrowd} {a.area} {a.bbox}\n".encode())
            shape = a.segmentation
            for part in (shape.counts,) if isinstance(shape, Rle) else shape:
                digest.update(part.tobytes())
    return digest.digest()
