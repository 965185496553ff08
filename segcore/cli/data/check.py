"""`segcore data check`: everything that is wrong with a dataset, at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segcore.cli.data.options import (
    bar,
    data_options,
    prepare_report,
    read_data_config,
    report_option,
)
from segcore.cli.force import force_option
from segcore.cli.messages import printable, say
from segcore.cli.table import print_json
from segcore.errors import CheckFailed, RequestError
from segcore.filesystem import is_folder, real_path

if TYPE_CHECKING:
    from segcore.data.inspection.result import CheckResult

__all__ = ["check_command"]


@click.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@data_options
@report_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the result and its pictures; DIR if not given.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of known findings, which are accepted.",
)
@click.option(
    "--write-baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all findings into this file, to accept them from now on.",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check_command(
    folder: Path,
    *,
    splits: tuple[str, ...],
    file: Path | None,
    overrides: tuple[str, ...],
    workers: int | None,
    report: Path | None,
    output: Path | None,
    baseline: Path | None,
    write_baseline: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Look at every image, label and row of a dataset, and tell all that is wrong.

    Writes check_dataset_result.json and check_dataset/ with sample pictures and a histogram. Ends
    with 1 if there are errors; a training would refuse the dataset.
    """
    from segcore.checkpoint.files import prepare_output
    from segcore.checkpoint.ownership import Guard
    from segcore.data.check import check_dataset
    from segcore.data.inspection import baseline as baselines
    from segcore.data.inspection.result import check_place

    config = read_data_config(file, overrides)
    guard = Guard([folder, file], force=force)
    if write_baseline is not None:
        if report is not None and real_path(report) == real_path(write_baseline):
            raise RequestError(f"{report}: --report and --write-baseline name one file")
        baselines.check_baseline(write_baseline, guard)
    known = None if baseline is None else baselines.read_baseline(baseline)
    prepare_report(report, guard)
    target = real_path(folder) if output is None else output
    if output is not None or is_folder(folder):
        check_place(target, force=force)  # before the work, not after it
        prepare_output(target)
    result = check_dataset(
        folder,
        config=config,
        splits=splits or None,
        baseline=known,
        remember=write_baseline is not None,
        workers=workers,
        progress=bar("checking"),
    )
    document = result.save(target, force=force)
    if report is not None:
        from segcore.data.report.dataset import report_dataset

        report_dataset(
            folder,
            report,
            findings=result.findings,
            config=config,
            splits=splits or None,
            workers=workers,
            progress=bar("reporting"),
            force=force,
        )
    if write_baseline is not None:
        baselines.write_baseline(write_baseline, result.seen, guard)
        say(f"{write_baseline}: {len(result.seen)} findings, accepted with --baseline from now on")
    if as_json:
        print_json(document)
    else:
        _print(result, target)
    if not result.passed:
        errors = len(result.errors)
        raise CheckFailed(f"{folder}: {errors} {'kind' if errors == 1 else 'kinds'} of errors")


def _print(result: CheckResult, target: Path) -> None:
    from segcore.data.inspection.result import RESULT_FILE, describe_findings

    for line in describe_findings(result.findings):
        click.echo(printable(line))
    samples = ", ".join(f"{split.name} {split.samples:,}" for split in result.census.splits)
    click.echo(
        printable(
            f"{result.census.dataset_type}: {samples} samples, "
            f"{len(result.census.class_names)} classes, {len(result.errors)} errors, "
            f"{len(result.warnings)} warnings"
            + (f", {result.accepted} known findings accepted" if result.accepted else "")
            + f". See {target / RESULT_FILE}"
        )
    )
