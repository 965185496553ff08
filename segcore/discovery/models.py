"""The names of the models at hand."""

from __future__ import annotations

from segcore.discovery.catalogue import get_catalogue

__all__ = ["list_models"]


def list_models(task: str | None = None) -> list[str]:
    """List the names of the models that the installed plugins offer, of one task or of all.

    A name that several plugins offer comes qualified, as `distribution/Name`.
    """
    models = get_catalogue().models
    names = (models.shown_name(e) for e in models if task is None or e.spec.task == task)
    return sorted(names, key=str.casefold)
