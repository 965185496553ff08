"""`segcore eval`: measure a trained model on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segcore.cli.console import console_logging
from segcore.cli.force import force_option
from segcore.cli.table import print_json
from segcore.config.schema import MOST_IMAGES, MOST_WORKERS

__all__ = ["eval_command"]


@click.command("eval")
@click.argument("model", metavar="RUN_OR_WEIGHTS", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of the dataset."
)
@click.option(
    "--split",
    type=click.Choice(["val", "test", "train"]),
    default="val",
    show_default=True,
    help="Which list of the dataset.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for evaluate_result.json; the folder of the model if not given.",
)
@click.option(
    "-o",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Setting, such as eval.batch_size=4.",
)
@click.option("--device", default="auto", show_default=True, help="cpu, gpu, gpu:1 or auto.")
@click.option("--runtime", default="auto", show_default=True, help="auto, paddle or eager.")
@click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    default=2,
    show_default=True,
    help="Data workers.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, MOST_IMAGES),
    help="Images at once, where their sizes agree.",
)
@click.option(
    "--convention",
    type=click.Choice(["present", "paddleseg", "paddlex1"]),
    help="What a class absent from labels and predictions counts in the mean IoU.",
)
@click.option(
    "--fail-under", type=float, metavar="SCORE", help="Exit with 1 when the score is below this."
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def eval_command(
    model: Path,
    *,
    data: Path,
    split: str,
    output: Path | None,
    overrides: tuple[str, ...],
    device: str,
    runtime: str,
    workers: int,
    batch_size: int | None,
    convention: str | None,
    fail_under: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure a run folder, a file of weights or an exported model on a dataset."""
    from segcore.engine.evaluate import evaluate_model

    changes: dict[str, Any] = {"batch_size": batch_size, "convention": convention}
    with console_logging():
        result = evaluate_model(
            model,
            data,
            split=split,
            output=output,
            device=device,
            runtime=runtime,
            num_workers=workers,
            force=force,
            settings=overrides,
            changes={key: value for key, value in changes.items() if value is not None},
        )
    if as_json:
        print_json(result)
    else:
        click.echo(_table(result))
    if fail_under is not None and (result["score"] is None or result["score"] < fail_under):
        from segcore.errors import CheckFailed

        raise CheckFailed(f"{result['best']} {result['score']} is below {fail_under}")


def _table(result: dict[str, Any]) -> str:
    from tabulate import tabulate

    metrics = result["metrics"]
    overall = [(name, value) for name, value in metrics.items() if isinstance(value, float)]
    columns = [name for name, value in metrics.items() if name.startswith("category_") and value]
    names = metrics.get("class_names", [])
    by_class = [
        (name, *(metrics[column][number] for column in columns))
        for number, name in enumerate(names)
    ]
    headers = ["class", *(column.removeprefix("category_") for column in columns)]
    return (
        tabulate(overall, floatfmt=".4f", tablefmt="plain")
        + "\n\n"
        + tabulate(by_class, headers, floatfmt=".4f", missingval="-")
    )
