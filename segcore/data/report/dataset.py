"""Report on a dataset as it lies on the disk, also where it is too broken to be opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segcore.checkpoint.ownership import Guard
from segcore.config.schema import DataConfig
from segcore.data.finding import Finding
from segcore.data.palette import class_palette
from segcore.data.paths import printable
from segcore.data.report.page import check_report, write_report
from segcore.data.report.record import Report
from segcore.data.stats.survey import Progress, unseen
from segcore.data.view.look import look_at
from segcore.errors import DataError

__all__ = ["report_dataset"]


def report_dataset(
    path: str | Path,
    file: str | Path,
    *,
    findings: Sequence[Finding] | None = None,
    pictures: int = 12,
    config: DataConfig | None = None,
    splits: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress = unseen,
    force: bool = False,
) -> Report:
    """Write a report on the dataset at `path` into `file`, one page of HTML. Since 0.1.

    It shows the statistics, the `pictures` oddest samples, and `findings` where a check gave some.
    A dataset that cannot be opened has a report as well, which says why. The rest is as in
    `segcore.data.dataset_stats`. Gives what was written. An earlier report is
    replaced, and a file of somebody else with `force`. Raises OutputError and StorageError.
    """
    guard = Guard([path], force=force)
    check_report(Path(file), guard)
    # a check has said so; it is no reason to show nothing
    lenient = (config or DataConfig()).model_copy(update={"allow_duplicates": True})
    try:
        view = look_at(
            path,
            limit=pictures,
            config=lenient,
            splits=splits,
            workers=workers,
            progress=progress,
        )
        report = view.report(findings)
    except DataError as error:
        report = Report(dataset=printable(path), palette=class_palette(()), findings=findings)
        note = f"The samples could not be counted and shown. {error}"
        report = replace(report, notes=(note,))
    write_report(Path(file), report, guard=guard)
    return report
