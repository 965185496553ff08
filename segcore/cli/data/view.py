"""`segcore data view`: look at the oddest samples of a dataset, or at a model's worst."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

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
from segcore.filesystem import is_file

if TYPE_CHECKING:
    import numpy as np

    from segcore.data.view.look import Predict, View

__all__ = ["view_command"]


@click.command("view")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("view"),
    show_default=True,
    help="Folder for the sheets.",
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=48, show_default=True, help="Samples to show."
)
@click.option(
    "--columns",
    type=click.IntRange(1, 20),
    default=4,
    show_default=True,
    help="Pictures beside each other; a sheet has as many rows.",
)
@click.option(
    "--size",
    type=click.IntRange(64, 1024),
    default=256,
    show_default=True,
    metavar="PX",
    help="Side of a picture.",
)
@click.option("--class", "class_name", metavar="NAME", help="Only samples that have this class.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="Trained model; the samples that it gets most wrong come first.",
)
@click.option("--device", default="auto", show_default=True, help="Where the model of --run runs.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jpg", "png"]),
    default="jpg",
    show_default=True,
    help="Format of the sheets.",
)
@click.option(
    "--font",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Font file for names that are not Latin; without it they are escaped.",
)
@data_options
@report_option
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print what is shown as JSON.")
def view_command(
    folder: Path,
    *,
    output: Path,
    limit: int,
    columns: int,
    size: int,
    class_name: str | None,
    run: Path | None,
    device: str,
    kind: str,
    font: Path | None,
    splits: tuple[str, ...],
    file: Path | None,
    overrides: tuple[str, ...],
    workers: int | None,
    report: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Draw the oddest samples of a dataset, labels over images, on sheets to look through.

    Oddest are samples with rare classes, unusual brightness, contrast, size or number of objects,
    tiny objects, much that is ignored, or labels whose borders are off the edges in the image.
    """
    if run is not None and file is None and is_file(run / "config.yaml"):
        file = run / "config.yaml"  # how the model's data were read
    config = read_data_config(file, overrides)
    from segcore.checkpoint.files import prepare_output
    from segcore.checkpoint.ownership import Guard
    from segcore.data.view.sheet import Layout, check_sheets, write_sheets

    guard = Guard([folder, file, run, font], force=force)
    layout = Layout(columns=columns, rows=columns, side=size, font=font)
    sheet_kind = cast('Literal["jpg", "png"]', kind)
    check_sheets(output, limit, layout, sheet_kind, guard)
    prepare_report(report, guard)
    predict, known = None, tuple[str, ...]()
    if run is not None:
        predict, known, num_classes = _load_model(run, device)
        config = config.model_copy(update={"num_classes": config.num_classes or num_classes})

    from segcore.data.report.page import write_report
    from segcore.data.view.look import PICTURE_PX, look_at

    prepare_output(output)
    view = look_at(
        folder,
        limit=limit,
        class_name=class_name,
        predict=predict,
        known_classes=known,
        config=config,
        splits=splits or None,
        workers=workers,
        side=size if report is None else max(size, PICTURE_PX),
        progress=bar("looking"),
    )
    sheets = write_sheets(view, output, layout, sheet_kind, guard)
    if report is not None:
        write_report(report, view.report(), guard=guard)
    _say(view, sheets, report, as_json=as_json)


def _load_model(run: Path, device: str) -> tuple[Predict, tuple[str, ...], int | None]:
    """Load the model of `run`, which must give class maps; name and count its classes, too."""
    from segcore.errors import RequestError
    from segcore.inference.create import create_model

    model: Any = create_model(model_dir=run, device=device)

    def predict(image: np.ndarray) -> np.ndarray:
        result: Any = next(iter(model.predict(image)))
        labels: np.ndarray | None = getattr(result, "label_map", None)
        if labels is None:
            raise RequestError(f"{run}: gives no class maps, which --run compares with labels")
        return labels

    return predict, model.task.class_names, model.config.data.num_classes


def _say(view: View, sheets: list[Path], report: Path | None, *, as_json: bool) -> None:
    shown = [
        {
            "source": picture.source,
            "place": picture.place,
            "score": score,
            "reasons": list(picture.notes),
        }
        for picture, score in zip(view.pictures, view.scores, strict=True)
    ]
    if as_json:
        print_json(
            {
                "sheets": [str(path) for path in sheets],
                "report": None if report is None else str(report),
                "order": view.order,
                "samples": shown,
            }
        )
    elif not sheets:
        click.echo("There is no such sample.")
    else:
        names = f"{sheets[0]}" if len(sheets) == 1 else f"{sheets[0]} to {sheets[-1].name}"
        click.echo(printable(f"{len(shown)} of {view.stats.total.images} samples: {names}"))
        if report is not None:
            click.echo(printable(f"report: {report}"))
    if view.warning is not None:
        say(view.warning)
    for line in view.stats.problems:
        say(f"not shown: {line}")
