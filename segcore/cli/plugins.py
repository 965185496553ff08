"""`segcore plugins`: which plugins there are, what is wrong with them, and how to start one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segcore.cli.messages import printable
from segcore.cli.table import print_json, print_table
from segcore.discovery.catalogue import Catalogue, get_catalogue
from segcore.errors import CheckFailed, PluginMissingError, UnknownNameError

if TYPE_CHECKING:
    from segcore.discovery.load import Plugin

__all__ = ["plugins_command"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("plugins")
def plugins_command() -> None:
    """List, describe, check and start plugins."""


@plugins_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the installed plugins, and say what is wrong with those that do not work."""
    catalogue = get_catalogue()
    records = [_record(catalogue, plugin) for plugin in catalogue.plugins]
    if as_json:
        print_json(records)
        return
    rows = [
        (r["name"], r["distribution"], r["version"], _status(r), _counts(r["declares"]))
        for r in records
    ]
    print_table(("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "OFFERS"), rows)
    troubles = [(r, why) for r in records for why in (r["reason"], r["clash"]) if why]
    if troubles:
        click.echo()
    for record, why in troubles:
        label = f"{record['name']} ({record['distribution']} {record['version']})"
        click.echo(printable(f"{label}: {why}"))


@plugins_command.command("info")
@click.argument("name")
@json_option
def info_command(name: str, as_json: bool) -> None:
    """Describe the plugin NAME: where it comes from, its hooks, components and import time."""
    catalogue = get_catalogue()
    plugins = catalogue.find_plugins(name)
    if not plugins:
        raise _unknown(catalogue, name)
    records = [_detailed(catalogue, plugin) for plugin in plugins]
    if as_json:
        print_json(records if len(records) > 1 else records[0])
        return
    for record in records:
        _print_plugin(record)


@plugins_command.command("check")
@click.argument("name_or_path")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds allowed.")
@json_option
def check_command(name_or_path: str, timeout_s: float, as_json: bool) -> None:
    """Check a plugin in a process of its own: an installed one, a project folder, or a module.

    Ends with code 1 when there is something to mend.
    """
    from segcore.discovery.check import check_plugin

    reports = check_plugin(name_or_path, timeout_s)
    if as_json:
        print_json([vars(report) for report in reports])
    else:
        for report in reports:
            verdict = f"{len(report.findings)} to mend" if report.findings else "good"
            click.echo(printable(f"{report.plugin}: {verdict}"))
            for finding in report.findings:
                click.echo(printable(f"  mend: {finding}"))
            for note in report.notes:
                click.echo(printable(f"  note: {note}"))
    count = sum(len(report.findings) for report in reports)
    if count:
        raise CheckFailed(f"plugins check {name_or_path}: {count} to mend")


@plugins_command.command("new")
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder that the plugin's folder goes into.",
)
def new_command(name: str, output: Path) -> None:
    """Write a small complete plugin NAME, with a test that passes, to begin from."""
    from segcore.cli.scaffold import write_plugin

    folder = write_plugin(name, output)
    click.echo(
        printable(
            f"Wrote {folder}. Next:\n"
            f"  pip install -e {folder}\n"
            f"  segcore plugins check {folder}\n"
            f"  pytest {folder}"
        )
    )


def _record(catalogue: Catalogue, plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "reason": plugin.reason,
        "clash": catalogue.clash(plugin),
        "declares": dict(Counter(spec.kind for spec in plugin.specs)),
    }


def _detailed(catalogue: Catalogue, plugin: Plugin) -> dict[str, Any]:
    return _record(catalogue, plugin) | {
        "entry_point": plugin.found.value,
        "metadata": plugin.found.location,
        "requires": list(plugin.found.requirements),
        "import_ms": None if plugin.import_s is None else round(1000 * plugin.import_s, 2),
        "printed": plugin.output,
        "hooks": list(plugin.hooks),
        "components": [
            {"kind": s.kind, "name": s.name, "aliases": list(s.aliases), "target": s.target}
            for s in plugin.specs
        ],
    }


def _status(record: dict[str, Any]) -> str:
    return "clash" if record["status"] == "ok" and record["clash"] else record["status"]


def _counts(declares: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in declares.items())


def _print_plugin(record: dict[str, Any]) -> None:
    facts = {
        "plugin": record["name"],
        "from": f"{record['distribution']} {record['version']} ({record['metadata']})",
        "status": _status(record),
        "why": record["reason"] or record["clash"],
        "entry point": record["entry_point"],
        "requires": ", ".join(record["requires"]),
        "import time": None if record["import_ms"] is None else f"{record['import_ms']} ms",
        "printed": record["printed"].strip(),
        "hooks": ", ".join(record["hooks"]),
    }
    lines = [f"{key:12} {value}" for key, value in facts.items() if value]
    lines += [f"{item['kind']:12} {item['name']}" for item in record["components"]]
    click.echo(printable("\n".join(lines)))


def _unknown(catalogue: Catalogue, name: str) -> PluginMissingError | UnknownNameError:
    from segcore.discovery.first_party import first_party_distribution
    from segcore.discovery.names import nearest

    distribution = first_party_distribution(name)
    if distribution is not None:
        return PluginMissingError(
            f"plugin {name!r} is not installed; run: pip install {distribution}"
        )
    known = [plugin.name for plugin in catalogue.plugins]
    guesses = nearest(name, known) or known
    return UnknownNameError(f"no plugin {name!r} is installed; there is {', '.join(guesses)}")
