"""The files of a run folder: the one place that knows their names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from segcore.checkpoint.files import is_leftover, siblings
from segcore.errors import CheckpointError, PathError
from segcore.filesystem import is_file, is_folder, list_names, real_path

__all__ = ["OLDER_NAMES_OF_BEST", "RunFolder", "results_folder"]

OLDER_NAMES_OF_BEST = ("best_model.new", "best_model.old")
"""What earlier versions called the best model while it was replaced.

A user may as well keep a copy under such a name, so it is only ever given back its own.
"""


_BY_EFFECTIVE_IDS = os.access in os.supports_effective_ids


@dataclass(frozen=True)
class RunFolder:
    """The folder that a training writes into, and that evaluation, prediction and export read."""

    path: Path

    @classmethod
    def keeping(cls, path: Path) -> RunFolder | None:
        """Return the run that keeps `path` among its checkpoints, or None."""
        for folder in real_path(path).parents:
            run = cls(folder.parent)
            # other programs have folders of that name, too
            if folder == run.checkpoints and any(n.startswith("step-") for n in list_names(folder)):
                return run
        return None

    @property
    def config(self) -> Path:
        """The effective configuration; it reruns the training exactly."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """What the training said."""
        return self.path / "train.log"

    @property
    def history(self) -> Path:
        """One JSON object a line: losses and scores by step."""
        return self.path / "metrics.jsonl"

    @property
    def train_result(self) -> Path:
        """The summary of a finished training."""
        return self.path / "train_result.json"

    @property
    def checkpoints(self) -> Path:
        """The states that a training can go on from."""
        return self.path / "checkpoints"

    @property
    def best_model(self) -> Path:
        """The weights with the best score so far."""
        return self.path / "best_model"

    @property
    def best_weights(self) -> Path:
        """The file of the best weights."""
        return self.best_model / "model.pdparams"

    @property
    def inference(self) -> Path:
        """The exported static graph of the best weights."""
        return self.best_model / "inference"

    @property
    def own_names(self) -> frozenset[str]:
        """The names in the folder that belong to a training, which nothing else writes."""
        files = (self.config, self.log, self.history, self.train_result, self.run_id, self.lock)
        others = (self.evaluations, self.checkpoints, self.best_model)
        return frozenset(path.name for path in (*files, *others)) | {f"{self.lock.name}.held"}

    @property
    def lock(self) -> Path:
        """What keeps a second training out."""
        return self.path / "run.lock"

    @property
    def evaluations(self) -> Path:
        """The table of scores that the observer CSVLog keeps."""
        return self.path / "evaluations.csv"

    @property
    def run_id(self) -> Path:
        """What ties the checkpoints and the best model to this run."""
        return self.path / "run.id"

    def contents(self) -> list[Path]:
        """Return what of a run is here, whole or not: all but its log and its lock.

        A training that ended before its first checkpoint was whole leaves nothing of a run.
        """
        best = (self.best_model, *(self.path / name for name in OLDER_NAMES_OF_BEST))
        own = (self.config, self.history, self.run_id, self.train_result, *best)
        found = [path for path in own if os.path.lexists(path)] + siblings(self.best_model)
        if os.path.lexists(self.checkpoints) and not self._has_only_leftovers(self.checkpoints):
            found.append(self.checkpoints)
        return found

    @staticmethod
    def _has_only_leftovers(folder: Path) -> bool:
        try:
            return is_folder(folder) and all(map(is_leftover, list_names(folder)))
        except PathError:  # what cannot be looked at is left alone
            return False

    def holds_run(self) -> bool:
        """Say whether a training has written here."""
        return bool(self.contents())

    def check_kinds(self) -> None:
        """Raise CheckpointError where what stands in a place is of another kind, or not for us."""
        for path in (self.config, self.history, self.run_id, self.train_result, self.log):
            if os.path.lexists(path) and not is_file(path):
                raise CheckpointError(f"{path}: is no regular file; move it away")
        for path in (self.checkpoints, self.best_model):
            if os.path.lexists(path) and not is_folder(path):
                raise CheckpointError(f"{path}: is no folder; move it away")
        for path in (self.checkpoints, self.best_model, self.inference):
            can_use = os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=_BY_EFFECTIVE_IDS)
            if os.path.lexists(path) and not can_use:
                raise CheckpointError(f"{path}: may not be read and written; mend its permissions")


def results_folder(model: Path) -> Path:
    """Return where results of the model at `model` go by default: its folder, or its run's.

    A checkpoint is what its manifest lists and nothing else.
    """
    run = RunFolder.keeping(model)
    if run is not None:
        return run.path
    return model.parent if is_file(model) else model
