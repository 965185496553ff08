"""Split a dataset into train, val and test, or into folds for cross-validation."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from segcore.checkpoint.files import DISK, Files
from segcore.checkpoint.lock import folder_lock
from segcore.data.paths import printable
from segcore.data.replacement import finish_list_replacement, replace_lists
from segcore.data.split_source import Progress, Source, find_source
from segcore.data.stratify import deal_out
from segcore.errors import RequestError
from segcore.filesystem import is_folder

__all__ = ["Split", "SplitList", "split_dataset"]

_MOST_FOLDS = 100
_SHOWN = 3
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class SplitList:
    """One list of a split: its file, images and groups, and its images by the class they show."""

    file: str
    images: int
    groups: int
    classes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """What a split came to. `backups` are the old lists with the names that they have now."""

    root: str
    seed: int
    images: int
    groups: int
    found: dict[str, int]
    lists: tuple[SplitList, ...]
    backups: dict[str, str]
    notes: tuple[str, ...]
    is_written: bool

    def as_json(self) -> dict[str, Any]:
        """Give the fields as JSON holds them."""
        return asdict(self)


def split_dataset(
    root: Path | str,
    *,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    folds: int | None = None,
    seed: int = 42,
    stratify: bool = False,
    group_by: str | None = None,
    keep_test: bool = False,
    rescan: bool = False,
    ignore_index: int = 255,
    dry_run: bool = False,
    progress: Progress | None = None,
    files: Files = DISK,
) -> Split:
    """Divide the images of the dataset `root` among new lists; the old ones are kept as backups.

    `train`, `val` and `test` are percentages that sum to 100 (80, 20 and 0 if none is given). With
    `folds` (K), what `test` leaves is divided into K parts: `train_fold0.txt` and `val_fold0.txt`
    to K - 1, of which `data.fold` chooses; train.txt and val.txt are then those of fold 0.

    `stratify` gives each list its share of the images with each class, `group_by` is a regular
    expression whose first group, or whole match, in the name of an image says with which others it
    stays together. `keep_test` leaves test.txt and its images as they are, `rescan` takes all pairs
    of images and labels in place of what is listed. The order of the lists makes no difference: the
    same images and seed give the same split.

    Raises RequestError for what cannot be divided so, DataError for what is no dataset, and
    StorageError; then the old lists are all there, under their names or those of backups.
    """
    root = Path(root)
    _check_seed(seed)
    shares = _read_shares(train, val, test, folds, keep_test=keep_test)
    is_alone = not dry_run and is_folder(root)
    with folder_lock(root, says_so=True) if is_alone else contextlib.nullcontext():
        notes = [
            "an earlier split was cut short; it has been finished first"
            for folder in (root, root / "annotations")
            if not dry_run and is_folder(folder) and finish_list_replacement(folder, files)
        ]
        source = find_source(root, keep_test=keep_test, rescan=rescan)
        if shares.test == 0 and not keep_test:
            _refuse_to_dissolve_test(source)
        groups, unit_of = _group(source.images, group_by)
        parts = shares.parts()
        if len(groups) < len(parts):
            raise RequestError(_too_few(len(source.images), groups, parts, group_by, root))
        names: list[str] = []
        shows = np.zeros((len(source.images), 0), bool)
        if stratify:
            names, shows = source.classes(ignore_index, progress or _in_silence)
        lists = _lists(source, _deal(parts, unit_of, shows, seed), folds)
        content = {name: source.write(samples) for name, samples in lists.items()}
        backups: dict[str, str] = {}
        if not dry_run:
            backups = replace_lists(source.folder, content, source.old_lists(), files)
        described = tuple(
            _describe(name, samples, unit_of, names, shows) for name, samples in lists.items()
        )
        return Split(
            root=printable(root),
            seed=seed,
            images=len(source.images),
            groups=len(groups),
            found=source.counts,
            lists=described[::-1],
            backups=backups,
            notes=(*notes, *source.notes, *_lacks(described, names, shows)),
            is_written=not dry_run,
        )


def _deal(
    parts: Mapping[str, float], unit_of: np.ndarray, shows: np.ndarray, seed: int
) -> dict[str, list[int]]:
    """Give the images of each part, by the unit that each belongs to and the classes it shows."""
    sizes = np.bincount(unit_of)
    classes = np.zeros((len(sizes), shows.shape[1]), np.int64)
    np.add.at(classes, unit_of, shows)
    dealt = deal_out(sizes, classes, list(parts.values()), np.random.default_rng(seed))
    return {
        part: np.flatnonzero(dealt[unit_of] == number).tolist() for number, part in enumerate(parts)
    }


@dataclass(frozen=True)
class _Shares:
    """Percentages, and the number of folds."""

    train: float
    val: float
    test: float
    folds: int | None

    def parts(self) -> dict[str, float]:
        """Give the share, above 0, of each part that images are dealt out to."""
        if self.folds is not None:
            each = (100 - self.test) / self.folds
            parts = {f"fold {number}": each for number in range(self.folds)}
        else:
            parts = {"train": self.train, "val": self.val}
        if self.test > 0:
            parts["test"] = self.test
        total = sum(parts.values())
        return {name: share / total for name, share in parts.items()}


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise RequestError(f"seed {seed}: must be 0 or more.")


def _read_shares(
    train: float | None,
    val: float | None,
    test: float | None,
    folds: int | None,
    *,
    keep_test: bool,
) -> _Shares:
    given = {"train": train, "val": val, "test": test}
    for name, value in given.items():
        if value is not None and not 0 <= value <= 100:
            raise RequestError(f"{name} {value:g}: a percentage is between 0 and 100.")
    held = test or 0.0
    if keep_test and held > 0:
        raise RequestError(
            f"test {held:g} and keep_test: either test.txt stays, or it gets a new share."
        )
    if folds is not None:
        if train is not None or val is not None:
            raise RequestError(
                "folds share evenly what the test list leaves: leave out train and val."
            )
        if not 2 <= folds <= _MOST_FOLDS:
            raise RequestError(f"{folds} folds: there must be 2 to {_MOST_FOLDS}.")
        if held >= 100:
            raise RequestError("test 100: nothing is left for the folds.")
        return _Shares(0.0, 0.0, held, folds)
    if train is None and val is None and test is None:
        train, val = 80.0, 20.0
    train, val = train or 0.0, val or 0.0
    total = train + val + held
    if not abs(total - 100) < 1e-6:
        raise RequestError(
            f"train {train:g} + val {val:g} + test {held:g} = {total:g}, but percentages sum to "
            f"100. {'Add' if total < 100 else 'Take away'} {abs(100 - total):g}."
        )
    if train == 0 or val == 0:
        raise RequestError(
            f"train {train:g}, val {val:g}: both need a share above 0, as one is trained on and "
            "the other measured on."
        )
    return _Shares(train, val, held, None)


def _refuse_to_dissolve_test(source: Source) -> None:
    """A held-out set must not become training data unasked."""
    name = source.list_name("test", None)
    if source.counts.get(name):
        raise RequestError(
            f"{name} lists {source.counts[name]} images, and the new split has no test list. Keep "
            "it as it is (--keep-test), give it a share (--test 10), or remove it to train on its "
            "images (then add --rescan to find them)."
        )


def _group(images: Sequence[str], pattern: str | None) -> tuple[list[str], np.ndarray]:
    """Give the names of the groups, sorted, and the number (N,) of each image's group."""
    if pattern is None:
        return list(images), np.arange(len(images))
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RequestError(f"{pattern!r}: is no regular expression ({error}).") from error
    keys, strangers = [], []
    for name in images:
        match = compiled.search(name)
        if match is None:
            strangers.append(printable(name))
            continue
        keys.append((match[1] if compiled.groups else None) or match[0])
    if strangers:
        more = f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
        raise RequestError(
            f"{len(strangers)} of {len(images)} images do not match {pattern!r}: "
            f"{', '.join(strangers[:_SHOWN])}{more}. Write a pattern that fits all of them."
        )
    groups = sorted(set(keys))
    number = {key: i for i, key in enumerate(groups)}
    return groups, np.array([number[key] for key in keys], np.int64)


