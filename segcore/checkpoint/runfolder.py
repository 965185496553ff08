"""The files of a run folder: the one place that knows their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segcore.filesystem import exists

__all__ = ["RunFolder"]

_OTHERS = {"run.id", "run.lock", "run.lock.held", "evaluations.csv"}


@dataclass(frozen=True)
class RunFolder:
    """The folder that a training writes into, and that evaluation, prediction and export read."""

    path: Path

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
        files = (self.config, self.log, self.history, self.train_result)
        folders = (self.checkpoints, self.best_model)
        return frozenset(path.name for path in (*files, *folders)) | _OTHERS

    def holds_run(self) -> bool:
        """Say whether a training has written here."""
        return exists(self.config) or exists(self.checkpoints) or exists(self.history)
