"""A training that was stopped, as its run folder tells of it. Looking changes nothing.

What is wrong with the folder is either of those faults that nobody can take on, and raised, or of
those that lose something which a user may do without, and listed in `losses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segcore.checkpoint.runfolder import RunFolder
from segcore.checkpoint.store import CheckpointStore, read_run_id
from segcore.engine.best import BestModel, best_flaw, read_best
from segcore.engine.history import History
from segcore.engine.state import STATE, TrainState
from segcore.errors import CheckpointError

__all__ = ["StoppedRun", "read_stopped_run"]


@dataclass(frozen=True)
class StoppedRun:
    """What a training goes on from: the files of its newest sound checkpoint, and its best model.

    `store` is that of the run, to save in.
    `losses` are lines on what is no longer as the checkpoint knows it. `notes` are lines to say
    once the training does go on.
    """

    store: CheckpointStore
    snapshot: Mapping[str, bytes]
    state: TrainState
    best: BestModel | None
    best_files: Mapping[str, bytes]
    is_history_whole: bool
    losses: tuple[str, ...]
    notes: tuple[str, ...]


def read_stopped_run(folder: RunFolder, keep: int) -> StoppedRun | None:
    """Read the run in `folder`; None where there is none. Hold the run lock.

    `keep` is how many checkpoints its store will keep.

    Raise CheckpointError where there is a run, but nothing that it could go on from.
    """
    contents = folder.contents()
    if not contents:
        return None
    folder.check_kinds()
    try:
        run_id, notes = _find_run_id(folder)
        store = CheckpointStore(folder.path, run_id, keep=keep)
        checkpoint = store.load()
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder.path}: holds a run ({', '.join(path.name for path in contents)}), but none "
            f"of its checkpoints can be used, and nothing is begun anew over it.\n{error}\n"
            "Restore a checkpoint, or name another --output."
        ) from error
    state = TrainState.from_json(checkpoint.parts.get(STATE, b""))
    try:
        found = read_best(folder.path, run_id)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}\nThe best model would be lost. Restore it, or move it away and go on without "
            "it by --accept-changes."
        ) from error
    best, files = (None, {}) if found is None else found
    best_loss = best_flaw(state, best)
    history_flaw = History(folder.history).flaw(
        state.history_bytes, state.history_sha256, state.step
    )
    named = ((folder.best_model.name, best_loss), (folder.history.name, history_flaw))
    return StoppedRun(
        store=store,
        snapshot=checkpoint.parts,
        state=state,
        best=best,
        best_files=files,
        is_history_whole=history_flaw is None,
        losses=tuple(f"{name}: {flaw}" for name, flaw in named if flaw is not None),
        notes=(
            *notes,
            *(f"{line}; an older checkpoint is taken" for line in checkpoint.rejected),
        ),
    )


def _find_run_id(folder: RunFolder) -> tuple[str, tuple[str, ...]]:
    """Return the id of the run, by its file or else by its checkpoints if these agree."""
    run_id = read_run_id(folder.path)
    if run_id is not None:
        return run_id, ()
    store = CheckpointStore(folder.path)
    ids = store.run_ids() or {store.load(names=()).manifest.run_id}  # which says what is wrong
    if len(ids) > 1:
        raise CheckpointError(
            f"{folder.run_id}: says no id, and the checkpoints are of several runs: "
            f"{', '.join(sorted(ids))}. Write the right one into it."
        )
    return ids.pop(), (f"{folder.run_id}: says no id; that of the checkpoints is taken",)
