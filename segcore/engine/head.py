"""The arrays of a network that hang on its classes, and rows of them carried over by class name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segcore.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    import paddle

    from segcore.checkpoint.pdparams import Array
    from segcore.discovery.catalogue import Catalogue, Entry
    from segcore.specs import ModelSpec

__all__ = ["ClassAxis", "carry_rows", "classes_to_reset", "find_head"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassAxis:
    """Where the classes stand in an array: one entry each along `axis`, `extra` ones after them."""

    axis: int
    extra: int


def find_head(
    network: paddle.nn.Layer,
    entry: Entry[ModelSpec],
    num_classes: int,
    options: Mapping[str, Any],
    catalogue: Catalogue,
) -> dict[str, ClassAxis | None]:
    """Find the arrays whose shape hangs on the number of classes: build one with a class more.

    None stands for an array that has not one entry for each class, so that rows cannot be told.
    """
    other = catalogue.build_model(entry, num_classes + 1, options).state_dict()
    found: dict[str, ClassAxis | None] = {}
    for name, tensor in network.state_dict().items():
        here, there = tuple(tensor.shape), tuple(other[name].shape)
        if here == there:
            continue
        axes = [axis for axis, size in enumerate(here) if there[axis] != size]
        is_plain = len(axes) == 1 and there[axes[0]] == here[axes[0]] + 1
        found[name] = ClassAxis(axes[0], here[axes[0]] - num_classes) if is_plain else None
    return found


def classes_to_reset(
    asked: Sequence[str] | None, ours: Sequence[str], theirs: Sequence[str]
) -> tuple[str, ...]:
    """Say which of our classes start anew: those asked for, or with None those new to the weights.

    Raises ConfigError for a class that is not ours, and WeightsError for one that is neither in the
    weights nor asked for.
    """
    if asked is None:
        return tuple(name for name in ours if name not in theirs)
    unknown = [name for name in asked if name not in ours]
    if unknown:
        raise ConfigError(
            f"train.reset_head: {unknown[0]!r} is no class of the data; there are {', '.join(ours)}"
        )
    lacking = [name for name in ours if name not in theirs and name not in asked]
    if lacking:
        raise WeightsError(
            f"the weights do not know the classes {', '.join(lacking)}, only {', '.join(theirs)}: "
            "name them in train.reset_head, too, or set it to null, which does"
        )
    return tuple(name for name in ours if name in asked)


def carry_rows(
    weights: Mapping[str, Array],
    state: Mapping[str, paddle.Tensor],
    head: Mapping[str, ClassAxis | None],
    *,
    ours: Sequence[str],
    theirs: Sequence[str],
    reset: Sequence[str],
) -> dict[str, Array]:
    """Give all weights, the head's as our classes want them.

    The row of a class is that of the class of the same name in the weights; those in `reset` keep
    what the network has. Raises WeightsError for a head that has no row for each class.
    """
    position = {name: index for index, name in enumerate(theirs)}
    moves = [(i, position[name]) for i, name in enumerate(ours) if name not in reset]
    arrays = dict(weights)
    for name, place in head.items():
        old = weights.get(name)
        if old is None:
            continue  # reported as missing when all is loaded
        if place is None:
            raise WeightsError(
                f"{name!r} has not one row for each class, so rows cannot be carried over by name: "
                "set train.reset_head to true"
            )
        new = np.array(state[name].numpy())
        pairs = [*moves, *((len(ours) + k, len(theirs) + k) for k in range(place.extra))]
        if old.ndim == new.ndim and old.shape[place.axis] == len(theirs) + place.extra:
            new_rows, old_rows = np.moveaxis(new, place.axis, 0), np.moveaxis(old, place.axis, 0)
            if new_rows.shape[1:] == old_rows.shape[1:]:
                for mine, their in pairs:
                    new_rows[mine] = old_rows[their]
                arrays[name] = new
    return arrays
