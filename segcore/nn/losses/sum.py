"""The loss of a training: a weighted sum over losses and over the outputs of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paddle import nn

from segcore.config.shared import shared_values
from segcore.discovery.build import build_component
from segcore.errors import ConfigError

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue

__all__ = ["SumOfLosses", "Term"]


@dataclass(frozen=True)
class Term:
    """A loss with its name, for logs, and its factor in the sum."""

    name: str
    loss: nn.Layer
    coef: float = 1.0


class SumOfLosses(nn.Layer):
    """Apply every term to every output of a network and add everything up.

    `output_weights` has one factor for each output; None leaves them to the network.
    """

    def __init__(
        self, terms: Sequence[Term], output_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.losses = nn.LayerList([term.loss for term in terms])
        self.output_weights = None if output_weights is None else tuple(output_weights)

    @classmethod
    def from_config(cls, config: Config, catalogue: Catalogue) -> SumOfLosses:
        """Build what `train.losses` and `train.output_weights` describe.

        Raises UnknownNameError for a loss that nobody offers, ConfigError for wrong options and
        for no loss at all.
        """
        if not config.train.losses:
            raise ConfigError("train.losses is empty: give one loss at least")
        shared = shared_values(config)
        terms = []
        for term in config.train.losses:
            loss = build_component(catalogue.losses.find(term.type), term.options, shared)
            terms.append(Term(term.type, loss, term.coef))
        return cls(terms, config.train.output_weights)

    def forward(
        self, outputs: Any, labels: Any, own_weights: Sequence[float] | None = None
    ) -> Mapping[str, Any]:
        """Give the sum as `loss`, and each term's weighted part of it under the term's name.

        `outputs` is a tensor (N, C, H, W) or a sequence of them, or a mapping, which goes to every
        loss as a whole; `labels` is (N, H, W). `own_weights` are the network's factors of its
        outputs, which count where there are no `output_weights`; without either the factors are 1.
        The parts are detached; there are none where a single term would repeat the sum. A second
        term of one name is told apart by `_2`. Raises ConfigError when the weights do not fit.
        """
        outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        weights = self._weights(len(outputs), own_weights)
        parts: dict[str, Any] = {}
        for term in self.terms:
            values = [
                term.loss(output, labels) * (weight * term.coef)
                for output, weight in zip(outputs, weights, strict=True)
                if weight != 0.0
            ]
            parts[_free_name(term.name, parts)] = sum(values[1:], values[0])
        total, *others = parts.values()
        for other in others:
            total = total + other
        if not others:
            return {"loss": total}
        return {"loss": total, **{name: part.detach() for name, part in parts.items()}}

    def _weights(self, count: int, own_weights: Sequence[float] | None) -> Sequence[float]:
        weights = own_weights if self.output_weights is None else self.output_weights
        if weights is None:
            return (1.0,) * count
        if len(weights) != count:
            raise ConfigError(
                f"train.output_weights has {len(weights)} values "
                f"{list(weights)}, but the network has {count} outputs in training: "
                f"give one factor for each, or leave it out for those of the network."
            )
        if not any(weights):
            raise ConfigError("train.output_weights: all are 0, so nothing would be learnt.")
        return weights


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
