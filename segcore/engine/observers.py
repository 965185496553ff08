"""Calling the observers of a training, and the built-in one."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.checkpoint.files import write_atomic
from segcore.checkpoint.runfolder import RunFolder
from segcore.discovery.build import build_component
from segcore.engine.history import read_records
from segcore.protocols import Observer

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue

__all__ = ["CSVLog", "ObserverGroup", "create_observers"]

log = logging.getLogger(__name__)

_FAILURES_ALLOWED = 3


class ObserverGroup(Observer):
    """Tell every observer; one that keeps raising is left out and the training goes on."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._failures = dict.fromkeys(observers, 0)

    def started(self, config: Config, output: Path) -> None:
        self._tell(lambda observer: observer.started(config, output))

    def logged(self, record: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.logged(record))

    def evaluated(self, record: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.evaluated(record))

    def stopped(self, record: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.stopped(record))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._failures):
            try:
                call(observer)
            except Exception as error:  # noqa: BLE001, PERF203  plugins' code: contained
                self._failures[observer] += 1
                name, count = type(observer).__name__, self._failures[observer]
                log.warning("observer %s failed (%s: %s)", name, type(error).__name__, error)
                if count >= _FAILURES_ALLOWED:
                    del self._failures[observer]
                    log.warning("observer %s failed %d times and is left out", name, count)


def create_observers(config: Config, catalogue: Catalogue) -> ObserverGroup:
    """Create the observers that `train.observers` lists. Raises UnknownNameError, ConfigError."""
    return ObserverGroup(
        [
            build_component(catalogue.observers.find(component.type), component.options)
            for component in config.train.observers
        ]
    )


class CSVLog(Observer):
    """Write the scores of every evaluation to `evaluations.csv`, for spreadsheets."""

    def __init__(self) -> None:
        self._rows: dict[int, Mapping[str, Any]] = {}
        self._path: Path | None = None

    def started(self, config: Config, output: Path) -> None:  # noqa: ARG002
        self._path = output / "evaluations.csv"
        # A resumed training goes on with what it has measured, whatever became of the table.
        self._rows = {}
        for record in read_records(RunFolder(output).history):
            if record.get("event") == "eval":
                self._add(record)

    def evaluated(self, record: Mapping[str, Any]) -> None:
        if self._path is None:
            raise ValueError("an evaluation came before the start of the training")
        self._add(record)
        columns = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(self._rows[step] for step in sorted(self._rows))
        write_atomic(self._path, table.getvalue().encode())

    def _add(self, record: Mapping[str, Any]) -> None:
        row = {k: v for k, v in record.items() if isinstance(v, int | float | str)}
        self._rows[int(record["step"])] = row
