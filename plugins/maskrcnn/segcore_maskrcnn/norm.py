"""How a backbone normalises, and which of it learns."""

from __future__ import annotations

from paddle import nn

__all__ = ["keep_from_learning", "replace_norms"]

_GROUPS = 32


def replace_norms(layer: nn.Layer, kind: str) -> None:
    """Put norms of `kind` in the place of every batch norm below `layer`.

    "frozen" norms run on their stored statistics in training as well, and do not learn; "batch"
    norms are left as they are; "group" norms need no statistics, so that small batches do.
    """
    if kind == "batch":
        return
    for parent in layer.sublayers(include_self=True):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2D):
                parent.add_sublayer(name, _norm(kind, child.weight.shape[0]))


def _norm(kind: str, channels: int) -> nn.Layer:
    if kind == "group":
        groups = next(n for n in range(min(_GROUPS, channels), 0, -1) if channels % n == 0)
        return nn.GroupNorm(groups, channels)
    norm = nn.BatchNorm2D(channels, use_global_stats=True)
    keep_from_learning(norm)
    return norm


def keep_from_learning(layer: nn.Layer) -> None:
    """Keep all parameters of `layer` as they are in training."""
    for parameter in layer.parameters():
        parameter.stop_gradient = True
