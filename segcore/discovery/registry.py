"""The components of one kind, found by any spelling of their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from segcore import __version__, specs
from segcore.discovery.find import FoundPlugin
from segcore.discovery.load import Plugin
from segcore.discovery.names import distribution_key, name_key
from segcore.errors import AmbiguousNameError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from segcore.discovery.catalogue import Catalogue

__all__ = ["BUILTIN", "Entry", "Registry"]

BUILTIN = FoundPlugin(
    name="builtin",
    value="segcore.builtin",
    distribution="segcore",
    version=__version__,
    requirements=("segcore",),
)

S = TypeVar("S", bound=specs.Spec)


@dataclass(frozen=True)
class Entry(Generic[S]):
    """A component, and the plugin that it comes from."""

    spec: S
    plugin: Plugin

    @property
    def name(self) -> str:
        """Canonical bare name."""
        return self.spec.name

    @property
    def qualified(self) -> str:
        """Name that is unique whatever else is installed: `distribution/Name`."""
        return f"{self.plugin.distribution}/{self.spec.name}"

    @property
    def is_builtin(self) -> bool:
        """Whether segcore itself offers it."""
        return self.plugin.found is BUILTIN

    def load_target(self) -> Any:
        """Import what builds the component; see `Spec.load_target`."""
        return self.spec.load_target()

    def load_options(self) -> type[BaseModel] | None:
        """Import the model of the options; see `Spec.load_options`."""
        return self.spec.load_options()


class Registry(Generic[S]):
    """The components of one kind.

    Iteration gives every entry, segcore's own first, then by distribution.
    """

    def __init__(
        self,
        kind: str,
        entries: Iterable[Entry[S]],
        catalogue: Catalogue,
    ) -> None:
        self.kind = kind
        self._entries = tuple(entries)
        self._catalogue = catalogue
        self._by_key: dict[str, list[Entry[S]]] = {}
        for entry in self._entries:
            for key in dict.fromkeys(map(name_key, (entry.name, *entry.spec.aliases))):
                self._by_key.setdefault(key, []).append(entry)

    def __iter__(self) -> Iterator[Entry[S]]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return bool(self._candidates(name)) or self._by_first_party_alias(name) is not None

    def names(self) -> list[str]:
        """List the names to type, sorted: bare where that is enough, else qualified."""
        return sorted(map(self.shown_name, self._entries), key=str.casefold)

    def shown_name(self, entry: Entry[S]) -> str:
        """Give the shortest name that finds `entry`."""
        rivals = self._by_key[name_key(entry.name)]
        return (
            entry.name
            if len(rivals) == 1 or rivals[0] is entry is self._own(rivals)
            else (entry.qualified)
        )

    def find(self, name: str) -> Entry[S]:
        """Give the component of that name, alias or qualified name.

        Raises UnknownNameError with the nearest names, AmbiguousNameError with the qualified ones,
        PluginMissingError or PluginBrokenError where a known plugin that offers it cannot be used.
        """
        candidates = self._candidates(name)
        if not candidates:
            entry = self._by_first_party_alias(name)
            if entry is None:
                raise self._catalogue.explain_missing(self, name)
            return entry
        own = self._own(candidates)
        if own is not None:
            return own
        if len(candidates) > 1:
            qualified = " or ".join(entry.qualified for entry in candidates)
            raise AmbiguousNameError(
                f"{self.kind} {name!r}: several plugins offer that name; write {qualified}"
            )
        return candidates[0]

    def clashes(self) -> dict[str, list[Entry[S]]]:
        """Give the names that more than one plugin offers, with all who offer them."""
        return {rivals[0].name: rivals for rivals in self._by_key.values() if len(rivals) > 1}

    def spellings(self) -> list[str]:
        """List every name and alias."""
        return [name for entry in self for name in (entry.name, *entry.spec.aliases)]

    def _candidates(self, name: str) -> list[Entry[S]]:
        distribution, slash, bare = name.rpartition("/")
        candidates = self._by_key.get(name_key(bare), [])
        if not slash:
            return candidates
        wanted = distribution_key(distribution)
        return [e for e in candidates if distribution_key(e.plugin.distribution) == wanted]

    def _by_first_party_alias(self, name: str) -> Entry[S] | None:
        """Find an installed component by a spelling that only the core's table knows."""
        from segcore.discovery.first_party import find_first_party

        offer = find_first_party(self.kind, name)
        found = [] if offer is None else self._candidates(offer.qualified)
        return found[0] if found else None

    @staticmethod
    def _own(candidates: Iterable[Entry[S]]) -> Entry[S] | None:
        return next((entry for entry in candidates if entry.is_builtin), None)
