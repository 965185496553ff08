"""The `segcore` command: verbs from the catalogue, imported only when they run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from segcore.cli.messages import say
from segcore.discovery.catalogue import (
    DISABLE_VARIABLE,
    Catalogue,
    get_catalogue,
    get_own_catalogue,
)
from segcore.errors import PluginBrokenError

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Entry, Registry
    from segcore.specs import CommandSpec

__all__ = ["CommandLine", "switch_off"]

# these show broken plugins in their own answer
_SHOW_PROBLEMS_THEMSELVES = ("plugins", "doctor")


class CommandLine(click.Group):
    """A group whose commands are the `commands` of the catalogue.

    Help and completion use the summaries of the specs, so they import no command.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names, segcore's own first, in the order of a working day."""
        commands = _catalogue(ctx).commands
        return [commands.shown_name(entry) for entry in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; None lets click say that there is none."""
        commands = _commands(ctx, cmd_name)
        return _load(commands.find(cmd_name)) if cmd_name in commands else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is answered with the nearest names."""
        if args and not args[0].startswith("-") and not ctx.resilient_parsing:
            _commands(ctx, args[0]).find(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries."""
        commands = _catalogue(ctx).commands
        rows = [(commands.shown_name(entry), entry.spec.summary) for entry in commands]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands, and the options before them."""
        commands = _catalogue(ctx, quiet=True).commands
        items = [
            CompletionItem(name, help=entry.spec.summary)
            for entry in commands
            if (name := commands.shown_name(entry)).startswith(incomplete)
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)


def switch_off(ctx: click.Context, _parameter: click.Parameter, names: Sequence[str]) -> None:
    """Add `names` to SEGCORE_DISABLE_PLUGINS, where child processes find them, too."""
    before = os.environ.get(DISABLE_VARIABLE, "")
    ctx.ensure_object(dict)["switched off"] = names
    if names:
        os.environ[DISABLE_VARIABLE] = ",".join(filter(None, (before, *names)))


def _commands(ctx: click.Context, name: str) -> Registry[CommandSpec]:
    """Give the commands to look for `name` in.

    `segcore plugins check` must work on a plugin that ends or blocks whoever imports it, so plugins
    are not loaded in order to find that command.
    """
    if name in _SHOW_PROBLEMS_THEMSELVES:
        return get_own_catalogue().commands
    return _catalogue(ctx).commands


def _catalogue(ctx: click.Context, quiet: bool = False) -> Catalogue:
    """Read the catalogue, and say once what is wrong with plugins."""
    catalogue = get_catalogue()
    said = ctx.ensure_object(dict)
    if not quiet and not ctx.resilient_parsing and "problems" not in said:
        said["problems"] = True
        for line in catalogue.problems():
            say(f"segcore: {line}")
        for name in said.get("switched off", ()):
            if not catalogue.find_plugins(name):
                say(f"segcore: --no-plugin {name}: no plugin of that name is installed")
    return catalogue


def _load(entry: Entry[CommandSpec]) -> click.Command:
    command = entry.load_target()
    if not isinstance(command, click.Command):
        raise PluginBrokenError(
            f"{entry.plugin.found.label}: command {entry.name!r} is a {type(command).__name__}, "
            "not a click.Command; report it to its authors"
        )
    return command
