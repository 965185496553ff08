"""The option --offline of commands that may fetch something."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["offline_option"]

_VARIABLE = "SEGCORE_OFFLINE"  # of segcore.checkpoint.cache, which help need not import

F = TypeVar("F", bound=Callable[..., Any])


def offline_option(command: F) -> F:
    """Add --offline, which sets SEGCORE_OFFLINE for the command and the processes it starts."""
    return click.option(
        "--offline",
        is_flag=True,
        expose_value=False,
        callback=_go_offline,
        help=f"Fetch nothing; use what the cache has ({_VARIABLE}=1).",
    )(command)


def _go_offline(ctx: click.Context, _parameter: click.Parameter, offline: bool) -> None:
    if not offline:
        return
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"

    def restore() -> None:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before

    ctx.call_on_close(restore)
