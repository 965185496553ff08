"""`segcore data`: everything about datasets, one command a file."""

from __future__ import annotations

import click

from segcore.cli.data.demo import demo_command
from segcore.cli.data.split import split_command
from segcore.cli.data.stats import stats_command

__all__ = ["data_command"]


@click.group("data")
def data_command() -> None:
    """Draw, check, repair, convert, split and look at datasets."""


for _command in (demo_command, split_command, stats_command):
    data_command.add_command(_command)
