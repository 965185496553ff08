"""Plain tables and JSON on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from segcore.cli.messages import printable
from segcore.engine.signals import finishing

__all__ = ["print_json", "print_table"]


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns as wide as their content; None is an empty cell."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    table = [list(headings), *cells]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(printable(line.rstrip()))


def print_json(value: Any) -> None:
    """Print JSON that any locale can carry: what is not ASCII is escaped; whole or not at all."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with finishing():
        click.echo(text)
