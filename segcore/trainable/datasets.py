"""Datasets by the names and parameters of `paddlex.datasets` 1.x, and what may stand for one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from segcore.data.listfile import read_class_list, read_rows
from segcore.data.paths import printable
from segcore.errors import DataError, RequestError
from segcore.protocols import Dataset
from segcore.trainable.transforms import Compose

if TYPE_CHECKING:
    from segcore.config.schema import Config

__all__ = [
    "TRANSFORMS_OF",
    "AnyDataset",
    "DatasetDescription",
    "SegDataset",
    "describe",
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


class SegDataset:
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
        if transforms is not None and not isinstance(transforms, Compose):
            raise RequestError(
                f"transforms={transforms!r}: give segcore.trainable.transforms.Compose([...])"
            )
        if num_workers != "auto" and (not isinstance(num_workers, int) or num_workers < 0):
            raise RequestError(f"num_workers={num_workers!r}: give 'auto', or 0 or more")
        self.data_dir = Path(data_dir)
        self.transforms = transforms
        self.num_workers = num_workers
        self.buffer_size, self.parallel_method, self.shuffle = buffer_size, parallel_method, shuffle
        self._list_file = Path(file_list)
        self._class_file = None if label_list is None else Path(label_list)
        self.labels: list[str] = []
        if self._class_file is not None:
            self.labels = list(read_class_list(self._class_file).names)
        self.file_list = [
            [str(self.data_dir / row.image), str(self.data_dir / row.label)]
            for row in read_rows(self._list_file)
        ]
        self.num_samples = len(self.file_list)
        log.info("%d samples in file %s", self.num_samples, self._list_file)

    def open(self, split: str, config: Config) -> Dataset:
        from segcore.data.segdataset import SegDataset as Samples

        return Samples(
            self.data_dir,
            split,
            config.data,
            list_file=self._list_file,
            class_file=self._class_file,
        )

    def settings(self, split: str) -> dict[str, Any]:
        found: dict[str, Any] = {"data.path": str(self.data_dir)} if split == "train" else {}
        if self.transforms is not None:
            found[TRANSFORMS_OF[split]] = self.transforms.components()
            found |= self.transforms.settings()
        if self.num_workers != "auto":
            found["train.num_workers"] = self.num_workers
        return found


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
    if not isinstance(train, SegDataset) or not isinstance(val, SegDataset):
        return
    learnt = {Path(image).resolve() for image, _ in train.file_list}
    shared = [image for image, _ in val.file_list if Path(image).resolve() in learnt]
    if shared:
        raise DataError(
            f"{len(shared)} images are in train_dataset and in eval_dataset: "
            f"{', '.join(map(printable, shared[:5]))}. Keep each in one of them."
        )
