"""`segcore models`: the models at hand, and all about one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import click

from segcore.cli.messages import printable
from segcore.cli.table import print_json, print_table
from segcore.devices.framework import essence, require_paddle
from segcore.discovery.catalogue import get_catalogue
from segcore.discovery.weights import known_weights
from segcore.errors import RequestError, SegcoreError, UnknownNameError
from segcore.specs import Published

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Entry
    from segcore.specs import ModelSpec, WeightsSpec

__all__ = ["models_command"]

_MEASURED_CLASSES = 19  # of Cityscapes, for which models publish their sizes


@click.group("models", invoke_without_command=True)
@click.option("--task", metavar="NAME", help="Only models of this task, such as semantic.")
@click.option("--all", "everything", is_flag=True, help="Also models that could be installed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def models_command(ctx: click.Context, task: str | None, everything: bool, as_json: bool) -> None:
    """List the models that the installed plugins offer, or describe one."""
    if ctx.invoked_subcommand is not None:
        return
    catalogue = get_catalogue()
    if task is not None:
        task = _known_task(task)
    records = [_record(entry) for entry in catalogue.models if task in (None, entry.spec.task)]
    records.sort(key=lambda record: record["name"].casefold())
    if everything and task in (None, "semantic", "instance"):
        records += _installable()
    if as_json:
        print_json(records)
    elif records:
        _print_list(records)
    else:
        click.echo(
            "No installed plugin offers a model"
            + (f" of the task {task}" if task else "")
            + ". Install one, for example: pip install segcore-pplite\n"
            "`segcore models --all` lists what there is."
        )


@models_command.command("show")
@click.argument("name")
@click.option(
    "--size",
    type=(click.IntRange(min=1), click.IntRange(min=1)),
    metavar="W H",
    help="Build the model, and count parameters and FLOPs for an image of this size.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(name: str, size: tuple[int, int] | None, as_json: bool) -> None:
    """Describe the model NAME: options, recipe, weights, published results.

    A multiply-add counts as one FLOP. Convolutions, linear layers and matrix products are counted,
    for 19 classes. What an instance model does for each object counts for those that the untrained
    network finds in noise.
    """
    entry = get_catalogue().models.find(name)
    record = _record(entry)
    options = entry.load_options()
    record["options"] = {} if options is None else options.model_json_schema()
    if size is not None:
        record["measured"] = _measure(entry, size)
    if as_json:
        print_json(record)
    else:
        _print_model(record)


def _measure(entry: Entry[ModelSpec], size: tuple[int, int]) -> dict[str, Any]:
    """Build the model with its default options and count, which needs PaddlePaddle."""
    paddle = require_paddle()  # before all that imports paddle, to quieten it
    from segcore.config.schema import Config
    from segcore.inference.eager import create_task
    from segcore.nn.build import build_model
    from segcore.nn.flops import count_flops_of, count_parameters

    width, height = size
    settings = {"model": {"name": entry.qualified}, "data": {"num_classes": _MEASURED_CLASSES}}
    task = create_task(Config.model_validate(settings), None, entry.spec.task)
    paddle.seed(0)  # what a network finds in noise may decide how much it computes
    network = build_model(entry.qualified, num_classes=_MEASURED_CLASSES)
    inputs = task.example_inputs((height, width)).values()
    try:
        flops = count_flops_of(task.inference_network(network), *map(paddle.to_tensor, inputs))
    except (OSError, RuntimeError, ValueError) as error:  # what Paddle raises for shapes
        raise RequestError(
            f"--size {width} {height}: {entry.name} cannot run on an image of this size: "
            f"{essence(error)}; try a larger one"
        ) from error
    return {
        "size": [width, height],
        "num_classes": _MEASURED_CLASSES,
        "parameters": count_parameters(network),
        "flops": flops,
    }


def _known_task(name: str) -> str:
    """Give the task's canonical name; tasks of models count even when no plugin runs them."""
    catalogue = get_catalogue()
    tasks = {entry.spec.task for entry in catalogue.models} | {"semantic", "instance"}
    if name in tasks:
        return name
    try:
        return catalogue.tasks.find(name).name
    except UnknownNameError as error:
        raise UnknownNameError(f"--task: {error}") from error


def _record(entry: Entry[ModelSpec]) -> dict[str, Any]:
    spec = entry.spec
    return {
        "name": get_catalogue().models.shown_name(entry),
        "qualified_name": entry.qualified,
        "task": spec.task,
        "summary": spec.summary,
        "aliases": list(spec.aliases),
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
        "installed": True,
        "parameters": spec.parameters,
        "paper": spec.paper,
        "licence": spec.licence,
        "tags": list(spec.tags),
        "recipe": spec.recipe,
        "weights": [_plain(vars(weights)) for weights in _weights(entry)],
        "published": _plain(_facts(spec)),
    }


