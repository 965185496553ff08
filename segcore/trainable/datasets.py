"""Datasets by the names and parameters of `paddlex.datasets` 1.x, and what may stand for one."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from segcore.data.listfile import list_name, read_class_list, read_rows
from segcore.data.paths import printable
from segcore.errors import DataError, RequestError
from segcore.filesystem import real_path
from segcore.protocols import Dataset
from segcore.trainable.transforms import Compose

if TYPE_CHECKING:
    from segcore.config.schema import Config

__all__ = [
    "TRANSFORMS_OF",
    "AnyDataset",
    "CocoDetection",
    "DatasetDescription",
    "SegDataset",
    "coco_settings",
    "describe",
    "place_settings",
    "require_apart",
]

log = logging.getLogger(__name__)


@runtime_checkable
class DatasetDescription(Protocol):
    """A dataset as scripts describe it: opened once it is known what the model needs of it."""

    def open(self, split: str, config: Config) -> Dataset:
        """Open it, to train on (`split` is train) or to measure on (val). Raises DataError."""
        ...

    def settings(self, split: str) -> Mapping[str, Any]:
        """Give the values of the configuration, by dotted key, that it asks for as `split`."""
        ...


AnyDataset: TypeAlias = "str | Path | Dataset | DatasetDescription"
"""The folder of a dataset, a dataset, or the description of one."""

TRANSFORMS_OF = {"train": "train.transforms", "val": "eval.transforms"}
"""Where the configuration has the transforms of each split."""


class _ListedDataset(ABC):
    """What the datasets of PaddleX have in common, whatever lists their images."""

    file_list: list[list[str]]
    labels: list[str]

    def __init__(
        self,
        data_dir: str | Path,
        transforms: Compose | None,
        num_workers: int | str,
        unused: tuple[int, str, bool],
    ) -> None:
        if transforms is not None and not isinstance(transforms, Compose):
            raise RequestError(
                f"transforms={transforms!r}: give segcore.trainable.transforms.Compose([...])"
            )
        if num_workers != "auto" and (not isinstance(num_workers, int) or num_workers < 0):
            raise RequestError(f"num_workers={num_workers!r}: give 'auto', or 0 or more")
        self.data_dir = Path(data_dir)
        self.transforms = transforms
        self.num_workers = num_workers
        self.buffer_size, self.parallel_method, self.shuffle = unused

    @property
    def num_samples(self) -> int:
        """Number of images."""
        return len(self.file_list)

    def settings(self, split: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.transforms is not None:
            found[TRANSFORMS_OF[split]] = self.transforms.components()
            found |= self.transforms.settings()
        if self.num_workers != "auto":
            found["train.num_workers"] = self.num_workers
        return found

    @abstractmethod
    def places(self, others: Mapping[str, _ListedDataset]) -> dict[str, Any]:
        """Say in settings where the files of `others`, by split, are; this one is among them.

        Nothing where settings cannot say it.
        """


class SegDataset(_ListedDataset):
    """Images and labels that a list names, as `paddlex.datasets.SegDataset`.

    Rows of `file_list` are relative to `data_dir`; `label_list` names the classes, a line each.
    `transforms` is a `Compose` of `segcore.trainable.transforms`. `num_workers` is the number of
    processes that read, "auto" the engine's default. `buffer_size`, `parallel_method` and `shuffle`
    have no effect: workers are always processes, training always draws a new order in each epoch,
    and measuring never does. `labels`, `num_samples` and `file_list` are as in PaddleX.
    Raises ListFileError when a list cannot be read.
    """

    def __init__(
        self,
        data_dir: str | Path,
        file_list: str | Path,
        label_list: str | Path | None = None,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        buffer_size: int = 100,
        parallel_method: str = "process",
        shuffle: bool = False,
    ) -> None:
        super().__init__(data_dir, transforms, num_workers, (buffer_size, parallel_method, shuffle))
        self.list_path = Path(file_list)
        self._class_file = None if label_list is None else Path(label_list)
        self.labels = []
        if self._class_file is not None:
            self.labels = list(read_class_list(self._class_file).names)
        self.file_list = [
            [str(self.data_dir / row.image), str(self.data_dir / row.label)]
            for row in read_rows(self.list_path)
        ]
        log.info("%d samples in file %s", self.num_samples, self.list_path)

    def open(self, split: str, config: Config) -> Dataset:
        from segcore.data.segdataset import SegDataset as Samples

        own = {"list_files": {split: str(self.list_path.absolute())}}
        named = None if self._class_file is None else str(self._class_file.absolute())
        data = config.data.model_copy(update={**own, "class_file": named})
        return Samples(self.data_dir, split, data)

    def settings(self, split: str) -> dict[str, Any]:
        found = super().settings(split)
        return {"data.path": str(self.data_dir), **found} if split == "train" else found

    def places(self, others: Mapping[str, _ListedDataset]) -> dict[str, Any]:
        known = {split: data for split, data in others.items() if isinstance(data, SegDataset)}
        if known != others or any(data.data_dir != self.data_dir for data in known.values()):
            return {}  # settings name one folder
        root = real_path(self.data_dir)
        lists = {split: _shown_in(root, data.list_path) for split, data in known.items()}
        found: dict[str, Any] = {}
        if any(name != list_name(split) for split, name in lists.items()):
            found |= {"data.list_files": lists, "data.format": "SegDataset"}
        if self._class_file is not None:
            name = _shown_in(root, self._class_file)
            found |= {} if name == "labels.txt" else {"data.class_file": name}
        return found


class CocoDetection(_ListedDataset):
    """Images and objects that a COCO file names, as `paddlex.datasets.CocoDetection`.

    File names in `ann_file` are relative to `data_dir`. `transforms` is a `Compose` of
    `segcore.trainable.det.transforms`; `num_workers`, `buffer_size`, `parallel_method` and
    `shuffle` are those of `SegDataset`. `labels` are the names of the classes in the order of their
    ids, without a background; a row of `file_list` is the path of an image. Raises DataError when
    the file cannot be read.
    """

    def __init__(
        self,
        data_dir: str | Path,
        ann_file: str | Path,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        buffer_size: int = 100,
        parallel_method: str = "process",
        shuffle: bool = False,
    ) -> None:
        from segcore.data.coco import read_coco

        super().__init__(data_dir, transforms, num_workers, (buffer_size, parallel_method, shuffle))
        self.ann_file = Path(ann_file)
        content = read_coco(self.ann_file)
        categories = sorted(content.categories, key=lambda category: category.id)
        self.labels = [category.name for category in categories]
        self.file_list = [[str(self.data_dir / image.file_name)] for image in content.images]
        log.info("%d samples in file %s", self.num_samples, self.ann_file)

    def open(self, split: str, config: Config) -> Dataset:
        from segcore.data.cocodataset import CocoDataset

        if config.data.num_classes == len(self.labels) + 1:
            raise RequestError(
                f"num_classes={config.data.num_classes}, but {self.ann_file} has "
                f"{len(self.labels)} classes: unlike in PaddleX 1.x, num_classes never counts the "
                f"background; give num_classes={len(self.labels)}"
            )
        own = coco_settings({split: self})
        update = {key.removeprefix("data."): value for key, value in own.items()}
        data = config.data.model_copy(update=update)
        return CocoDataset(Path(own["data.path"]), split, data)

    def places(self, others: Mapping[str, _ListedDataset]) -> dict[str, Any]:
        known = {split: data for split, data in others.items() if isinstance(data, CocoDetection)}
        return coco_settings(known) if known == others else {}


def coco_settings(datasets: Mapping[str, CocoDetection]) -> dict[str, Any]:
    """Say in settings where the files of `datasets`, by split, are.

    `data.path` is the innermost folder that holds them all, and the others are relative to it.
    """
    images = {split: real_path(dataset.data_dir) for split, dataset in datasets.items()}
    files = {split: real_path(dataset.ann_file) for split, dataset in datasets.items()}
    root = os.path.commonpath([*images.values(), *(path.parent for path in files.values())])
    return {
        "data.path": root,
        "data.format": "COCO",
        "data.annotation_files": {
            split: path.relative_to(root).as_posix() for split, path in files.items()
        },
        "data.image_folders": {
            split: path.relative_to(root).as_posix() for split, path in images.items()
        },
    }


def place_settings(train: AnyDataset, val: AnyDataset | None) -> dict[str, Any]:
    """Say in settings where the files of datasets are, so that commands find them again."""
    given = {"train": train} if val is None else {"train": train, "val": val}
    listed = {split: data for split, data in given.items() if isinstance(data, _ListedDataset)}
    return listed["train"].places(listed) if listed.keys() == given.keys() else {}


def _shown_in(root: Path, path: Path) -> str:
    """Write `path` relative to `root`, where it is in there."""
    whole = real_path(path)
    return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()


def describe(dataset: AnyDataset, split: str) -> Mapping[str, Any]:
    """Give the settings that `dataset` asks for. Raises RequestError for what is no dataset."""
    if isinstance(dataset, str | Path):
        return {"data.path": str(dataset)} if split == "train" else {}
    if isinstance(dataset, DatasetDescription):
        return dataset.settings(split)
    if isinstance(dataset, Dataset):
        return {}
    raise RequestError(
        f"{dataset!r} is no dataset: give the folder of one, a segcore.trainable.SegDataset, or "
        "an object with the methods of segcore.protocols.Dataset"
    )


def require_apart(train: AnyDataset, val: AnyDataset) -> None:
    """Refuse lists that share images: a score on what was learnt would prove nothing.

    Within a folder the dataset sees to it. Raises DataError.
    """
    if not isinstance(train, _ListedDataset) or not isinstance(val, _ListedDataset):
        return
    learnt = {real_path(row[0]) for row in train.file_list}
    shared = [row[0] for row in val.file_list if real_path(row[0]) in learnt]
    if shared:
        raise DataError(
            f"{len(shared)} images are in train_dataset and in eval_dataset: "
            f"{', '.join(map(printable, shared[:5]))}. Keep each in one of them."
        )
