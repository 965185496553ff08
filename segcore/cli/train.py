"""`segcore train`: from images and labels to a trained, measured, exported model."""

from __future__ import annotations

from pathlib import Path

import click

from segcore.cli.console import console_logging
from segcore.cli.offline import offline_option
from segcore.cli.table import print_json

__all__ = ["train_command"]


@click.command("train")
@click.argument("model", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("output"),
    show_default=True,
    help="Run folder, for everything that the training writes.",
)
@click.option("--fold", type=int, help="Fold of a cross-validation (data.fold).")
@click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), help="YAML file of settings."
)
@click.option(
    "-o", "overrides", metavar="KEY=VALUE", multiple=True, help="Setting, such as train.iters=500."
)
@click.option("--device", default="auto", show_default=True, help="cpu, gpu, gpu:1 or auto.")
@click.option("--resume", is_flag=True, help="Go on with the training in the run folder.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Resume although settings, data, versions, threads or device changed, or files are gone.",
)
@click.option("--no-check", is_flag=True, help="Begin without a look at every sample.")
@click.option("--iters", type=int, help="Length in iterations (train.iters).")
@click.option("--epochs", type=int, help="Length in epochs (train.epochs).")
@click.option("--batch-size", type=int, help="Images per iteration (train.batch_size).")
@click.option("--learning-rate", type=float, help="Learning rate (train.learning_rate).")
@click.option(
    "--weights",
    metavar="NAME|FILE|RUN|URL",
    help="Weights to start from (train.pretrained), such as CITYSCAPES.",
)
@click.option(
    "--reset-head", is_flag=True, help="Start anew what hangs on the classes (train.reset_head)."
)
@offline_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train_command(
    model: str | None,
    *,
    data: Path | None,
    fold: int | None,
    output: Path,
    file: Path | None,
    overrides: tuple[str, ...],
    device: str,
    resume: bool,
    accept_changes: bool,
    no_check: bool,
    iters: int | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    weights: str | None,
    reset_head: bool,
    as_json: bool,
) -> None:
    """Train MODEL on a dataset, and keep its best weights with an exported graph.

    `segcore models` lists the models; `segcore config show MODEL` all settings. A file of settings
    that names its model, such as the config.yaml of a run folder, needs no MODEL.
    """
    from segcore.config.resolve import resolve_config
    from segcore.discovery.catalogue import get_catalogue

    catalogue = get_catalogue()
    flags = {
        "data.path": None if data is None else str(data),
        "data.fold": fold,
        "train.iters": iters,
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.learning_rate": learning_rate,
        "train.pretrained": weights,
        "train.reset_head": reset_head or None,
    }
    config = resolve_config(model, file, overrides, flags, catalogue).config
    # imported once the configuration is known to be right: a typing error is answered at once
    from segcore.engine.train import train

    with console_logging():
        result = train(
            config,
            output,
            device=device,
            resume=resume,
            accept_changes=accept_changes,
            check=not no_check,
            catalogue=catalogue,
        )
    if as_json:
        print_json(result)
        return
    best = result["models"]["best"]
    score = "undefined" if best["score"] is None else f"{best['score']:.4f}"
    click.echo(f"{best['metric']} {score} at step {best['step']}")
    click.echo(f"Predict with: segcore predict {output} IMAGE...")
