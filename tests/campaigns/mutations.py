"""Make layers of networks wrong, and see that the comparison with their references notices.

    python -m tests.campaigns.mutations [--layers 4] [-k EXPRESSION] [PATH...]

Each agreement with a reference (tests marked `parity`) is computed anew with one thing wrong:
outputs of single layers, spread over the network, whose channels hold a tenth of the one before;
another epsilon or momentum of the norms; a kernel mirrored, or drawn apart; an activation that
leaks, or is approximate; the borders of a mean counted otherwise; corners aligned otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import paddle
from paddle import nn

from segcore.errors import CheckFailed
from segcore.testing.parity import (
    Agreement,
    double_precision,
    fill_network,
    kept_state,
    relative_distances,
)
from tests.campaigns.sensitivity import add_selection, run_parity

Mutation = tuple[str, str, AbstractContextManager[None]]
NORMS = (nn.BatchNorm2D, nn.BatchNorm1D, nn.BatchNorm, nn.LayerNorm, nn.GroupNorm)


def mutations(
    agreement: Agreement, called: list[tuple[str, nn.Layer]], layers: int
) -> Iterator[Mutation]:
    """Give kind, place and a context in which the network of the agreement is wrong."""
    weighty = [(name, layer) for name, layer in called if layer.parameters()]
    for name, layer in _spread(weighty, layers):
        yield "output", name, _hooked(layer, _blurred)
    norms = [layer for _, layer in called if isinstance(layer, NORMS)]
    if norms:
        yield "epsilon", "all", _changed(norms, "_epsilon", lambda epsilon: 100 * epsilon)
    batch_norms = [layer for layer in norms if hasattr(layer, "_momentum")]
    if batch_norms and any(name.endswith(("._mean", "._variance")) for name in agreement.expected):
        yield "momentum", "all", _changed(batch_norms, "_momentum", lambda _: 0.99)
    convs = [(n, x) for n, x in called if isinstance(x, nn.Conv2D) and x.weight.shape[3] > 1]
    for name, conv in _spread(convs, 1):
        yield "mirrored", name, _mirrored(conv)
        yield "dilated", name, _dilated(conv)
    rectifiers = [(name, layer) for name, layer in called if isinstance(layer, nn.ReLU)]
    for name, layer in _spread(rectifiers, 1):
        yield "leak", name, _hooked(layer, lambda _, x, out: out + 0.01 * x[0].clip(max=0.0))
    gelus = [layer for _, layer in called if isinstance(layer, nn.GELU)]
    if gelus:
        yield "approximate", "all", _changed(gelus, "_approximate", lambda _: True)
    pools = [layer for _, layer in called if isinstance(layer, nn.AvgPool2D)]
    if pools:
        yield "borders", "all", _changed(pools, "exclusive", lambda value: not value)
    sublayers = agreement.network.sublayers()
    cornered = [x for x in sublayers if isinstance(getattr(x, "align_corners", 0), bool)]
    if cornered:
        yield "corners", "all", _changed(cornered, "align_corners", lambda value: not value)


def _spread(layers: list[Any], count: int) -> list[Any]:
    """Take `count` of the layers, evenly; a single one is that in the middle."""
    count = min(count, len(layers))
    return [layers[(2 * number + 1) * len(layers) // (2 * count)] for number in range(count)]


@contextmanager
def _hooked(layer: nn.Layer, hook: Callable[..., Any]) -> Iterator[None]:
    handle = layer.register_forward_post_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _blurred(_: nn.Layer, __: Any, output: Any) -> Any:
    # neither a scale nor a shift, which the next norm would undo
    axis = 1 if len(output.shape) == 4 else -1
    return output + 0.1 * paddle.roll(output, 1, axis)


@contextmanager
def _changed(layers: list[nn.Layer], name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    old = [getattr(layer, name) for layer in layers]
    for layer in layers:
        setattr(layer, name, change(getattr(layer, name)))
    try:
        yield
    finally:
        for layer, value in zip(layers, old, strict=True):
            setattr(layer, name, value)


@contextmanager
def _mirrored(conv: nn.Conv2D) -> Iterator[None]:
    conv.weight.set_value(conv.weight.numpy()[..., ::-1].copy())
    yield  # the state is put back for each mutation


@contextmanager
def _dilated(conv: nn.Conv2D) -> Iterator[None]:
    """Draw the kernel apart, and pad as much more, so that shapes stay."""
    height, width = conv.weight.shape[2:]
    more = [(height - 1) // 2, (width - 1) // 2]

    def wider(padding: Any) -> Any:
        if isinstance(padding, str):  # "SAME" grows by itself
            return padding
        values = [padding] * 2 if isinstance(padding, int) else list(padding)
        return [value + by for value, by in zip(values, more, strict=True)]

    with ExitStack() as stack:
        for name, change in (
            ("_dilation", lambda value: [by + 1 for by in value]),
            ("_padding", wider),
            ("_updated_padding", wider),
        ):
            if hasattr(conv, name):
                stack.enter_context(_changed([conv], name, change))
        yield


class Trying:
    """What `Agreement.check` is replaced by."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.tried: Counter[str] = Counter()
        self.missed: list[str] = []

    def check(self, agreement: Agreement) -> dict[str, float]:
        """Make one thing after another wrong, and note what is not noticed."""
        network = agreement.network
        tolerances = agreement.tolerances()
        fill_network(network, agreement.fill_scale)
        with double_precision(network):
            called: list[tuple[str, nn.Layer]] = []
            with kept_state(network), ExitStack() as hooks:
                for name, layer in network.named_sublayers():
                    if not layer.sublayers():
                        hooks.enter_context(_hooked(layer, _noting(name, called)))
                distances = relative_distances(agreement.compute(), agreement.expected)
            assert all(distances[name] <= tolerances[name] for name in distances), agreement.name
            for kind, place, wrong in mutations(agreement, called, self.layers):
                with kept_state(network), wrong:
                    is_noticed = self._is_noticed(agreement, tolerances)
                self.tried[kind] += 1
                if not is_noticed:
                    self.missed.append(f"{agreement.name}: {kind} of {place}")
                    print(f"\nmissed: {self.missed[-1]}")
        return distances

    def _is_noticed(self, agreement: Agreement, tolerances: Any) -> bool:
        try:
            distances = relative_distances(agreement.compute(), agreement.expected)
        except (CheckFailed, ValueError):  # of other shapes
            return True
        return any(not distances[name] <= tolerances[name] for name in distances)


def _noting(name: str, called: list[tuple[str, nn.Layer]]) -> Callable[..., None]:
    def note(layer: nn.Layer, _: Any, output: Any) -> None:
        if isinstance(output, paddle.Tensor) and "float" in str(output.dtype):
            called[:] = [entry for entry in called if entry[0] != name] + [(name, layer)]

    return note


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4, help="whose outputs are made wrong")
    add_selection(parser)
    options = parser.parse_args()
    trying = Trying(options.layers)
    code = run_parity(options, trying.check)
    total = sum(trying.tried.values())
    print(
        f"{total} mutations ({', '.join(f'{k} {n}' for k, n in sorted(trying.tried.items()))}): "
        f"{total - len(trying.missed)} noticed; missed: {'; '.join(trying.missed) or 'none'}"
    )
    return int(code != 0 or bool(trying.missed))


if __name__ == "__main__":
    sys.exit(main())
