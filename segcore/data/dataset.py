"""Open the dataset that a configuration names, in whichever layout it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segcore.data.paths import printable
from segcore.errors import ConfigError, DataError

if TYPE_CHECKING:
    from segcore.config.schema import Config, DataConfig
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Dataset, DatasetFormat

__all__ = ["open_dataset", "open_splits"]

_SPLITS = ("train", "val", "test")


def open_dataset(config: Config, split: str, catalogue: Catalogue) -> Dataset:
    """Open the split `train`, `val` or `test` of the dataset at `data.path`.

    Raises ConfigError when no dataset is named, DataError when it is not usable, and
    UnknownNameError when `data.format` is not that of any plugin.
    """
    if config.data.path is None:
        raise ConfigError("no dataset is named: give --data DIR or set data.path")
    root = Path(config.data.path)
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; --data names the folder of a dataset")
    layout = _find_format(config, root, catalogue)
    return layout.open(root, split, config)


def open_splits(
    root: Path, data: DataConfig, splits: Sequence[str] | None = None
) -> dict[str, Dataset]:
    """Open `splits` of the dataset at `root`, or all that it has, read as `data` says.

    Raises DataError when one of them is not usable, or when there is none.
    """
    from segcore.config.schema import Config, ModelConfig
    from segcore.discovery.catalogue import get_catalogue

    # formats take a whole configuration, and reading needs no model
    config = Config(
        model=ModelConfig(name="none"), data=data.model_copy(update={"path": str(root)})
    )
    catalogue = get_catalogue()
    if not root.is_dir():
        raise DataError(f"{printable(root)}: there is no such folder. Name that of a dataset.")
    if splits is None:
        layout = _find_format(config, root, catalogue)
        listed = getattr(layout, "splits", None)
        splits = _SPLITS if listed is None else listed(root)
    return {split: open_dataset(config, split, catalogue) for split in splits}


def _find_format(config: Config, root: Path, catalogue: Catalogue) -> DatasetFormat:
    if config.data.format is not None:
        named: DatasetFormat = catalogue.dataset_formats.find(config.data.format).load_target()()
        return named
    for entry in catalogue.dataset_formats:
        layout: DatasetFormat = entry.load_target()()
        if layout.detects(root):
            return layout
    known = ", ".join(catalogue.dataset_formats.names())
    raise DataError(
        f"{root}: is no dataset of a known layout ({known}). "
        "A SegDataset has train.txt and val.txt with a line `image label` for each image."
    )
