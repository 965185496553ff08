"""What is said to the user: one channel, safe for terminals."""

from __future__ import annotations

import click

__all__ = ["printable", "say"]


def printable(text: str) -> str:
    r"""Escape control characters and lone surrogates, but keep line breaks.

    Names of files and classes come from outside; printed raw they could drive the terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character in "\n\t" or character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def say(text: str) -> None:
    """Print a message on stderr."""
    click.echo(printable(text), err=True)
