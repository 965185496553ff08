"""The classes of models that the installed plugins offer."""

from __future__ import annotations

from importlib import import_module

from segcore.discovery.catalogue import get_catalogue
from segcore.trainable.model import TrainableModel

__all__ = ["find_class"]


def find_class(name: str, base: type[TrainableModel], known: str) -> type[TrainableModel]:
    """Find the class `name` of any plugin that is a `base`.

    Raises AttributeError, which says what is `known`, where nobody offers it.
    """
    for plugin in get_catalogue().plugins:
        package = plugin.found.value.partition(":")[0].partition(".")[0]
        if name.startswith("_") or plugin.status != "ok" or package == "segcore":
            continue
        found = getattr(import_module(package), name, None)
        if isinstance(found, type) and issubclass(found, base):
            return found
    raise AttributeError(f"no installed plugin offers a class of models {name!r}; {known}")
