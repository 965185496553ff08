"""`segcore data fix`: repair a dataset without loss."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segcore.cli.messages import say
from segcore.cli.table import print_json
from segcore.errors import CheckFailed, RequestError

if TYPE_CHECKING:
    from segcore.data.fix import Fix

__all__ = ["fix_command"]

_SHOWN = 20


@click.command("fix")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="NEW_DIR", help="Folder for a copy."
)
@click.option(
    "--in-place", is_flag=True, help="Change DIR itself, and keep the old files in DIR/fix.bak."
)
@click.option(
    "--label-map", metavar="A=B,...", help="Replace values of labels, such as 255=1 of a mask."
)
@click.option(
    "--colours",
    metavar="#RRGGBB=N,...",
    help="The class of each colour in labels; those of labels.txt if not given.",
)
@click.option(
    "--labels-as-stored",
    is_flag=True,
    help="Labels were drawn on the pixels as stored, without a look at EXIF.",
)
@click.option(
    "--upright-images", is_flag=True, help="Store turned images upright, as PNG without EXIF."
)
@click.option(
    "--drop-leaks",
    is_flag=True,
    help="Take rows out of val.txt and test.txt whose picture an earlier list has.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def fix_command(
    folder: Path,
    *,
    output: Path | None,
    in_place: bool,
    label_map: str | None,
    colours: str | None,
    labels_as_stored: bool,
    upright_images: bool,
    drop_leaks: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Repair a dataset without loss: what `segcore data check` offers to.

    Without further options: labels with palettes, equal channels, opaque alpha, or 16 bits where 8
    do become plain indices; labels drawn on an image as stored are turned as EXIF turns it; lists
    lose repeated rows and become plain UTF-8. Ends with 1 if something stays that cannot be
    repaired so.
    """
    from segcore.cli.data.options import bar
    from segcore.data.fix import fix_dataset

    fix = fix_dataset(
        folder,
        output,
        in_place=in_place,
        label_map=None if label_map is None else _read_map(label_map),
        colours=None if colours is None else _read_colours(colours),
        labels_as_stored=labels_as_stored,
        upright_images=upright_images,
        drop_leaks=drop_leaks,
        dry_run=dry_run,
        progress=bar("repairing"),
    )
    if as_json:
        print_json(fix.as_json())
    else:
        _print(fix)
    if fix.refusals:
        raise CheckFailed(f"{len(fix.refusals)} files could not be repaired")


def _pairs(option: str, text: str) -> list[tuple[str, int]]:
    pairs = []
    for part in text.split(","):
        left, _, right = part.strip().partition("=")
        if not (left and _is_label_value(right)):
            raise RequestError(f"{option} {part!r}: write pairs such as {_EXAMPLES[option]}")
        pairs.append((left, int(right)))
    if len({left for left, _ in pairs}) < len(pairs):
        raise RequestError(f"{option} {text}: names something twice")
    return pairs


_EXAMPLES = {"--label-map": "255=1,128=2", "--colours": "#ff0000=1,#00ff00=2"}


def _is_label_value(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text) is not None and int(text) <= 65535


def _read_map(text: str) -> dict[int, int]:
    pairs = _pairs("--label-map", text)
    if not all(_is_label_value(left) for left, _ in pairs):
        raise RequestError(f"--label-map {text}: write pairs such as {_EXAMPLES['--label-map']}")
    return {int(left): value for left, value in pairs}


def _read_colours(text: str) -> dict[tuple[int, int, int], int]:
    colours = {}
    for left, value in _pairs("--colours", text):
        digits = left.removeprefix("#")
        if len(digits) != 6 or not set(digits) <= set("0123456789abcdefABCDEF"):
            raise RequestError(f"--colours {left}: write pairs such as {_EXAMPLES['--colours']}")
        red, green, blue = bytes.fromhex(digits)
        colours[red, green, blue] = value
    return colours


def _print(fix: Fix) -> None:
    from segcore.data.fix import REPAIRS

    for repair in fix.repairs:
        more = ", ..." if repair.count > len(repair.examples) else ""
        click.echo(f"{repair.count:6} {REPAIRS[repair.kind]} ({', '.join(repair.examples)}{more})")
    if not fix.repairs:
        click.echo("Nothing to repair.")
    for refusal in fix.refusals[:_SHOWN]:
        say(f"stays: {refusal.message}")
    if len(fix.refusals) > _SHOWN:
        say(f"and {len(fix.refusals) - _SHOWN} more (--json has all)")
    if not fix.is_written:
        click.echo("Nothing was written.")
    elif fix.output is not None:
        click.echo(f"The repaired dataset is {fix.output}.")
    elif fix.backup is not None:
        click.echo(f"What was replaced is in {fix.backup}.")
