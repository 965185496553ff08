"""Which first-party distribution offers which component, installed or not.

The table is first_party.json: distribution, kind, canonical name, and the spellings of that name
in the documents of the field, where they differ by more than case and punctuation. It is read only
once a name was not found among the installed plugins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.discovery.names import distribution_key, name_key
from segcore.errors import MissingError, PluginBrokenError, PluginMissingError

if TYPE_CHECKING:
    from segcore.discovery.load import Plugin

__all__ = [
    "FirstPartyOffer",
    "find_first_party",
    "first_party_distribution",
    "first_party_distributions",
    "first_party_names",
    "first_party_offers",
]


@dataclass(frozen=True)
class FirstPartyOffer:
    """A component of a first-party distribution."""

    kind: str
    name: str
    distribution: str
    aliases: tuple[str, ...] = ()

    def missing(self, asked: str, installed: Iterable[Plugin]) -> MissingError:
        """Give the error for the component, asked for as `asked`, with the way to get it.

        `installed` are the plugins of its distribution that are there.
        """
        what = f"{self.kind} {self.name!r}"
        if name_key(asked) not in (name_key(self.name), name_key(self.qualified)):
            what += f" (asked for as {asked!r})"
        plugins = list(installed)
        if not plugins:
            return PluginMissingError(
                f"{what} comes with {self.distribution}, which is not installed; "
                f"run: pip install {self.distribution}"
            )
        plugin = plugins[0]
        label = f"{self.distribution} {plugin.version}"
        if plugin.status == "ok":
            return PluginBrokenError(
                f"{what} should come with {self.distribution}, but version {plugin.version} does "
                f"not offer it; run: pip install --upgrade {self.distribution}"
            )
        if plugin.status == "disabled":
            return PluginBrokenError(
                f"{what} comes with {label}, which is {plugin.reason}; switch it on again"
            )
        return PluginBrokenError(
            f"{what} comes with {label}, which cannot be used: {plugin.reason}"
        )

    @property
    def qualified(self) -> str:
        """Name with the distribution before it."""
        return f"{self.distribution}/{self.name}"


@cache
def _table() -> dict[str, dict[str, dict[str, list[str]]]]:
    path = Path(__file__).with_name("first_party.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def first_party_offers(kind: str) -> Iterator[FirstPartyOffer]:
    """Go through all components of one kind in the table."""
    for distribution, kinds in _table().items():
        for name, aliases in kinds.get(kind, {}).items():
            yield FirstPartyOffer(kind, name, distribution, tuple(aliases))


def find_first_party(kind: str, name: str) -> FirstPartyOffer | None:
    """Find the first-party component of that name, alias or qualified name."""
    distribution, slash, bare = name.rpartition("/")
    for offer in first_party_offers(kind):
        if slash and distribution_key(distribution) != distribution_key(offer.distribution):
            continue
        if name_key(bare) in map(name_key, (offer.name, *offer.aliases)):
            return offer
    return None


def first_party_names(kind: str) -> list[str]:
    """List the canonical names of the table's components of one kind."""
    return [offer.name for offer in first_party_offers(kind)]


def first_party_distributions() -> list[str]:
    """List the first-party distributions."""
    return list(_table())


def first_party_distribution(name: str) -> str | None:
    """Give the first-party distribution that `name` means, with or without `segcore-` before it."""
    wanted = distribution_key(name)
    return next((d for d in _table() if wanted in (d, d.removeprefix("segcore-"))), None)
