"""train_result.json: what a training came to, with the keys of PaddleX's training results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segcore.checkpoint.manifest import MANIFEST
from segcore.checkpoint.runfolder import RunFolder
from segcore.config.schema import Config
from segcore.engine.state import TrainState
from segcore.filesystem import list_names

__all__ = ["describe_result"]

_EXPORT_KEYS = {".yml": "inference_config", ".json": "pdmodel", ".pdmodel": "pdmodel"}


def describe_result(
    config: Config, folder: RunFolder, state: TrainState, exported: Sequence[Path]
) -> dict[str, Any]:
    """Say what came out of a training; paths are relative to the run folder.

    Raise PathError where the folder of the best model cannot be listed.
    """

    def shown(path: Path) -> str:
        return path.relative_to(folder.path).as_posix()

    names = [name for name in list_names(folder.best_model) if name.startswith("model.")]
    weights = [folder.best_model / name for name in names]
    return {
        "done_flag": True,
        "model_name": config.model.name,
        "config": shown(folder.config),
        "train_log": shown(folder.log),
        "metrics": shown(folder.history),
        "steps": state.step,
        "models": {
            "best": {
                "score": state.best_score,
                "metric": config.eval.best,
                "step": state.best_step,
                **{path.suffix.lstrip("."): shown(path) for path in weights},
                **{
                    _EXPORT_KEYS.get(path.suffix, path.suffix.lstrip(".")): shown(path)
                    for path in exported
                    if path.name != MANIFEST
                },
            }
        },
    }
