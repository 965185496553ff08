"""The catalogue: every component of every plugin, by kind and name.

Names are found ignoring case, `-`, `_` and spaces, and by alias. A name that several plugins offer
must be qualified (`segcore-pplite/PP-LiteSeg-T`); only segcore's own components keep their bare
names, so that installing a plugin never changes what existing configurations mean.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from segcore import __version__, specs
from segcore.discovery.find import FoundPlugin, find_plugins
from segcore.discovery.load import Plugin, disable, load_plugin
from segcore.discovery.names import distribution_key, name_key, nearest
from segcore.discovery.registry import BUILTIN, Entry, Registry
from segcore.discovery.verify import DECLARING_HOOKS
from segcore.errors import (
    PluginBrokenError,
    PluginMissingError,
    SegcoreError,
    UnknownNameError,
)

if TYPE_CHECKING:
    import paddle

__all__ = [
    "BUILTIN",
    "DISABLE_VARIABLE",
    "Catalogue",
    "Entry",
    "Registry",
    "get_catalogue",
    "get_own_catalogue",
    "is_named",
]

DISABLE_VARIABLE = "SEGCORE_DISABLE_PLUGINS"
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?\Z", re.ASCII)

S = TypeVar("S", bound=specs.Spec)


class Catalogue:
    """All plugins, usable or not, and the registries of what the usable ones declare."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.plugins = tuple(plugins)
        self.models = self._registry(specs.ModelSpec)
        self.backbones = self._registry(specs.BackboneSpec)
        self.losses = self._registry(specs.LossSpec)
        self.metrics = self._registry(specs.MetricSpec)
        self.transforms = self._registry(specs.TransformSpec)
        self.tasks = self._registry(specs.TaskSpec)
        self.dataset_formats = self._registry(specs.DatasetFormatSpec)
        self.converters = self._registry(specs.ConverterSpec)
        self.exporters = self._registry(specs.ExporterSpec)
        self.devices = self._registry(specs.DeviceSpec)
        self.runtimes = self._registry(specs.RuntimeSpec)
        self.observers = self._registry(specs.ObserverSpec)
        self.commands = self._registry(specs.CommandSpec)

    def registries(self) -> dict[str, Registry[Any]]:
        """Give the registries by the names that they have as attributes."""
        names = (hook.removeprefix("segcore_") for hook in DECLARING_HOOKS)
        return {name: getattr(self, name) for name in names}

    def find_plugins(self, name: str) -> list[Plugin]:
        """Give the plugins with that entry-point or distribution name."""
        return [plugin for plugin in self.plugins if is_named(plugin.found, name)]

    def problems(self) -> list[str]:
        """Say, in one line a plugin, what is wrong with plugins and what to do about it."""
        broken = {plugin.found: plugin.problem() for plugin in self.plugins}
        lines = [line for line in broken.values() if line is not None]
        return lines + [f"{found.label}: {clash}" for found, clash in self._clashes.items()]

    def clash(self, plugin: Plugin) -> str | None:
        """Say which names of `plugin` another one offers, too; None when there are none.

        Each of several plugins with a name is told of, since nobody can say whose mistake it is;
        segcore's own components keep their names and need not be.
        """
        return self._clashes.get(plugin.found)

    @cached_property
    def _clashes(self) -> dict[FoundPlugin, str]:
        shared: dict[FoundPlugin, list[str]] = {}
        for registry in self.registries().values():
            for name, rivals in registry.clashes().items():
                for entry in rivals:
                    others = [e for e in rivals if e.plugin is not entry.plugin]
                    if others and not entry.is_builtin:
                        how = "keeps it" if others[0].is_builtin else "offers it, too"
                        shared.setdefault(entry.plugin.found, []).append(
                            f"{registry.kind} {name!r} ({others[0].plugin.distribution} {how}; "
                            f"write {entry.qualified})"
                        )
        return {
            found: f"offers a name that is taken: {lines[0]}"
            + (f" and {len(lines) - 1} more" if len(lines) > 1 else "")
            for found, lines in shared.items()
        }

    def build_model(
        self,
        model: specs.ModelSpec | Entry[specs.ModelSpec],
        num_classes: int,
        options: Mapping[str, Any] | None = None,
    ) -> paddle.nn.Layer:
        """Build a network with random weights, through the hook `segcore_build_model`.

        The plugin that declared the model is asked first, segcore's own implementation last.
        Raises ConfigError for options that the model does not take, and PluginBrokenError when
        the plugin's code fails or gives something that is no `paddle.nn.Layer`.
        """
        # imported here: building is the one thing in this package that needs paddle
        from segcore.discovery.build import build_network

        entry = model if isinstance(model, Entry) else self._entry_of(model)
        return build_network(entry, self.plugins[0], num_classes, options or {})

    def _explain_distribution(self, what: str, name: str) -> SegcoreError | None:
        """Give the error for a qualified name whose distribution cannot be used."""
        from segcore.discovery.first_party import first_party_distributions

        distribution, _, bare = name.rpartition("/")
        installed = [plugin for plugin in self.plugins if is_named(plugin.found, distribution)]
        left_out = [plugin for plugin in installed if plugin.status != "ok"]
        if left_out:
            return PluginBrokenError(f"{what}: {left_out[0].found.label}: {left_out[0].reason}")
        if installed:
            return None
        known = {*first_party_distributions(), *(plugin.distribution for plugin in self.plugins)}
        guesses = nearest(distribution, known, 1)
        if guesses:
            return UnknownNameError(f"there is no {what}; did you mean '{guesses[0]}/{bare}'?")
        if not _DISTRIBUTION.match(distribution):
            return UnknownNameError(f"there is no {what}: {distribution!r} can be no plugin")
        return PluginMissingError(
            f"{what}: its plugin is not installed; run: pip install {distribution}"
        )

    def _entry_of(self, spec: specs.ModelSpec) -> Entry[specs.ModelSpec]:
        for entry in self.models:
            if entry.spec is spec:
                return entry
        return self.models.find(spec.name)

    def _registry(self, kind: type[S]) -> Registry[S]:
        entries = (
            Entry(spec, plugin)
            for plugin in self.plugins
            for spec in plugin.specs
            if isinstance(spec, kind)
        )
        return Registry(kind.kind, entries, self)

    def explain_missing(self, registry: Registry[Any], name: str) -> SegcoreError:
        """Give the error for a name that `registry` does not have, with the way out."""
        from segcore.discovery.first_party import find_first_party, first_party_names

        offer = find_first_party(registry.kind, name)
        if offer is not None:
            installed = [p for p in self.plugins if is_named(p.found, offer.distribution)]
            return offer.missing(name, installed)
        _, slash, bare = name.rpartition("/")
        if slash and (error := self._explain_distribution(f"{registry.kind} {name!r}", name)):
            return error
        guesses = nearest(bare, [*registry.spellings(), *first_party_names(registry.kind)])
        if guesses:
            hint = "did you mean " + " or ".join(map(repr, guesses)) + "?"
        else:
            hint = "known: " + (", ".join(registry.names()[:20]) or "none")
        left_out = [line for plugin in self.plugins if (line := plugin.problem()) is not None]
        also = f" ({'; '.join(left_out[:3])})" if left_out else ""
        return UnknownNameError(f"there is no {registry.kind} {name!r}; {hint}{also}")


