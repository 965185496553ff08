"""`segcore data stats`: what is in a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from segcore.data.stats.record import DatasetStats, SplitStats, Spread

__all__ = ["stats_command"]

_PAIRED_SHOWN = 12  # classes that a terminal has room for beside each other
_NAME_SHOWN = 28
_PICTURES = 12  # in a report


@click.command("stats")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@data_options
@report_option
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def stats_command(
    folder: Path,
    *,
    splits: tuple[str, ...],
    file: Path | None,
    overrides: tuple[str, ...],
    workers: int | None,
    report: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Count what is in a dataset: classes, objects, sizes, brightness."""
    config = read_data_config(file, overrides)
    from segcore.checkpoint.ownership import Guard

    guard = Guard([folder, file], force=force)
    prepare_report(report, guard)

    reading: dict[str, Any] = {
        "config": config,
        "splits": splits or None,
        "workers": workers,
        "progress": bar("counting"),
    }
    if report is None:
        from segcore.data.stats.survey import dataset_stats

        stats = dataset_stats(folder, **reading)
    else:
        from segcore.data.report.page import write_report
        from segcore.data.view.look import look_at

        view = look_at(folder, limit=_PICTURES, **reading)
        stats = view.stats
        write_report(report, view.report(), guard=guard)
    if as_json:
        print_json(stats.as_json())
    else:
        click.echo(printable("\n\n".join(_tables(stats))))
    for line in stats.problems:
        say(f"not counted: {line}")


def _tables(stats: DatasetStats) -> Iterator[str]:
    columns = (*stats.splits, stats.total) if len(stats.splits) > 1 else stats.splits
    void = "without object" if stats.has_instances else "ignored"
    facts = [dict(_facts(column, void)) for column in columns]
    yield _table(
        [[name, *(column[name] for column in facts)] for name in facts[0]],
        ["", *(column.name for column in columns)],
        texts=1,
    )
    numbers = range(len(stats.class_names))
    headers = ["", "class", "share", *(f"in {column.name}" for column in columns)]
    headers += ["objects", "tiny", "area from", "median", "to px"]
    yield _table([_class_row(stats, columns, number) for number in numbers], headers, texts=2)
    yield (
        "Three numbers are the least, the median and the most. "
        f"Tiny objects have fewer than {stats.tiny_area} pixels."
    )
    pairs = stats.total.cooccurrence
    if pairs is not None and 2 <= len(pairs) <= _PAIRED_SHOWN:
        rows = [[number, _name(stats, number), *pairs[number]] for number in numbers]
        yield "Images that have both classes:\n\n" + _table(rows, ["", "", *map(str, numbers)], 2)


def _table(rows: Sequence[Sequence[object]], headers: Sequence[str], texts: int) -> str:
    """Draw a table whose first `texts` columns are aligned left, the others right."""
    from tabulate import tabulate

    cells = [[str(cell) for cell in row] for row in rows]
    sides = ["left"] * texts + ["right"] * (len(headers) - texts)
    return tabulate(cells, headers, colalign=sides, disable_numparse=True)


def _facts(split: SplitStats, void: str) -> Iterator[tuple[str, str]]:
    yield "images", f"{split.images:,}"
    yield "unreadable", f"{split.unreadable:,}"
    yield "pixels", f"{split.pixels:,}"
    yield f"pixels {void}", f"{split.ignored_share:.2%}"
    yield f"images {void}", f"{split.ignored_images:,}"
    yield "sizes", f"{split.distinct_sizes:,}"
    yield "widths", _range(split.width, 0)
    yield "heights", _range(split.height, 0)
    yield "width : height", _range(split.aspect, 2)
    yield "brightness", _range(split.brightness, 0)
    yield "contrast", _range(split.contrast, 0)
    yield "data.mean", _list(split.mean)
    yield "data.std", _list(split.std)


def _range(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return "-"
    if spread.minimum == spread.maximum:
        return f"{spread.minimum:.{digits}f}"
    return (
        f"{spread.minimum:.{digits}f} .. {spread.median:.{digits}f} .. {spread.maximum:.{digits}f}"
    )


def _list(values: Sequence[float] | None) -> str:
    return "-" if values is None else "[" + ", ".join(f"{value:.3f}" for value in values) + "]"


def _class_row(stats: DatasetStats, columns: Sequence[SplitStats], number: int) -> list[object]:
    found = stats.total.classes[number]
    area = found.object_area
    sizes = ("-",) * 3 if area is None else (area.minimum, area.median, area.maximum)
    return [
        number,
        _name(stats, number),
        f"{found.share:.2%}",
        *(f"{column.classes[number].images:,}" for column in columns),
        f"{found.objects:,}",
        f"{found.tiny_objects:,}",
        *(size if isinstance(size, str) else f"{size:,.0f}" for size in sizes),
    ]


def _name(stats: DatasetStats, number: int) -> str:
    # escaped before it is measured, so that columns stay straight
    name = printable(stats.class_names[number]).replace("\n", "\\n").replace("\t", "\\t")
    return name if len(name) <= _NAME_SHOWN else f"{name[: _NAME_SHOWN - 3]}..."
