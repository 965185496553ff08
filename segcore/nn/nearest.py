"""Say which known model some weights look like, for the message that they do not fit another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from segcore.checkpoint.pdparams import Array
from segcore.checkpoint.weights import nearest_layout
from segcore.errors import SegcoreError

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Catalogue

__all__ = ["nearest_model_in"]

_CANDIDATES = 3  # each is built, which takes a second and the memory of its weights
_LARGEST_DIFFERENCE = 0.25  # heads for other classes and running statistics count, too
_NUM_CLASSES = 19


def nearest_model_in(
    catalogue: Catalogue, task: str
) -> Callable[[Mapping[str, Array]], str | None]:
    """Give what names the model of `task` that arrays look like, or None.

    Only models of about as many parameters are looked at, since each has to be built for it.
    """

    def nearest(found: Mapping[str, Array]) -> str | None:
        size = sum(array.size for array in found.values())
        differences = {
            entry.name: abs(size / entry.spec.parameters - 1)
            for entry in catalogue.models
            if entry.spec.task == task and entry.spec.parameters
        }
        close = sorted(differences, key=lambda name: differences[name])[:_CANDIDATES]
        layouts = {}
        for name in close:
            if differences[name] <= _LARGEST_DIFFERENCE:
                layouts[name] = _layout(name, catalogue)
        return nearest_layout(found, layouts)

    return nearest


def _layout(name: str, catalogue: Catalogue) -> Mapping[str, tuple[int, ...]]:
    """Give the shapes of a model's arrays; none for a model that cannot be built."""
    try:
        network = catalogue.build_model(catalogue.models.find(name), _NUM_CLASSES)
    except SegcoreError:
        return {}
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
