"""Open the dataset that a configuration names, in whichever layout it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segcore.data.paths import printable
from segcore.errors import ConfigError, DataError
from segcore.filesystem import is_folder

if TYPE_CHECKING:
    from segcore.config.schema import Config, DataConfig
    from segcore.discovery.catalogue import Catalogue, Entry
    from segcore.protocols import Dataset, DatasetFormat
    from segcore.specs import DatasetFormatSpec

__all__ = ["find_format", "find_format_entry", "open_dataset", "open_splits"]

_SPLITS = ("train", "val", "test")


def open_dataset(
    config: Config, split: str, catalogue: Catalogue, task: str | None = None
) -> Dataset:
    """Open the split `train`, `val` or `test` of the dataset at `data.path`.

    Where `task` is given, only layouts that say what models of that task learn are looked for.
    Raises ConfigError when no dataset is named or `data.format` is of another task, DataError when
    it is not usable, and UnknownNameError when `data.format` is not that of any plugin.
    """
    if config.data.path is None:
        raise ConfigError("no dataset is named: give --data DIR or set data.path")
    root = Path(config.data.path)
    if not is_folder(root):
        raise DataError(f"{root}: there is no such folder; --data names the folder of a dataset")
    layout = find_format(config, root, catalogue, task)
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
    if not is_folder(root):
        raise DataError(f"{printable(root)}: there is no such folder. Name that of a dataset.")
    if splits is None:
        layout = find_format(config, root, catalogue)
        listed = getattr(layout, "splits", None)
        splits = _SPLITS if listed is None else listed(root, config)
    return {split: open_dataset(config, split, catalogue) for split in splits}


def find_format(
    config: Config, root: Path, catalogue: Catalogue, task: str | None = None
) -> DatasetFormat:
    """Find the layout of the dataset in `root`, or the one that `data.format` names.

    Raises what `open_dataset` raises.
    """
    return find_format_entry(config, root, catalogue, task)[1]


def find_format_entry(
    config: Config, root: Path, catalogue: Catalogue, task: str | None = None
) -> tuple[Entry[DatasetFormatSpec], DatasetFormat]:
    """Return the entry of the layout that `find_format` finds as well."""
    if config.data.format is not None:
        entry = catalogue.dataset_formats.find(config.data.format)
        if task not in (None, entry.spec.task):
            raise ConfigError(
                f"data.format = {config.data.format!r}: is for {entry.spec.task} models, but "
                f"{config.model.name} is {task}"
            )
        return entry, entry.load_target()()
    found: list[tuple[str, str]] = []
    for entry in catalogue.dataset_formats:
        layout: DatasetFormat = entry.load_target()()
        if layout.detects(root):
            if task in (None, entry.spec.task):
                return entry, layout
            found.append((entry.name, entry.spec.task))
    known = [e for e in catalogue.dataset_formats if task in (None, e.spec.task)]
    listed = "; ".join(f"{entry.name}: {entry.spec.summary}" for entry in known)
    if found:
        name, other = found[0]
        raise DataError(
            f"{root}: is a {name}, for {other} models, but {config.model.name} is {task}. It "
            f"learns from other layouts ({listed})."
        )
    raise DataError(f"{root}: is no dataset of a known layout ({listed}).")
