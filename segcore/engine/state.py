"""Where a training stands, beside the weights: all that it needs to go on as if never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from segcore.errors import CheckpointError
from segcore.foreign import foreign_errors

__all__ = ["STATE", "TrainState"]

STATE = "state.json"
"""The file of a checkpoint that holds it."""

_VERSION = 2
_ADDED = {2: {"history_sha256"}}
"""Fields by the version that brought them; version 1 wrote no version."""


@dataclass
class TrainState:
    """The numbers that a checkpoint keeps in the file `STATE`.

    `step` counts finished iterations; epoch and position in it follow from it. `evaluation_due`
    says that the evaluation of this step is still to come (states are saved before evaluating).
    `window` sums the losses since the last line of metrics.jsonl, which is `history_bytes` long
    and has the digest `history_sha256`.
    """

    step: int = 0
    evaluation_due: bool = False
    best_score: float | None = None
    best_step: int | None = None
    evaluations_without_gain: int = 0
    history_bytes: int = 0
    history_sha256: str | None = None
    window: dict[str, float] = field(default_factory=dict)
    window_steps: int = 0
    identity: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Write the state as JSON; numbers come back bit for bit."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> TrainState:
        """Read what `to_json` of this version or an older one wrote. Raises CheckpointError."""

        def refuse(reason: str) -> CheckpointError:
            return CheckpointError(f"state.json of the checkpoint is unreadable: {reason}")

        with foreign_errors(refuse):
            values = json.loads(data)
        try:
            if not isinstance(values, dict):
                raise ValueError("it is no object")
            version = values.pop("version", 1)
            if version not in range(1, _VERSION + 1):
                raise ValueError(
                    f"its version is {version}, and this segcore reads 1 to {_VERSION}"
                )
            later = set().union(*(names for added, names in _ADDED.items() if added > version))
            if set(values) != {f.name for f in fields(cls)} - later:
                raise ValueError("its keys are not those of this version of segcore")
            return TypeAdapter(cls).validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            raise refuse(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except ValueError as error:
            raise refuse(str(error)) from error

    def add_losses(self, losses: Mapping[str, float]) -> None:
        """Take the losses of one step into the window."""
        for name, value in losses.items():
            self.window[name] = self.window.get(name, 0.0) + value
        self.window_steps += 1

    def take_window(self) -> dict[str, float]:
        """Give the mean losses since the last call, and begin anew."""
        means = {name: value / self.window_steps for name, value in self.window.items()}
        self.window, self.window_steps = {}, 0
        return means
