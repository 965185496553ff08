"""Open the dataset that a configuration names, in whichever layout it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segcore.errors import ConfigError, DataError

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Dataset, DatasetFormat

__all__ = ["open_dataset"]


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
