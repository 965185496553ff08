"""What segcore-transformers offers: data only, nothing heavy is imported."""

from __future__ import annotations

from segcore.plugin import BackboneSpec, ModelSpec, hookimpl


@hookimpl
def segcore_models() -> tuple[ModelSpec, ...]:
    """Declare the networks of this distribution, family by family."""
    return ()


@hookimpl
def segcore_backbones() -> tuple[BackboneSpec, ...]:
    """Declare the backbones that these networks stand on, for heads of any plugin."""
    return ()
