"""Put the weights of a backbone into a network that stands on it.

The files that are published for backbones come from trainings that classify images, so they and a
network's `backbone` differ at the edges. These rules say how much of that is taken:

- names count without the prefix `backbone.`;
- layers of the file that the backbone does not have at all, such as `fc`, are the classifier's:
  they are left out, and reported. A layer counts as had when the backbone has one of that name but
  for its number, so that weights of a deeper backbone of the same family are refused;
- of the backbone's own arrays at least nine in ten must be there; the rest starts fresh, reported;
- other shapes never pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from segcore.checkpoint.pdparams import Array
from segcore.checkpoint.weights import MatchReport, Tensor, load_into, match_weights
from segcore.errors import WeightsError

__all__ = ["is_backbone_file", "load_backbone_into"]

PREFIX = "backbone."
_LEAST_SHARE = 0.9
_DIGITS = re.compile(r"\d+")


def is_backbone_file(state: Mapping[str, Tensor], weights: Mapping[str, Array]) -> bool:
    """Say whether weights are of a network's backbone alone: its names, and no others of it."""
    inner = {name.removeprefix(PREFIX) for name in state if name.startswith(PREFIX)}
    return not any(name in state for name in weights) and any(name in inner for name in weights)


def load_backbone_into(
    state: Mapping[str, Tensor],
    weights: Mapping[str, Array],
    *,
    source: str = "weights",
    model: str = "the model",
    nearest_model: Callable[[Mapping[str, Array]], str | None] | None = None,
) -> MatchReport:
    """Put weights into the `backbone` of a network, given as its whole `state_dict()`.

    The report names arrays as the backbone does. Raises WeightsError where the rules at the top of
    this module forbid it.
    """
    inner = {name.removeprefix(PREFIX): t for name, t in state.items() if name.startswith(PREFIX)}
    if not inner:
        raise WeightsError(
            f"{source}: are the weights of a backbone, and {model} has none. Give weights of the "
            "whole network."
        )
    found = {name.removeprefix(PREFIX): array for name, array in weights.items()}
    report = match_weights({name: tuple(t.shape) for name, t in inner.items()}, found)
    layers = {_layer(name) for name in inner}
    classifier = {name for name in report.unexpected if _layer(name) not in layers}
    may_be_fresh = len(report.missing) <= (1 - _LEAST_SHARE) * len(inner)
    loaded = load_into(
        inner,
        {name: array for name, array in found.items() if name not in classifier},
        fresh=set(report.missing) if may_be_fresh else (),
        any_channels=True,
        source=source,
        model=f"the backbone of {model}",
        nearest_model=nearest_model,
    )
    return replace(
        loaded,
        missing=report.missing,
        unexpected=report.unexpected,
        left_out=(*report.missing, *sorted(classifier)),
    )


def _layer(name: str) -> str:
    """Give the outermost layer of an array, whatever its number."""
    return _DIGITS.sub("#", name.partition(".")[0])
