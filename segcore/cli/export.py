"""`segcore export`: from the best weights of a run to a format for inference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from segcore.cli.messages import printable, say
from segcore.cli.table import print_json

__all__ = ["export_command"]


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "format_name", default="paddle", show_default=True, metavar="NAME")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder to write.  [RUN/export/FORMAT]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the paths of the files as JSON.")
def export_command(run: Path, format_name: str, output: Path | None, as_json: bool) -> None:
    """Export the best model of RUN, or a file of weights, and compare it with the network.

    What the folder held before stays until the new export is complete and computes what the
    network computes.
    """
    from segcore.discovery.catalogue import get_catalogue

    # an unknown format is told from its name, before seconds of loading
    name = get_catalogue().exporters.find(format_name).spec.name

    from segcore.checkpoint.manifest import find_stranger
    from segcore.checkpoint.ownership import Guard
    from segcore.checkpoint.runfolder import results_folder
    from segcore.devices.framework import require_paddle
    from segcore.export.write import write_export
    from segcore.inference.eager import create_task, load_network
    from segcore.inference.source import find_trained, verify_source

    require_paddle()
    found = find_trained(run)
    if output is None:
        output = results_folder(run) / "export" / name
    guard = Guard([run, found.source.weights])
    guard.check_folder(output, find_stranger)  # before the work, not after it
    verify_source(replace(found.source, export_dir=None))
    network = load_network(found.source)
    task = create_task(found.source.config or found.config, found.class_names, found.task)
    written = write_export(network, task, output, name, guard=guard)
    if as_json:
        print_json({"format": name, "files": [str(path) for path in written]})
    else:
        for path in written:
            click.echo(printable(str(path)))
        say(
            f"{found.config.model.name} exported to {output}; it computes what the network computes"
        )
