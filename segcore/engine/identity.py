"""What makes two sessions of a training the same training, and what differs if they are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segcore.config.schema import Config

__all__ = ["changed_settings", "changes_scores", "differences", "run_identity", "unknown_facts"]

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
_SECTIONS = {
    "config": "settings",
    "datasets": "the lists of the datasets",
    "contents": "the bytes of images and labels",
    "components": "which distributions its components are from",
    "versions": "versions",
    "threads": "the number of threads",
}
"""The parts of an identity that map names to facts, and what they are about."""

_TITLES = {"datasets": "datasets: list of", "contents": "datasets: content of"}
"""What begins a line about a part, where it is not the name of the part."""


def run_identity(
    config: Config,
    *,
    datasets: Mapping[str, str],
    contents: Mapping[str, str | None],
    components: Mapping[str, str],
    versions: Mapping[str, str],
    threads: Mapping[str, int],
    device: str,
) -> dict[str, Any]:
    """Collect what a resumed training must have in common with its beginning.

    `datasets` maps splits to fingerprints and `contents` to digests of all files, `components` maps
    kinds and names to distributions, `versions` distributions to versions, `threads` names of
    settings to numbers, and `device` is the kind of device.
    """
    return {
        "config": _settings(config),
        "datasets": dict(datasets),
        "contents": dict(contents),
        "components": dict(components),
        "versions": dict(versions),
        "threads": dict(threads),
        "device": device,
    }


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List how `now` differs from `saved`, a line each, in words for the user.

    What `saved` does not say, since an older version of segcore wrote it, is no difference.
    """
    lines = []
    is_old = bool(unknown_facts(saved))
    for section in _SECTIONS:
        before, after = saved.get(section), now[section]
        if before is None:
            continue
        unsaid = _unsaid(section, before, now, is_old=is_old)
        lines += [
            f"{_TITLES.get(section, f'{section}:')} {key}: was {_shown(section, before, key)}, "
            f"is {_shown(section, after, key)}"
            for key in sorted({*before, *after} - unsaid)
            if before.get(key) != after.get(key)
        ]
    if saved.get("device") != now["device"]:
        lines.append(f"device: was {saved.get('device')!r}, is {now['device']!r}")
    return lines


def changed_settings(saved: Mapping[str, Any], config: Config) -> list[str]:
    """List how `config` differs from the settings of an identity, as `differences` does."""
    same: dict[str, Any] = {section: {} for section in _SECTIONS}
    return differences(
        {"config": saved["config"], "device": None},
        {**same, "config": _settings(config), "device": None},
    )


def unknown_facts(saved: Mapping[str, Any]) -> list[str]:
    """Name what an identity that an older version of segcore wrote does not tell."""
    return [about for section, about in _SECTIONS.items() if section not in saved]


def changes_scores(lines: list[str]) -> bool:
    """Say whether scores from before the differences `lines` may not be compared with new ones."""
    return any(not line.startswith(("config: train.", "threads:")) for line in lines)


def _unsaid(
    section: str, before: Mapping[str, Any], now: Mapping[str, Any], *, is_old: bool
) -> set[str]:
    """Return the keys that are missing in `before` only because its segcore did not know them."""
    if section == "versions" and is_old:
        return set(now[section]) - set(before)
    if section == "config":
        defaults = _settings(Config.model_validate({"model": {"name": "any"}}))
        settings = now[section]
        return {
            key
            for key in settings
            if key not in before and key in defaults and settings[key] == defaults[key]
        }
    return set()


def _shown(section: str, values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "not there"
    if section in ("datasets", "contents"):
        return f"{str(values[key])[:12]}..."  # enough of a digest to tell two apart
    return repr(values[key])


def _settings(config: Config) -> dict[str, Any]:
    flat = _flatten(config.model_dump(mode="json"))
    return {key: value for key, value in flat.items() if not _is_free(key)}


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
