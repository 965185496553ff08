"""Which weights are known by name for a model, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segcore.discovery.build import validate_options
from segcore.discovery.names import name_key

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Catalogue
    from segcore.discovery.registry import Entry
    from segcore.specs import ModelSpec, WeightsSpec

__all__ = ["find_known_weights", "known_weights"]


def known_weights(
    entry: Entry[ModelSpec], options: Mapping[str, Any], catalogue: Catalogue
) -> tuple[WeightsSpec, ...]:
    """List the weights of a model with these options, then those of its backbone.

    The backbone is the one that the option `backbone` names, if there is one. A spec of the model
    that fits the backbone only counts as long as that option has its default, and comes before one
    of the backbone of the same name. Raises ConfigError for options that the model does not have.
    """
    chosen = _backbone(entry, options)
    is_default = chosen == _backbone(entry, {})
    own = [weights for weights in entry.spec.weights if weights.part == "network" or is_default]
    if chosen is not None and chosen in catalogue.backbones:
        taken = {name_key(weights.trained_on) for weights in own if weights.part == "backbone"}
        theirs = catalogue.backbones.find(chosen).spec.weights
        own += [weights for weights in theirs if name_key(weights.trained_on) not in taken]
    return tuple(own)


def find_known_weights(known: tuple[WeightsSpec, ...], name: str) -> WeightsSpec | None:
    """Find weights by what they were trained on; those of the whole network come first."""
    found = [weights for weights in known if name_key(weights.trained_on) == name_key(name)]
    return min(found, key=lambda weights: weights.part != "network", default=None)


def _backbone(entry: Entry[ModelSpec], options: Mapping[str, Any]) -> str | None:
    backbone = getattr(validate_options(entry, options), "backbone", None)
    return backbone if isinstance(backbone, str) else None
