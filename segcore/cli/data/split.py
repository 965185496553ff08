"""`segcore data split`: divide a dataset into train, val and test, or into folds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segcore.cli.messages import say
from segcore.cli.table import print_json, print_table
from segcore.errors import RequestError

if TYPE_CHECKING:
    from segcore.data.split import Split

__all__ = ["split_command"]

_Percentage = click.FloatRange(0, 100)


@click.command("split")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--train", type=_Percentage, metavar="%", help="Share to train on; 80 by default.")
@click.option("--val", type=_Percentage, metavar="%", help="Share to measure on; 20 by default.")
@click.option("--test", type=_Percentage, metavar="%", help="Share kept for the end; 0 by default.")
@click.option("--percent", metavar="%,%,%", help="The three at once, such as 80,10,10.")
@click.option(
    "--folds",
    type=int,
    metavar="K",
    help="Make K pairs of lists for cross-validation; data.fold chooses one of them.",
)
@click.option("--seed", default=42, show_default=True, help="Root of the randomness.")
@click.option(
    "--stratify", is_flag=True, help="Give each list its share of the images with each class."
)
@click.option(
    "--group-by",
    metavar="REGEX",
    help="Keep images together whose names agree in the first group, or the match, of REGEX.",
)
@click.option("--keep-test", is_flag=True, help="Leave test.txt and its images as they are.")
@click.option(
    "--rescan", is_flag=True, help="Take all pairs of files in place of the rows of the lists."
)
@click.option("--ignore-index", default=255, show_default=True, help="Label value to ignore.")
@click.option("--dry-run", is_flag=True, help="Say what would come out, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def split_command(
    folder: Path,
    *,
    train: float | None,
    val: float | None,
    test: float | None,
    percent: str | None,
    folds: int | None,
    seed: int,
    stratify: bool,
    group_by: str | None,
    keep_test: bool,
    rescan: bool,
    ignore_index: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Divide the images of a dataset among new lists; old lists become backups.

    Works on train.txt, val.txt and test.txt, on folders images/ and annotations/ without lists, and
    on COCO files.
    """
    if percent is not None:
        if (train, val, test) != (None, None, None):
            raise RequestError("--percent and one of --train, --val, --test: give one or the other")
        train, val, test = _read_percent(percent)

    from segcore.cli.data.options import bar
    from segcore.data.split import split_dataset

    split = split_dataset(
        folder,
        train=train,
        val=val,
        test=test,
        folds=folds,
        seed=seed,
        stratify=stratify,
        group_by=group_by,
        keep_test=keep_test,
        rescan=rescan,
        ignore_index=ignore_index,
        dry_run=dry_run,
        progress=bar("reading labels"),
    )
    if as_json:
        print_json(split.as_json())
        return
    _print(split, has_groups=group_by is not None)


def _read_percent(text: str) -> tuple[float, float, float | None]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise RequestError(f"--percent {text}: write numbers, such as 80,10,10") from error
    if len(values) not in (2, 3):
        raise RequestError(f"--percent {text}: give 2 or 3 numbers: train, val and maybe test")
    return values[0], values[1], values[2] if len(values) == 3 else None


def _print(split: Split, *, has_groups: bool) -> None:
    classes = list(split.lists[0].classes)
    headings = ["list", "images", "share", *(["groups"] if has_groups else []), *classes]
    rows = [
        [
            part.file,
            part.images,
            f"{part.images / split.images:.1%}",
            *([part.groups] if has_groups else []),
            *part.classes.values(),
        ]
        for part in split.lists
    ]
    print_table(headings, rows)
    if classes:
        click.echo("(the columns of classes count the images that show them)")
    for note in split.notes:
        say(f"note: {note}")
    if not split.is_written:
        click.echo("Nothing was written.")
    elif split.backups:
        click.echo("Old lists: " + ", ".join(f"{a} -> {b}" for a, b in split.backups.items()))
