"""The best model on the disk: what is known of it, and when another one may take its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segcore.checkpoint.store import has_best, open_best
from segcore.errors import CheckpointError

if TYPE_CHECKING:
    from segcore.engine.state import TrainState

__all__ = ["BestModel", "best_flaw", "read_best"]


@dataclass(frozen=True)
class BestModel:
    """The step and the score of a model; no score where none was measured, or it is undefined."""

    step: int
    score: float | None

    def beats(self, step: int, score: float | None) -> bool:
        """Say whether a model of that step and score must not take its place."""
        if self.score is None or score is None:
            is_later = self.score is None and self.step > step
            return is_later or (self.score is not None and score is None)
        return self.score > score

    def __str__(self) -> str:
        score = "no score" if self.score is None else f"score {self.score:.6g}"
        return f"of step {self.step} with {score}"


def read_best(run_dir: Path, run_id: str) -> tuple[BestModel, Mapping[str, bytes]] | None:
    """Read the best model of a run with its files, every digest verified; None if there is none.

    Raise CheckpointError where it is damaged, says no score, or belongs to another run.
    """
    if not has_best(run_dir):
        return None
    found = open_best(run_dir)
    if found.manifest.run_id != run_id:
        raise CheckpointError(
            f"{found.path}: belongs to run {found.manifest.run_id!r}, this is run {run_id!r}"
        )
    score = found.manifest.info.get("score")
    if "score" not in found.manifest.info or not (score is None or isinstance(score, int | float)):
        raise CheckpointError(f"{found.path}: its manifest holds no score")
    return BestModel(found.step, None if score is None else float(score)), found.parts


def best_flaw(state: TrainState, best: BestModel | None) -> str | None:
    """Say how the best model on the disk is not the one that `state` knows; None if it is.

    One from after the checkpoint is fine: the training comes to that step again.
    """
    known = None if state.best_step is None else BestModel(state.best_step, state.best_score)
    if best == known:
        return None
    if best is not None:
        is_ahead = best.step > state.step or (best.step == state.step and state.evaluation_due)
        if is_ahead and (known is None or not known.beats(best.step, best.score)):
            return None
    return f"was {known or 'not there yet'}, is {best or 'missing'}"
