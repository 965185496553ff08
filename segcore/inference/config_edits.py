"""What was changed in the configuration of a run since its training wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segcore.checkpoint import pdparams
from segcore.checkpoint.store import open_best
from segcore.config.schema import Config
from segcore.errors import RequestError

__all__ = ["describe_edits"]

_STATES = "model.pdstates"
_SHOWN = 3


def describe_edits(run_dir: Path, settings: Mapping[str, Any]) -> str:
    """Say which settings are others than those that the best model of a run was trained with.

    Nothing is said where that is not known. Settings that decide neither weights nor scores are not
    compared.
    """
    from segcore.engine.identity import changed_settings

    try:
        best = open_best(run_dir, [_STATES])
        identity = pdparams.decode(best.parts[_STATES], source=_STATES).tree["identity"]
        lines = changed_settings(identity, Config.model_validate(settings))
    except (RequestError, ValidationError, KeyError, TypeError, AttributeError):
        return ""
    if not lines:
        return " No setting that decides weights or scores is another one."
    more = f", and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    shown = [line.removeprefix("config: ") for line in lines[:_SHOWN]]
    return f" Changed: {'; '.join(shown)}{more}."
