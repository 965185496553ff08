"""The checkpoint store: the only writer of a run's state.

    RUN/checkpoints/step-<n>/    the newest `keep` checkpoints, each with its MANIFEST.json
    RUN/best_model/              the best model so far, with a MANIFEST.json of its own

A folder is built under a temporary name: each file written, flushed and digested on the way, the
manifest last. Then it is renamed, the folder above is flushed, the manifest is read back, and only
then are older checkpoints retired. A kill, an error or a power cut between any two operations
costs at most what was not yet acknowledged; `recover` sweeps up at the next start.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from segcore.checkpoint.files import (
    DISK,
    Files,
    Part,
    finish_replacement,
    install_folder,
    is_leftover,
    replaced_by,
    siblings,
    storage_errors,
    temporary_name,
    write_atomic,
)
from segcore.checkpoint.integrity import place_of, read_settled
from segcore.checkpoint.manifest import (
    MANIFEST,
    Checkpoint,
    FileRecord,
    Manifest,
    check_part_name,
    check_sizes,
    find_stranger,
    read_checkpoint,
    read_manifest,
)
from segcore.checkpoint.ownership import is_evaluation
from segcore.checkpoint.runfolder import OLDER_NAMES_OF_BEST
from segcore.errors import CheckpointError, StorageError
from segcore.filesystem import is_folder

__all__ = [
    "BEST",
    "CHECKPOINTS",
    "CheckpointStore",
    "free_backup",
    "has_best",
    "new_run_id",
    "open_best",
    "read_run_id",
    "write_run_id",
]

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
BEST = "best_model"
_RUN_ID = "run.id"
_STEP = re.compile(r"step-(0|[1-9]\d{0,17})\Z", re.ASCII)
_INFERENCE = "inference"


class CheckpointStore:
    """Checkpoints and best model of the run in `run_dir`.

    `run_id` ties checkpoints to the run (see `read_run_id`): those of another run are rejected.
    None accepts any, for readers; writers need one. Whoever writes holds the `RunLock`.
    """

    def __init__(
        self, run_dir: Path, run_id: str | None = None, *, files: Files = DISK, keep: int = 2
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one checkpoint must stay")
        self.run_dir = run_dir
        self.run_id = run_id
        self.keep = keep
        self._files = files
        self._folder = run_dir / CHECKPOINTS
        self._parent: str | None = None
        self._has_folder = False

    def save(
        self, step: int, parts: Mapping[str, Part], info: Mapping[str, JsonValue] | None = None
    ) -> Path:
        """Commit the files `parts` as the checkpoint of `step`, and retire older ones.

        `info` holds small facts for the manifest. A checkpoint of the same step is replaced.
        When this returns, the checkpoint survives a power cut. Raises StorageError; what was
        committed before is then intact.
        """
        final = self._step_folder(step)
        with storage_errors(final):
            self._make_folder()
            with self._temporary(self._folder, final.name) as folder:
                self._build(folder, step, parts, info)
                self._set_aside(final, parts)
                install_folder(folder, final, self._files)
            self._parent = self._confirm(final).digest
            self.retire(step)
        return final

    def retire(self, step: int) -> None:
        """Remove all but the newest `keep` checkpoints up to that of `step`, which is sound.

        Newer ones were rejected at resume; they are never counted on. Raises StorageError.
        """
        with storage_errors(self._folder):
            complete = [s for s in self._candidates() if self._flaw(self._place(s), s) is None]
            for old in [s for s in complete if s <= step][: -self.keep]:
                trash = self._folder / temporary_name(f"step-{old}", "trash")
                self._files.replace(self._step_folder(old), trash)
                self._files.remove_tree(trash)

    def promote(
        self,
        step: int,
        parts: Mapping[str, Part],
        info: Mapping[str, JsonValue] | None = None,
    ) -> Path:
        """Make the files `parts`, of the model at `step`, the best model.

        The export of the best model before does not stay, since it belongs to other weights; what a
        user put beside it is moved to `best_model.bak` first. Raises StorageError; the best model
        is then the one before or the new one.
        """
        final = self.run_dir / BEST
        with storage_errors(final):
            self._set_aside(final, parts)
            with self._temporary(self.run_dir, BEST) as folder:
                self._build(folder, step, parts, info)
                install_folder(folder, final, self._files)
            self._confirm(final)
        return final

    def clear_export(self) -> None:
        """Make way for an export of the best model: move what is there and is none aside.

        Raises StorageError.
        """
        final = self.run_dir / BEST
        with storage_errors(final):
            export = final / _INFERENCE
            if os.path.lexists(export) and not self._is_own(export, ()):
                self._move_aside(final, [export])

    def _set_aside(self, final: Path, parts: Collection[str]) -> None:
        """Move what is not of a training out of a folder whose files `parts` are to take over."""
        own = {MANIFEST, *parts}
        with contextlib.suppress(CheckpointError, FileNotFoundError, NotADirectoryError):
            own |= {name.split("/")[0] for name in read_manifest(final, self._files).files}
        strangers = [path for path in self._list(final) if not self._is_own(path, own)]
        if strangers:
            self._move_aside(final, strangers)

    def _move_aside(self, final: Path, strangers: Sequence[Path]) -> None:
        aside = free_backup(final)
        self._files.mkdir(aside)
        for path in strangers:
            self._files.replace(path, aside / path.name)
        self._files.sync(aside)
        log.warning(
            "%s: is written anew; what else was in it (%s) is in %s now",
            *(final, ", ".join(path.name for path in strangers), aside),
        )

    def _is_own(self, path: Path, names: Collection[str]) -> bool:
        """Say whether something beside a model is of its `names`, or made from it."""
        if is_leftover(path.name) or replaced_by(path.name) is not None:
            return True
        if is_folder(path):
            is_export = path == self.run_dir / BEST / _INFERENCE and not path.is_symlink()
            return is_export and find_stranger(path) is None
        return path.name in names or is_evaluation(path)

    def steps(self) -> list[int]:
        """List the steps of complete checkpoints, oldest first, ordered by number and not time.

        Complete means that the manifest parses and the sizes match; `load` verifies the digests.
        Raises CheckpointError when the folder cannot be listed.
        """
        return [s for s in self._wanted(None) if self._flaw(self._place(s), s) is None]

    def newest(self) -> int | None:
        """Give the step of the newest complete checkpoint, or None."""
        return max(self.steps(), default=None)

    def folders(self) -> list[Path]:
        """Return the folders of all checkpoints, sound or not, oldest first.

        Raises CheckpointError when the folder cannot be listed.
        """
        return [self._place(step) for step in self._wanted(None)]

    def run_ids(self) -> set[str]:
        """Return the ids that complete checkpoints bear; a store with an id finds only that one."""
        return {read_manifest(self._place(s), self._files).run_id for s in self.steps()}

    def load(self, step: int | None = None, names: Collection[str] | None = None) -> Checkpoint:
        """Read and verify the checkpoint of `step`, or the newest one that is sound.

        Damaged checkpoints stay where they are and are told in `Checkpoint.rejected`. `names`
        chooses files; None reads all. Raises CheckpointError when no sound one is left, or when a
        newer one may not be read.
        """
        rejected: list[str] = []
        is_forbidden = False
        tried: set[int] = set()
        while remaining := [s for s in self._wanted(step) if s not in tried]:
            tried.add(remaining[-1])
            folder = self._place(remaining[-1])
            try:
                found = read_checkpoint(folder, names, self._files, exact=True)
                self._check_identity(folder, found.manifest, remaining[-1])
            except (CheckpointError, OSError) as error:
                # One that a running training retired while it was read is no damage.
                if os.path.lexists(folder):
                    rejected.append(_reason(error))
                    in_the_way = isinstance(error, PermissionError) or not folder.is_dir()
                    is_forbidden = is_forbidden or in_the_way
                continue
            if is_forbidden:
                # It may be as sound as ever, and could not be replaced either.
                raise CheckpointError(
                    "\n  ".join([f"{self._folder}: mend what stands there", *rejected])
                )
            self._parent = found.manifest.digest
            return replace(found, rejected=tuple(rejected))
        which = "checkpoint" if step is None else f"checkpoint of step {step}"
        raise CheckpointError("\n  ".join([f"{self._folder}: holds no usable {which}", *rejected]))

    def recover(self) -> list[Path]:
        """Finish or undo what a killed process left behind, and give the paths concerned.

        Call it first, and under the run lock only: it removes temporary folders, which may belong
        to whoever holds the lock. Raises StorageError.
        """
        concerned = []
        for folder in (self.run_dir, self._folder, self.run_dir / BEST):
            with storage_errors(folder):
                for path in self._list(folder):
                    if is_leftover(path.name):
                        self._files.remove_tree(path)
                    elif self._is_replaced(replaced_by(path.name)):
                        self._finish(folder / str(replaced_by(path.name)))
                    elif not (path.name in OLDER_NAMES_OF_BEST and self._give_back(path)):
                        continue
                    concerned.append(path)
        return concerned

    @staticmethod
    def _is_replaced(name: str | None) -> bool:
        return name in (BEST, _INFERENCE) or (name is not None and _STEP.match(name) is not None)

    def _finish(self, final: Path) -> None:
        step = _STEP.match(final.name)
        for candidate in siblings(final, self._files):
            # An export has no manifest; there the name alone says that it is complete.
            if final.name != _INFERENCE and self._flaw(candidate, step and int(step[1])):
                self._files.remove_tree(candidate)
        finish_replacement(final, self._files)

    def _give_back(self, path: Path) -> bool:
        """Call `path` the best model where there is none and it is a complete one."""
        final = self.run_dir / BEST
        if path.parent != self.run_dir or final.exists() or self._flaw(path, None):
            return False
        self._files.replace(path, final)
        self._files.sync(self.run_dir)
        return True

    def _list(self, folder: Path) -> list[Path]:
        return [folder / name for name in self._files.listdir(folder)] if folder.is_dir() else []

    def _candidates(self) -> list[int]:
        names = (path.name for path in self._list(self._folder))
        matches = (_STEP.match(replaced_by(name) or name) for name in names)
        return sorted({int(match[1]) for match in matches if match})

    def _wanted(self, step: int | None) -> list[int]:
        try:
            return [s for s in self._candidates() if step in (None, s)]
        except OSError as error:
            raise CheckpointError(f"{self._folder}: cannot be read: {error.strerror}") from error

    def _check_identity(self, folder: Path, manifest: Manifest, step: int | None) -> None:
        if step not in (None, manifest.step):
            raise CheckpointError(f"{folder}: holds step {manifest.step}; it was renamed")
        if self.run_id not in (None, manifest.run_id):
            raise CheckpointError(
                f"{folder}: belongs to run {manifest.run_id!r}, this is run {self.run_id!r}"
            )

    def _flaw(self, folder: Path, step: int | None) -> str | None:
        """Say why `folder` is not complete; a best model (no step) may hold further folders."""
        try:
            manifest = read_manifest(folder, self._files)
            self._check_identity(folder, manifest, step)
            check_sizes(folder, manifest, exact=step is not None)
        except (CheckpointError, OSError) as error:
            return str(error)
        return None

    def _place(self, step: int) -> Path:
        """Return the folder of a checkpoint, wherever a replacement that was cut short left it."""
        return place_of(self._step_folder(step))

    def _step_folder(self, step: int) -> Path:
        return self._folder / f"step-{step}"

    def _make_folder(self) -> None:
        if not self._has_folder:
            if not self._folder.is_dir():
                self._files.mkdir(self._folder)
            # Even if it is there: whoever made it may have been killed before this.
            self._files.sync(self.run_dir)
            self._has_folder = True

    @contextlib.contextmanager
    def _temporary(self, parent: Path, label: str) -> Iterator[Path]:
        folder = parent / temporary_name(label)
        try:
            self._files.mkdir(folder)
            yield folder
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.remove_tree(folder)
            raise

    def _build(
        self,
        folder: Path,
        step: int,
        parts: Mapping[str, Part],
        info: Mapping[str, JsonValue] | None,
    ) -> None:
        if self.run_id is None:
            raise ValueError("a store without run_id is for reading only")
        records = {}
        for name, part in parts.items():
            if "/" in check_part_name(name):
                raise ValueError(f"{name!r}: parts stand flat beside the manifest")
            size, sha256 = self._files.write_file(folder / name, part)
            records[name] = FileRecord(size=size, sha256=sha256)
        manifest = Manifest(
            run_id=self.run_id,
            step=step,
            parents=(self._parent,) if self._parent else (),
            info=dict(info or {}),
            files=records,
        )
        # Last, so that a folder with a manifest is a folder with everything.
        self._files.write_file(folder / MANIFEST, manifest.to_bytes())
        self._files.sync(folder)

    def _confirm(self, final: Path) -> Manifest:
        # Nothing older may go before what was written has been seen with our own eyes.
        try:
            manifest = read_manifest(final, self._files)
            check_sizes(final, manifest, exact=True)
        except CheckpointError as error:
            raise StorageError(f"{error}, right after it was written. Mend the disk.") from error
        return manifest


def read_run_id(run_dir: Path, files: Files = DISK) -> str | None:
    """Return the id of the run in `run_dir`, or None where its file is missing or says none.

    Raise CheckpointError where something else than a file has its name, or it cannot be read.
    """
    path = run_dir / _RUN_ID
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise CheckpointError(f"{path}: is no regular file; move it away")
    try:
        text = files.read(path).decode("ascii", "replace").strip()
    except OSError as error:
        raise CheckpointError(_reason(error)) from error
    return text if re.fullmatch("[0-9a-f]{16}", text) else None


def write_run_id(run_dir: Path, run_id: str, files: Files = DISK) -> None:
    """Keep the id of the run in `run_dir`; hold the run lock. Raise StorageError."""
    write_atomic(run_dir / _RUN_ID, f"{run_id}\n".encode(), files)


def new_run_id() -> str:
    """Return an id that no other run has."""
    return secrets.token_hex(8)


def has_best(run_dir: Path) -> bool:
    """Say whether there is a best model, sound or not."""
    return os.path.lexists(place_of(run_dir / BEST))


def free_backup(path: Path) -> Path:
    """Return a name that nothing has, to keep under it what stands at `path`."""
    endings = itertools.chain([""], (f".{number}" for number in itertools.count(1)))
    places = (path.with_name(f"{path.name}.bak{ending}") for ending in endings)
    return next(place for place in places if not os.path.lexists(place))


def open_best(
    run_dir: Path, names: Collection[str] | None = None, files: Files = DISK
) -> Checkpoint:
    """Read the files `names` of the best model, or all, while a training may be replacing it.

    All bytes are of one generation. Raises CheckpointError when there is no best model or it is
    damaged.
    """
    final = run_dir / BEST
    try:
        return read_settled(final, lambda folder: read_checkpoint(folder, names, files), files)
    except (CheckpointError, OSError) as error:
        if not (place_of(final) / MANIFEST).exists():
            raise CheckpointError(f"{final}: there is no best model. Train one first.") from error
        raise CheckpointError(f"{error}. Train again, or name another run.") from error


def _reason(error: CheckpointError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: cannot be read: {error.strerror or error}"
    return str(error)
