"""`segcore data convert`: take a dataset from one format to another."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from segcore.errors import CheckFailed, OutputError, PathError, RequestError
from segcore.filesystem import exists, real_path

if TYPE_CHECKING:
    from segcore.data.convert.image import Overlap

__all__ = ["convert_command"]

_BAR_DELAY_S = 2.0


@click.command("convert")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option(
    "--from", "source_format", metavar="FORMAT", help="Format of SRC; found out if not given."
)
@click.option("--to", "target_format", metavar="FORMAT", default="SegDataset", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--classes", metavar="A,B,...", help="Classes in order, or a file with one a line.")
@click.option("--background", metavar="NAME", help="Name of class 0, what nobody annotated.")
@click.option(
    "--ignore-label", "ignore_labels", multiple=True, metavar="NAME",
    help="Leave the pixels of this label out of training (255). __ignore__ always is.",
)  # fmt: skip
@click.option(
    "--overlap", type=click.Choice(["last", "first", "smallest"]), default="last",
    show_default=True, help="Which shape wins where several overlap.",
)  # fmt: skip
@click.option(
    "-o", "options", multiple=True, metavar="from.KEY=VALUE|to.KEY=VALUE",
    help="An option of the format that is read or written; --formats lists them.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="End with 1 when anything was skipped or changed.")
@click.option("--force", is_flag=True, help="Replace files in a folder that holds something.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--formats", is_flag=True, is_eager=True, expose_value=False, help="List the formats.",
    callback=lambda ctx, _parameter, wanted: _list_formats(ctx) if wanted else None,
)  # fmt: skip
def convert_command(
    *,
    source: Path,
    source_format: str | None,
    target_format: str,
    output: Path,
    classes: str | None,
    background: str | None,
    ignore_labels: tuple[str, ...],
    overlap: str,
    options: tuple[str, ...],
    strict: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Convert the dataset in the folder SRC to another format, into the folder DIR.

    SRC stays as it is. What cannot be used is left out, counted and reported; the report is also in
    DIR/convert_dataset_result.json.
    """
    from tqdm import tqdm

    from segcore.cli.messages import say
    from segcore.cli.table import print_json
    from segcore.data.convert.run import convert_dataset

    progress: Any = partial(tqdm, unit="image", delay=_BAR_DELAY_S, disable=None)
    report = convert_dataset(
        source,
        target_format,
        output,
        format=source_format,
        classes=None if classes is None else _read_classes(classes, output),
        background=background,
        ignore_labels=ignore_labels,
        overlap=cast("Overlap", overlap),
        read_options=_options(options, "from"),
        write_options=_options(options, "to"),
        force=force,
        progress=progress,
    )
    if as_json:
        print_json(report.as_json())
    else:
        _tell(report.lines())
        if set(report.images) == {"train"}:
            _tell([f"All images are for training; next: segcore data split {output}"])
    if strict and not report.is_clean():
        say("segcore: --strict: not everything was taken as it stands; see above")
        raise CheckFailed("the conversion left something out or changed it")


def _tell(lines: Iterable[str]) -> None:
    from segcore.cli.messages import printable

    for line in lines:
        click.echo(printable(line))


def _read_classes(text: str, output: Path) -> list[str]:
    """Give the names in a list with commas, or in a file of that name.

    Raises OutputError for a file in `output`, which the conversion would write over, and
    ListFileError for what looks like the name of a file, and is none that can be read.
    """
    from segcore.data.listfile import read_class_list

    if _is_place(text):
        if real_path(output) in real_path(text).parents:
            raise OutputError(
                f"{text}: lies in {output}, among the files that are written. Name another output."
            )
        return list(read_class_list(Path(text)).names)
    return [name.strip() for name in text.split(",")]


def _is_place(text: str) -> bool:
    """Say whether `text` names what stands somewhere, or is meant to, and is no list of names."""
    if "," not in text:
        return exists(text) or "/" in text or text.endswith(".txt")
    try:
        return exists(text)
    except PathError:  # a list may well be longer than names of files are
        return False


def _options(texts: Iterable[str], side: str) -> dict[str, Any]:
    """Give the options of one side, with their values as YAML writes them."""
    from segcore.config.scalar import resolve_plain

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        which, dot, name = key.partition(".")
        if not equals or not dot or which not in ("from", "to"):
            raise RequestError(
                f"-o {text!r}: write from.KEY=VALUE for the format that is read, or to.KEY=VALUE "
                "for the one that is written."
            )
        if which == side:
            found[name] = resolve_plain(value)
    return found


def _list_formats(ctx: click.Context) -> None:
    """Print the formats and their options, and end."""
    from segcore.discovery.catalogue import get_catalogue

    for entry in get_catalogue().converters:
        abilities = [
            word for word, can in (("from", entry.spec.reads), ("to", entry.spec.writes)) if can
        ]
        _tell([f"{entry.name} ({' and '.join(abilities)}): {entry.spec.summary}"])
        model = entry.load_options()
        for name, field in ({} if model is None else model.model_fields).items():
            _tell([f"    {name}={field.default!r}: {field.description or ''}"])
    ctx.exit()