def _too_few(
    images: int, groups: Sequence[str], parts: Iterable[str], pattern: str | None, root: Path
) -> str:
    parts = list(parts)
    what = f"{images} images" if pattern is None else f"{images} images in {len(groups)} groups"
    way_out = "Add images" if pattern is None else "Write a pattern with more groups"
    return (
        f"{printable(root)}: {what} cannot fill {len(parts)} lists ({', '.join(parts)}) with one "
        f"or more each. {way_out}, or ask for fewer lists."
    )


def _lists(
    source: Source, members: dict[str, list[int]], folds: int | None
) -> dict[str, list[int]]:
    """Give the samples of each list file; train, which makes a dataset whole, comes last."""
    lists: dict[str, list[int]] = {}
    if "test" in members:
        lists[source.list_name("test", None)] = members["test"]
    if folds is None:
        pairs: list[tuple[int | None, list[int], list[int]]]
        pairs = [(None, members["train"], members["val"])]
    else:
        every = sorted(i for fold in range(folds) for i in members[f"fold {fold}"])
        pairs = [
            (fold, sorted(set(every) - set(own)), own)
            for fold in reversed(range(folds))
            for own in (members[f"fold {fold}"],)
        ]
        pairs.append((None, *pairs[-1][1:]))
    for fold, training, validating in pairs:
        lists[source.list_name("val", fold)] = validating
        lists[source.list_name("train", fold)] = training
    return lists


def _describe(
    name: str, samples: Sequence[int], unit_of: np.ndarray, names: Sequence[str], shows: np.ndarray
) -> SplitList:
    counts = dict(zip(names, shows[samples].sum(axis=0).tolist(), strict=True))
    return SplitList(name, len(samples), len(np.unique(unit_of[samples])), counts)


def _lacks(lists: Iterable[SplitList], names: Sequence[str], shows: np.ndarray) -> list[str]:
    """Say which classes a list could not get."""
    totals = dict(zip(names, shows.sum(axis=0).tolist(), strict=True))
    notes = []
    for part in lists:
        missing = [printable(name) for name, count in part.classes.items() if count == 0]
        if missing:
            shown = ", ".join(f"{name} ({totals.get(name, 0)} in all)" for name in missing)
            notes.append(f"{part.file} shows nothing of: {shown}")
    return notes


def _in_silence(items: Iterable[_Item], /, *, total: int) -> Iterable[_Item]:  # noqa: ARG001
    return items
