"""What makes two sessions of a training the same training, and what differs if they are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segcore.config.schema import Config

__all__ = ["differences", "run_identity"]

# These may change from session to session: they alter neither weights nor scores.
_FREE = frozenset(
    {
        "data.palette",
        "data.path",
        "data.timeout_s",
        "train.num_workers",
        "train.pretrained_origin",
        "eval.batch_size",
        "predict",
        "save",
    }
)


def run_identity(
    config: Config, *, datasets: Mapping[str, str], versions: Mapping[str, str], device: str
) -> dict[str, Any]:
    """Collect what a resumed training must have in common with its beginning.

    `datasets` maps splits to fingerprints, `versions` distributions to versions, and `device` is
    the kind of device.
    """
    flat = _flatten(config.model_dump(mode="json"))
    return {
        "config": {key: value for key, value in flat.items() if not _is_free(key)},
        "datasets": dict(datasets),
        "versions": dict(versions),
        "device": device,
    }


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List how `now` differs from `saved`, a line each, in words for the user."""
    lines = []
    for section in ("config", "datasets", "versions"):
        before, after = saved.get(section, {}), now[section]
        lines += [
            f"{section}: {key}: was {before.get(key)!r}, is {after.get(key)!r}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
    if saved.get("device") != now["device"]:
        lines.append(f"device: was {saved.get('device')!r}, is {now['device']!r}")
    return lines


def _is_free(key: str) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:end]) in _FREE for end in range(1, len(parts) + 1))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
