"""Gather findings one by one, in little memory however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from segcore.data.finding import Finding
from segcore.data.findings import FindingKind, find_kind
from segcore.data.inspection.baseline import Baseline
from segcore.data.paths import printable

__all__ = ["Collector"]

_OTHERS = 19
"""Files named beside the first one of a finding."""


@dataclass
class _Group:
    """The sightings of one kind in one split."""

    kind: FindingKind
    file: str
    split: str | None
    line: int | None
    message: str
    count: int = 0
    others: list[str] = field(default_factory=list)


class Collector:
    """Joins what is seen to one finding for each kind and split.

    What `baseline` accepts is counted in `accepted` and left out. With `remembers`, everything is
    noted in `seen`, to make a baseline of.
    """

    def __init__(self, baseline: Baseline | None = None, *, remembers: bool = False) -> None:
        self._baseline = baseline or Baseline()
        self._groups: dict[tuple[str, str | None, str], _Group] = {}
        self._fixes: dict[str, str] = {}
        self._remembers = remembers
        self._lists: Mapping[str, str] = {}
        self.seen = Baseline()
        self.accepted = 0

    def add(
        self,
        kind: str,
        file: str,
        message: str,
        *,
        split: str | None = None,
        line: int | None = None,
        subject: str = "",
    ) -> None:
        """Note one sighting of `kind` in `file`, a name relative to the dataset.

        `subject` tells apart what a file may have several times, such as a class that is absent;
        each makes a finding of its own.
        """
        found = find_kind(kind)
        shown = printable(file)
        if self._remembers:
            self.seen.add(found.code, shown, subject)
        if self._baseline.accepts(found.code, shown, subject):
            self.accepted += 1
            return
        key = (kind, split, subject)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(found, shown, split, line, message)
        elif len(group.others) < _OTHERS:
            group.others.append(shown if line is None else f"{shown} (line {line})")
        group.count += 1

    def name_lists(self, lists: Mapping[str, str]) -> None:
        """Say in which file the lines of each split stand."""
        self._lists = lists

    def offer(self, kind: str, command: str) -> None:
        """Give the command that mends findings of `kind`."""
        self._fixes[kind] = command

    def findings(self) -> tuple[Finding, ...]:
        """Give what was found, errors first, in the order of codes."""
        groups = sorted(
            self._groups.values(), key=lambda group: (group.kind.severity, group.kind.code)
        )
        return tuple(
            Finding(
                code=group.kind.code,
                severity=group.kind.severity,
                file=group.file,
                message=group.message,
                split=group.split,
                list=None if group.split is None else self._lists.get(group.split),
                line=group.line,
                count=group.count,
                fix=self._fixes.get(group.kind.name),
                others=tuple(group.others),
            )
            for group in groups
        )
