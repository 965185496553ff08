"""`segcore predict`: what is in images, as files to look at and to go on with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segcore.cli.force import force_option
from segcore.cli.messages import printable, say
from segcore.cli.offline import offline_option
from segcore.cli.table import print_json
from segcore.errors import DataError, RequestError
from segcore.filesystem import exists, real_path

if TYPE_CHECKING:
    from segcore.inference.predictor import Predictor
    from segcore.tasks.coco_results import CocoIds

__all__ = ["predict_command"]

_SIZE = re.compile(r"(-1|[0-9]{1,9})(?:[x,](-1|[0-9]{1,9}))?\Z")
_BAR_DELAY_S = 2.0
_SHOWN = 3


def _parse_size(
    _ctx: click.Context, _parameter: click.Parameter, text: str | None
) -> int | tuple[int, int] | None:
    if text is None:
        return None
    match = _SIZE.match(text)
    if match is None:
        raise click.BadParameter(f"{text!r}: write 512, 1024x512 (width x height) or -1")
    return int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))


@click.command("predict")
@click.argument("model")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--output", type=click.Path(path_type=Path), default="output/predict", show_default=True
)
@click.option(
    "-o",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Setting, such as predict.batch_size=4.",
)
@click.option("--device", default="auto", show_default=True, help="cpu, gpu:0, ... or auto.")
@click.option("--runtime", default="auto", show_default=True, help="Engine that runs the model.")
@click.option("--hpi", is_flag=True, help="Insist on an optimised graph.")
@click.option("--batch-size", type=click.IntRange(1, 65536), help="Images at once, of equal size.")
@click.option(
    "--target-size", callback=_parse_size, metavar="SIZE",
    help="Input of the network: 512, 1024x512 (width x height), or -1 for the image's own.",
)  # fmt: skip
@click.option(
    "--score-threshold", type=click.FloatRange(0, 1), metavar="SCORE",
    help="Lowest score of the objects in results (instance models).",
)  # fmt: skip
@click.option(
    "--annotations", type=click.Path(path_type=Path), metavar="FILE",
    help="COCO file whose ids of images and categories coco_results.json takes (instance models).",
)  # fmt: skip
@click.option("--weights", metavar="NAME", help="Published weights of MODEL, such as CITYSCAPES.")
@offline_option
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def predict_command(
    *,
    model: str,
    inputs: tuple[str, ...],
    output: Path,
    overrides: tuple[str, ...],
    device: str,
    runtime: str,
    hpi: bool,
    batch_size: int | None,
    target_size: int | tuple[int, int] | None,
    score_threshold: float | None,
    annotations: Path | None,
    weights: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Predict what is in each INPUT (image, folder or URL) with MODEL.

    MODEL is the folder of a run, its best_model, an exported model, or a file of weights; or the
    name of a model with --weights. For each image OUTPUT gets NAME.png (classes as grey values,
    from semantic models), NAME_overlay.jpg and NAME.json; from instance models also
    coco_results.json with the objects of all, which tools for COCO score when it has the ids of
    their file (--annotations, and --score-threshold 0 for all objects).
    """
    from segcore.inference.create import create_model

    place = Path(model)
    is_place = weights is None and exists(place)
    predictor = create_model(
        None if is_place else model,
        place if is_place else None,
        weights=weights,
        device=device,
        runtime=runtime,
        use_hpip=hpi,
        batch_size=batch_size,
        target_size=target_size,
        score_threshold=score_threshold,
        settings=overrides,
    )
    ids = None
    if annotations is not None:
        from segcore.data.coco_ids import read_coco_ids

        ids = read_coco_ids(annotations)
        predictor.task.check_ids(ids)
    others = [path for path in (place if is_place else None, annotations) if path is not None]
    results, failures = _predict_to(predictor, inputs, output, ids, others=others, force=force)
    if as_json:
        print_json(results)
    else:
        click.echo(printable(f"{len(results)} results in {output}"))
    if failures:
        raise DataError(
            f"{failures} of {failures + len(results)} images could not be read; see above"
        )


def _predict_to(
    predictor: Predictor,
    inputs: tuple[str, ...],
    output: Path,
    ids: CocoIds | None,
    *,
    others: list[Path],
    force: bool,
) -> tuple[list[dict[str, object]], int]:
    """Predict everything and write the files; give the JSON forms and the number of failures.

    `others` are what the command reads besides images.
    """
    from tqdm import tqdm

    from segcore.checkpoint.files import prepare_output
    from segcore.checkpoint.lock import folder_lock
    from segcore.checkpoint.ownership import Guard, is_unknown
    from segcore.checkpoint.web import is_url
    from segcore.inference.inputs import expand_inputs
    from segcore.inference.outputs import check_outputs

    images = list(expand_inputs(list(inputs)))
    if any(real_path(text) == real_path(output) for text in inputs if not is_url(text)):
        raise RequestError(f"{output}: is an input as well; name another --output")
    task = predictor.task
    guard = Guard([*others, *(image.source for image in images)], force=force)
    check_outputs(images, output, task.result_files(), task.folder_names, guard)
    if ids is not None:
        _tell_what_is_not_numbered(ids, [image.source for image in images])
    prepare_output(output)
    failures: list[DataError] = []

    def note(error: DataError) -> None:
        say(f"segcore: {error}")
        failures.append(error)
        bar.update()

    results = []
    # disable=None keeps quiet where there is no terminal
    with tqdm(total=len(images), unit="image", delay=_BAR_DELAY_S, disable=None) as bar:
        for result in predictor.predict(images, on_bad_image=note):
            with folder_lock(output):  # the picture and the text are of one command
                result.save_to_img(output, force=force)
                result.save_to_json(output, force=force)
            results.append(result.json)
            bar.update()
    for name, content in task.folder_files(results, ids).items():
        data = json.dumps(content).encode()
        guard.write_file(output / name, data, task.folder_names.get(name, is_unknown))
    return results, len(failures)


def _tell_what_is_not_numbered(ids: CocoIds, sources: list[str]) -> None:
    """Say which images the file does not list, and how many of the file are not among them."""
    unlisted = ids.unlisted(sources)
    if unlisted:
        more = ", ..." if len(unlisted) > _SHOWN else ""
        say(
            f"{len(unlisted)} of {len(sources)} images are not in {ids.source}, so their objects "
            f"are left out of coco_results.json: {', '.join(unlisted[:_SHOWN])}{more}"
        )
    missing = len(ids.images) - (len(sources) - len(unlisted))
    if missing > 0:
        say(f"{missing} images of {ids.source} are not predicted; scores count them as empty")