def is_named(found: FoundPlugin, name: str) -> bool:
    """Say whether `name` means this plugin: by entry point or by distribution."""
    return name_key(found.name) == name_key(name) or (
        distribution_key(found.distribution) == distribution_key(name)
    )


@cache
def get_own_catalogue() -> Catalogue:
    """Give the catalogue of segcore's own components, without looking for plugins.

    Raises SegcoreError when they cannot be read, which is a defect.
    """
    builtin = load_plugin(BUILTIN, __version__)
    if builtin.status != "ok":
        raise SegcoreError(f"segcore's own components cannot be read: {builtin.reason}")
    return Catalogue([builtin])


def read_catalogue(disabled: Iterable[str] = ()) -> Catalogue:
    """Find and load all plugins anew, but those named in `disabled`."""
    switched_off = tuple(disabled)
    plugins = list(get_own_catalogue().plugins)
    for found in find_plugins():
        if any(is_named(found, name) for name in switched_off):
            plugins.append(disable(found))
        else:
            plugins.append(load_plugin(found, __version__))
    return Catalogue(plugins)


def disabled_by_environment() -> frozenset[str]:
    """Names in the environment variable SEGCORE_DISABLE_PLUGINS, which commas separate."""
    names = os.environ.get(DISABLE_VARIABLE, "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


_catalogues: dict[frozenset[str], Catalogue] = {}
_reading = threading.Lock()


def get_catalogue(disabled: Iterable[str] = ()) -> Catalogue:
    """Give the catalogue; it is read once per process and set of switched-off plugins.

    `disabled` names plugins by entry point or distribution, and adds to the environment variable
    SEGCORE_DISABLE_PLUGINS.
    """
    key = frozenset(disabled) | disabled_by_environment()
    with _reading:
        if key not in _catalogues:
            _catalogues[key] = read_catalogue(key)
        return _catalogues[key]