def _weights(entry: Entry[ModelSpec]) -> tuple[WeightsSpec, ...]:
    """List the weights known by name, also those of the backbone that the model has by default."""
    try:
        return known_weights(entry, {}, get_catalogue())
    except SegcoreError:
        return entry.spec.weights  # options that cannot be read are reported when they are used


def _facts(spec: ModelSpec) -> Mapping[str, Any]:
    published = spec.published
    return asdict(published) if isinstance(published, Published) else published


def _accuracy(published: Mapping[str, Any]) -> str | None:
    """Say the first of the published accuracies in a few words."""
    for score in published.get("accuracy") or ():
        if isinstance(score, Mapping) and isinstance(score.get("value"), float):
            return f"{score['value']:.4f} {score['metric']}, {score['dataset']}"
    return None


def _plain(value: object) -> object:
    """Keep what JSON can carry, and describe the rest: plugins may publish anything."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float) and value - value == 0.0:  # neither infinite nor NaN
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)


def _installable() -> list[dict[str, Any]]:
    from segcore.discovery.first_party import first_party_offers

    models = get_catalogue().models
    return [
        {
            "name": offer.name,
            "qualified_name": offer.qualified,
            "aliases": list(offer.aliases),
            "distribution": offer.distribution,
            "installed": False,
            "install": f"pip install {offer.distribution}",
        }
        for offer in first_party_offers("model")
        if offer.qualified not in models
    ]


def _print_list(records: list[dict[str, Any]]) -> None:
    rows = [
        (
            record["name"],
            record.get("task"),
            _millions(record.get("parameters")),
            _megabytes(record),
            _accuracy(record.get("published", {})),
            f"{record['distribution']} {record['version']}"
            if record["installed"]
            else record["install"],
            record.get("summary"),
        )
        for record in records
    ]
    print_table(("MODEL", "TASK", "PARAMETERS", "SIZE", "PUBLISHED", "FROM", ""), rows)


def _millions(count: int | None) -> str | None:
    return None if count is None else f"{count / 1e6:.2f} M"


def _megabytes(record: Mapping[str, Any]) -> str | None:
    """Say the published size, or else about what the parameters take as float32."""
    size = record.get("published", {}).get("size_mb")
    if isinstance(size, int | float):
        return f"{size:g} MB"
    count = record.get("parameters")
    return None if count is None else f"~{4 * count / 2**20:.1f} MB"


def _measured_text(measured: dict[str, Any] | None) -> str | None:
    if measured is None:
        return None
    width, height = measured["size"]
    flops = measured["flops"]
    shown = f"{flops / 1e9:.2f} GFLOPs" if flops >= 1e8 else f"{flops / 1e6:.2f} MFLOPs"
    return (
        f"{shown} for {width} x {height} pixels, "
        f"{_millions(measured['parameters'])} parameters, {measured['num_classes']} classes"
    )


def _published_lines(published: Mapping[str, Any]) -> Iterator[str]:
    """Say what others measured, a line each; scores in words, and costs with their devices."""
    facts = dict(published)
    if set(facts) != {field.name for field in fields(Published)}:
        yield from (f"{key}: {value}" for key, value in facts.items())
        return
    for score in facts["accuracy"]:
        yield (
            f"{score['value']:.4f} {score['metric']} on {score['dataset']}, {score['input']} "
            f"({score['source']})"
        )
    if not facts["accuracy"]:
        yield "no accuracy"
    source = facts["cost_source"]
    if facts["size_mb"] is not None:
        yield f"{facts['size_mb']:g} MB ({source})"
    for device in ("gpu", "cpu"):
        if facts[f"{device}_ms"] is not None:
            yield f"{facts[f'{device}_ms']:g} ms on {facts[device]} ({source})"
    if facts["note"]:
        yield facts["note"]


def _print_model(record: dict[str, Any]) -> None:
    lines = [f"{record['name']}: {record['summary']}".rstrip(": "), ""]
    facts = {
        "task": record["task"],
        "from": f"{record['distribution']} {record['version']}",
        "also called": ", ".join(record["aliases"]),
        "parameters": _millions(record["parameters"]),
        "paper": record["paper"],
        "licence": record["licence"],
        "tags": ", ".join(record["tags"]),
        "recipe": record["recipe"],
        "measured": _measured_text(record.get("measured")),
    }
    lines += [f"{key:12} {value}" for key, value in facts.items() if value]
    lines += [f"{'published':12} {line}" for line in _published_lines(record["published"])]
    lines += [
        f"{'weights':12} {weights['trained_on']} ({weights['part']}): {weights['url']}"
        for weights in record["weights"]
    ]
    properties = record["options"].get("properties", {})
    if properties:
        lines += ["", "options (model.options.NAME in a configuration):"]
    for name, schema in properties.items():
        default = f" [{schema['default']}]" if "default" in schema else " (required)"
        lines.append(f"  {name}{default}  {schema.get('description', '')}".rstrip())
    click.echo(printable("\n".join(lines)))
