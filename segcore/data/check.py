"""Check a dataset: everything that is wrong with it at once, before a training finds it out.

`segcore data check` and the start of a training run the same check. A dataset that passed is not
looked at again for a training while its lists, its files and the way of reading them stay as they
are: a digest of these, with the sizes and times of all files, is kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore import __version__
from segcore.data.inspection.baseline import Baseline
from segcore.data.inspection.census import Census
from segcore.data.inspection.collector import Collector
from segcore.data.inspection.generic import inspect_samples
from segcore.data.inspection.result import CheckResult, check_place, describe_findings
from segcore.data.paths import printable
from segcore.data.stats.survey import Progress, unseen
from segcore.errors import DataError
from segcore.filesystem import file_status, is_folder

if TYPE_CHECKING:
    from segcore.config.schema import Config, DataConfig
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Dataset, DatasetFormat

__all__ = ["check_dataset", "require_sound", "require_sound_samples"]

log = logging.getLogger(__name__)

_NEEDED = ("train", "val")
_SHOWN = 20
_NOTES = "checked"
_UNREAD = {"path", "palette", "mean", "std", "on_bad_sample", "timeout_s"}
"""What of the configuration makes no difference to a check."""


def check_dataset(
    path: str | Path,
    *,
    config: DataConfig | None = None,
    splits: Sequence[str] | None = None,
    output: str | Path | None = None,
    baseline: Baseline | None = None,
    remember: bool = False,
    workers: int | None = None,
    progress: Progress = unseen,
    force: bool = False,
) -> CheckResult:
    """Look at every sample of the dataset at `path`, and gather all that is wrong. Since 0.1.

    `config` says how samples are read, as the section `data` of a configuration; `splits` names
    those to look at, by default train and val, which must be there, and test where there is one.
    With `output`, check_dataset_result.json and pictures are written into that folder, where they
    replace those of an earlier check, and with `force` a file of somebody else, too. What
    `baseline` knows is left out; with `remember`, `seen` of the result has everything, to make a
    baseline of. Raises DataError where there is no dataset, OutputError and StorageError.
    """
    from segcore.config.schema import Config, DataConfig, ModelConfig
    from segcore.data.dataset import find_format
    from segcore.discovery.catalogue import get_catalogue

    root = Path(path)
    if not is_folder(root):
        raise DataError(f"{printable(root)}: there is no such folder. Name that of a dataset.")
    if output is not None:
        check_place(Path(output), force=force)
    data = (config or DataConfig()).model_copy(update={"path": str(root)})
    whole = Config(model=ModelConfig(name="none"), data=data)
    layout = find_format(whole, root, get_catalogue())
    if splits is None:
        listed = getattr(layout, "splits", None)
        present = _NEEDED if listed is None else listed(root, whole)
        splits = (*_NEEDED, *(split for split in present if split not in _NEEDED))
    collector = Collector(baseline, remembers=remember)
    keys = [_content_key(layout, root, data, some) for some in _passing(splits)]
    census = _inspect(layout, whole, splits, collector, workers=workers, progress=progress)
    result = CheckResult(
        path=str(path),
        census=census,
        findings=collector.findings(),
        accepted=collector.accepted,
        seen=collector.seen,
    )
    if result.passed and not result.accepted:
        for key, some in zip(keys, _passing(splits), strict=True):
            if key is not None and key == _content_key(layout, root, data, some):
                _remember(key, root)
    if output is not None:
        result.save(output, force=force)
    return result


def require_sound(
    config: Config,
    splits: Sequence[str],
    catalogue: Catalogue,
    task: str | None = None,
    progress: Progress = unseen,
) -> None:
    """Raise DataError that lists what is wrong with `splits` of the dataset of `config`.

    Nothing is read again where this very content has passed before.
    """
    from segcore.data.dataset import find_format

    root = Path(config.data.path or "")
    if config.data.path is None or not is_folder(root):
        return  # opening it says so
    layout = find_format(config, root, catalogue, task)
    key = _content_key(layout, root, config.data, splits)
    if key is not None and _is_remembered(key):
        log.info("%s: passed its check before, and has not changed", printable(root))
        return
    collector = Collector()
    _inspect(layout, config, splits, collector, workers=None, progress=progress)
    findings = collector.findings()
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        lines = describe_findings(errors[:_SHOWN])
        if len(errors) > _SHOWN:
            lines.append(f"and {len(errors) - _SHOWN} more")
        raise DataError(
            f"{printable(root)}: this dataset fails its check:\n  "
            + "\n  ".join(lines)
            + f"\nSee everything with `segcore data check {printable(root)}`; train all the same "
            "with --no-check."
        )
    for line in describe_findings(findings):
        log.warning("%s", line)
    if key is not None and key == _content_key(layout, root, config.data, splits):
        _remember(key, root)


def require_sound_samples(datasets: Mapping[str, Dataset], progress: Progress = unseen) -> None:
    """Raise DataError that lists the unusable samples of datasets that are given as objects."""
    collector = Collector()
    inspect_samples(datasets, collector, workers=None, progress=progress)
    lines = describe_findings(collector.findings())
    if lines:
        raise DataError("the datasets fail their check:\n  " + "\n  ".join(lines))


def _inspect(
    layout: DatasetFormat,
    config: Config,
    splits: Sequence[str],
    collector: Collector,
    *,
    workers: int | None,
    progress: Progress,
) -> Census:
    root = Path(config.data.path or "")
    inspect = getattr(layout, "inspect", None)
    if inspect is not None:
        census: Census = inspect(
            root, config.data, splits, collector, workers=workers, progress=progress
        )
        return census
    datasets: dict[str, Dataset] = {}
    for split in splits:
        try:
            datasets[split] = layout.open(root, split, config)
        except DataError as error:  # noqa: PERF203 - each split is told of
            collector.add(error.kind or "unusable", split, str(error), split=split)
    return inspect_samples(datasets, collector, workers=workers, progress=progress)


def _passing(splits: Sequence[str]) -> list[Sequence[str]]:
    """Give the sets of splits that are sound if `splits` are: these, and those of a training."""
    has_needed = set(_NEEDED) < set(splits)
    return [splits, _NEEDED] if has_needed else [splits]


def _content_key(
    layout: DatasetFormat, root: Path, data: DataConfig, splits: Sequence[str]
) -> str | None:
    """Digest all that decides whether `splits` pass; None where the layout cannot name its files.

    Of files it takes the size and the times of the last change, of content and of anything.
    """
    listing = getattr(layout, "files", None)
    if listing is None:
        return None
    settings: dict[str, Any] = data.model_dump(mode="json", exclude=_UNREAD)
    head = [__version__, type(layout).__qualname__, settings, sorted(splits)]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    try:
        for path in listing(root, data, splits):
            status = file_status(path)
            line = f"{path}\0{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    except (DataError, OSError):
        return None  # a dataset that is not whole has not passed
    return digest.hexdigest()


def _is_remembered(key: str) -> bool:
    from segcore.checkpoint.cache import read_note

    return read_note(_NOTES, key) is not None


def _remember(key: str, root: Path) -> None:
    """Note that a dataset passed. Where there is no place for the note, it is checked again."""
    from segcore.checkpoint.cache import write_note

    write_note(_NOTES, key, {"dataset": printable(root.absolute()), "segcore": __version__})
