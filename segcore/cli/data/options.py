"""Options that several commands on datasets share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from segcore.checkpoint.ownership import Guard
    from segcore.config.schema import DataConfig
    from segcore.data.stats.survey import Progress

__all__ = ["bar", "data_options", "prepare_report", "read_data_config", "report_option"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def data_options(command: _Command) -> _Command:
    """Add the options that say how a dataset is read."""
    for option in (
        click.option(
            "--workers", type=click.IntRange(0, 256), help="Threads; one a processor if not given."
        ),
        click.option(
            "-o",
            "overrides",
            metavar="KEY=VALUE",
            multiple=True,
            help="Setting of how samples are read, such as data.label_map={255: 1}.",
        ),
        click.option(
            "-c",
            "--config",
            "file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Configuration file, whose section `data` counts.",
        ),
        click.option(
            "--split",
            "splits",
            type=click.Choice(["train", "val", "test"]),
            multiple=True,
            help="Look at this split only; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def report_option(command: _Command) -> _Command:
    """Add the option that asks for a report."""
    option = click.option(
        "--report",
        metavar="FILE.html",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Also write all of it as one HTML file, to be read offline.",
    )
    return option(command)


def prepare_report(report: Path | None, guard: Guard) -> None:
    """Make sure that a report may and can be written, before the work and not after it.

    Raises OutputError.
    """
    if report is not None:
        from segcore.checkpoint.files import prepare_output
        from segcore.data.report.page import check_report

        check_report(report, guard)
        prepare_output(report.parent)


def read_data_config(file: Path | None, overrides: tuple[str, ...]) -> DataConfig:
    """Give how samples are read, from `-c` and `-o`. Raises ConfigError."""
    from segcore.config.resolve import resolve_data
    from segcore.discovery.catalogue import get_catalogue

    return resolve_data(file, overrides, get_catalogue())


def bar(doing: str) -> Progress:
    """Make what shows progress: a bar after two seconds, nothing where nobody looks."""

    def show(items: Iterable[Any], /, *, total: int) -> Iterable[Any]:
        from tqdm import tqdm

        shown: Iterable[Any] = tqdm(
            items, doing, total, unit="image", leave=False, delay=2, disable=not sys.stderr.isatty()
        )
        return shown

    return show
