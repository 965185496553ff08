"""The option --force of commands that write where users say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["force_option"]

F = TypeVar("F", bound=Callable[..., Any])


def force_option(command: F) -> F:
    """Add --force, which the guard of `segcore.checkpoint.ownership` takes."""
    return click.option(
        "--force",
        is_flag=True,
        help="Replace files of others that have the names of results; never an input or a run.",
    )(command)
