"""Values of a run that options of components take over where they are null."""

from __future__ import annotations

from typing import Any

from segcore.config.schema import Config

__all__ = ["shared_values"]


def shared_values(config: Config) -> dict[str, Any]:
    """Give the value for each option name that has its home in `config`.

    So a crop has the size of `train.crop_size`, and whatever ignores pixels ignores
    `data.ignore_index`, unless the component itself says otherwise.
    """
    return {
        "crop_size": config.train.crop_size,
        "ignore_index": config.data.ignore_index,
        "label_padding_value": config.data.ignore_index,
        "mean": config.data.mean,
        "std": config.data.std,
        "convention": config.eval.convention,
    }
