"""`segcore config`: print what is in force, check files, help editors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segcore.cli.table import print_json
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError, RequestError

__all__ = ["config_command"]

_FILE = click.Path(path_type=Path)


@click.group("config")
def config_command() -> None:
    """Show and check configurations."""


@config_command.command("show")
@click.argument("model", required=False)
@click.option("-c", "--config", "file", type=_FILE, help="YAML file of settings.")
@click.option(
    "-o", "overrides", metavar="KEY=VALUE", multiple=True, help="Setting, such as train.iters=500."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(
    model: str | None, *, file: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Print all settings that a training of MODEL would have, and where they come from.

    What is printed is itself a configuration file: redirect it, change it, pass it with -c.
    """
    from segcore.config.render import render_config
    from segcore.config.resolve import resolve_config

    resolved = resolve_config(model, file, overrides, {}, get_catalogue())
    if as_json:
        origins = {key: str(origin) for key, origin in resolved.origins.items()}
        print_json({"config": resolved.config.model_dump(mode="json"), "origins": origins})
    else:
        click.echo(render_config(resolved.config, resolved.origins), nl=False)


@config_command.command("schema")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as always here.")
def schema_command() -> None:
    """Print the JSON Schema of configuration files, for completion and checks in editors."""
    from segcore.config.json_schema import config_json_schema

    print_json(config_json_schema(get_catalogue()))


@config_command.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--model", help="Check the files as settings of this model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check_command(
    ctx: click.Context, files: tuple[Path, ...], *, model: str | None, as_json: bool
) -> None:
    """Check configuration files and list every problem; ends with 2 if there is one."""
    errors = {file: _check(file, model) for file in files}
    failures = [error for error in errors.values() if error is not None]
    if as_json:
        print_json({"files": [_record(file, error) for file, error in errors.items()]})
        ctx.exit(RequestError.exit_code if failures else 0)
    for file, error in errors.items():
        if error is None:
            click.echo(f"{file}: ok")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        problems = [problem for error in failures for problem in error.problems]
        raise ConfigError("\n".join(map(str, failures)), problems)


def _check(file: Path, model: str | None) -> ConfigError | None:
    """Give what is wrong with `file`, or None."""
    from segcore.config.problem import raise_problems
    from segcore.config.resolve import find_problems, merge_sources

    try:
        layers = merge_sources(model, file, (), {}, get_catalogue())
        _, problems = find_problems(layers, get_catalogue(), needs_model=False)
        raise_problems(problems)
    except ConfigError as error:
        return error
    return None


def _record(file: Path, error: ConfigError | None) -> dict[str, Any]:
    record: dict[str, Any] = {"file": str(file), "ok": error is None, "problems": []}
    if error is not None:
        # a file that cannot be read at all has one message and no keys
        found = [problem.as_json() for problem in error.problems]
        record["problems"] = found or [{"key": None, "message": str(error)}]
    return record
