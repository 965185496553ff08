"""`segcore data`: everything about datasets, one command a file."""

from __future__ import annotations

import click

from segcore.cli.data.check import check_command
from segcore.cli.data.convert import convert_command
from segcore.cli.data.demo import demo_command
from segcore.cli.data.fix import fix_command
from segcore.cli.data.split import split_command
from segcore.cli.data.stats import stats_command
from segcore.cli.data.view import view_command

__all__ = ["data_command"]


@click.group("data")
def data_command() -> None:
    """Draw, check, repair, convert, split and look at datasets."""


for _command in (
    check_command,
    convert_command,
    demo_command,
    fix_command,
    split_command,
    stats_command,
    view_command,
):
    data_command.add_command(_command)
