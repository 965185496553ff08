"""`segcore data demo`: draw a dataset to try segcore with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from segcore.data.demo import Kind

__all__ = ["demo_command"]


@click.command("demo")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["optic-disc", "shapes", "instances"]),
    default="optic-disc",
    show_default=True,
    help="What to draw: eyes with the optic disc as the class, shapes of four classes, or the same "
    "shapes as objects for instance models.",
)
@click.option("--images", default=100, show_default=True, help="Images; every fifth is held out.")
@click.option("--size", default=256, show_default=True, metavar="PX", help="Side of the images.")
@click.option("--seed", default=42, show_default=True, help="Root of the randomness.")
@click.option("--force", is_flag=True, help="Draw into a folder that already holds something.")
def demo_command(
    folder: Path, kind: str, images: int, size: int, seed: int, *, force: bool
) -> None:
    """Draw a dataset to try segcore with: images, exact labels and their lists."""
    from tqdm import tqdm

    from segcore.data.demo import draw_dataset

    def progress(indices: Iterable[int]) -> Iterable[int]:
        return cast("Iterable[int]", tqdm(indices, unit="image", disable=not sys.stderr.isatty()))

    draw_dataset(folder, cast("Kind", kind), images, size, seed, force=force, progress=progress)
    click.echo(f"{folder}: {images} images of {size} x {size} pixels ({kind}).")
