"""Models with weights that others have published, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segcore.checkpoint.pretrained import Pretrained, bring
from segcore.discovery.weights import find_known_weights
from segcore.errors import UnknownNameError
from segcore.inference.source import FoundModel
from segcore.protocols import ModelSource

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Catalogue

__all__ = ["find_published", "published_names"]


def find_published(name: str, weights: str, catalogue: Catalogue) -> FoundModel:
    """Bring the weights `weights` of the model `name`, with the settings of its recipe.

    Nothing says what their classes are called, so they go by number. Raises UnknownNameError that
    lists the weights there are, and what fetching them may raise.
    """
    from segcore.config.resolve import resolve_config

    entry = catalogue.models.find(name)
    whole = tuple(spec for spec in entry.spec.weights if spec.part == "network")
    spec = find_known_weights(whole, weights)
    if spec is None:
        raise UnknownNameError(
            f"{entry.name} has no weights of the whole network called {weights!r}; there are "
            + (", ".join(published_names(name, catalogue)) or "none by name")
        )
    flags = {"data.num_classes": spec.num_classes}
    config = resolve_config(name, None, (), flags, catalogue).config
    brought = bring(Pretrained(weights, spec.url, spec.part, spec.sha256))
    source = ModelSource(weights=brought.path, config=config, sha256=brought.weights_sha256)
    return FoundModel(source, config, task=entry.spec.task)


def published_names(name: str, catalogue: Catalogue) -> list[str]:
    """List the weights of the whole network that are known for the model `name`."""
    spec = catalogue.models.find(name).spec
    return [weights.trained_on for weights in spec.weights if weights.part == "network"]
