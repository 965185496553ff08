"""Look closely at one plugin: what its authors should mend before they publish it.

Run as a module it checks one plugin in this process and prints what it finds as JSON;
`check_plugin` starts that as a child process, because a plugin may end the process or never come
back.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from segcore import __version__, specs
from segcore.discovery.find import FoundPlugin, find_plugins
from segcore.discovery.load import Plugin, load_plugin
from segcore.discovery.names import nearest, one_line
from segcore.errors import (
    FrameworkMissingError,
    PackageMissingError,
    PluginMissingError,
    RequestError,
    SegcoreError,
)
from segcore.filesystem import exists, is_file, is_folder, read_regular, real_path

__all__ = ["Report", "check_plugin", "locate_plugins"]

_MAX_PROJECT_BYTES = 2**20

TIME_LIMIT_S = 60.0

# what a plugin must not import before it is used, because everybody would wait for it
HEAVY = ("paddle", "cv2", "scipy", "torch", "tensorflow", "pandas", "matplotlib", "requests")


@dataclass(frozen=True)
class Report:
    """What a check found: `findings` are to be mended, `notes` are worth knowing."""

    plugin: str
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def locate_plugins(name_or_path: str) -> tuple[list[FoundPlugin], list[str]]:
    """Find an installed plugin by name, or one in a project folder or a single module.

    Gives the plugins, and the folders that must be on `sys.path` to import them. Raises
    PluginMissingError for a name that is not installed, RequestError for a path without a plugin.
    """
    path = Path(name_or_path)
    if path.suffix == ".py" and is_file(path):
        found = FoundPlugin(
            name=path.stem,
            value=path.stem,
            distribution=path.stem,
            version="(no version)",
            requirements=("segcore>=0",),  # a lone module carries no metadata to be judged
            location=str(real_path(path.parent)),
        )
        return [found], [str(real_path(path.parent))]
    if is_folder(path):
        return _plugins_of_project(path)
    from segcore.discovery.catalogue import is_named

    installed = find_plugins()
    named = [found for found in installed if is_named(found, name_or_path)]
    if not named and exists(path):
        raise RequestError(
            f"{name_or_path}: is neither the folder of a project nor a module (.py), and no plugin "
            "of that name is installed"
        )
    if not named:
        known = [found.name for found in installed]
        guesses = nearest(name_or_path, known) or known[:10]
        raise PluginMissingError(
            f"no plugin {name_or_path!r} is installed, and there is no such folder or module; "
            f"installed: {', '.join(guesses) or 'none'}"
        )
    return named, []


class _Project(BaseModel):
    """What a pyproject.toml says of the project; the rest is left to those who build it."""

    name: str | None = None
    version: str = "(dynamic version)"
    dependencies: tuple[str, ...] = ()
    entry_points: dict[str, dict[str, str]] = Field(default={}, alias="entry-points")


def _plugins_of_project(folder: Path) -> tuple[list[FoundPlugin], list[str]]:
    project = _read_project(folder / "pyproject.toml")
    entries = project.entry_points.get("segcore.plugins", {})
    if not entries:
        raise RequestError(
            f'{folder / "pyproject.toml"}: no [project.entry-points."segcore.plugins"]; '
            "docs/plugins.md shows a complete one"
        )
    requirements = tuple(
        line for line in project.dependencies if line.lower().startswith("segcore")
    )
    plugins = [
        FoundPlugin(
            name=name,
            value=value,
            distribution=project.name or folder.name,
            version=project.version,
            requirements=tuple(r for r in requirements if not r[7:8].isalnum() and r[7:8] != "-"),
            location=str(real_path(folder)),
        )
        for name, value in entries.items()
    ]
    root = real_path(folder)
    return plugins, [str(place) for place in (root, root / "src") if is_folder(place)]


def _read_project(path: Path) -> _Project:
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # the parser came into the standard library with 3.11
        try:
            import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]
        except ModuleNotFoundError as error:
            raise PackageMissingError(
                "reading pyproject.toml needs tomli on Python 3.10; run: pip install tomli"
            ) from error
    try:
        parsed = tomllib.loads(read_regular(path, _MAX_PROJECT_BYTES).decode())
        return _Project.model_validate(parsed.get("project", {}))
    except FileNotFoundError as error:
        raise RequestError(f"{path.parent}: no pyproject.toml in this folder") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, ("project", *first["loc"])))
        raise RequestError(f"{path}: {key}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path}: cannot be read: {error}") from error


def check_plugin(name_or_path: str, timeout_s: float = TIME_LIMIT_S) -> list[Report]:
    """Check a plugin in a child process that may take `timeout_s` seconds.

    Raises PluginMissingError or RequestError where there is nothing to check.
    """
    found, _ = locate_plugins(name_or_path)
    labels = ", ".join(plugin.label for plugin in found)
    # the child ends when our end of the pipe is closed, which the system does if nobody else can
    theirs, ours = os.pipe()
    command = [sys.executable, "-m", "segcore.discovery.check", name_or_path, str(theirs)]
    try:
        child = subprocess.run(
            command, capture_output=True, timeout=timeout_s, check=False, pass_fds=(theirs,)
        )
    except subprocess.TimeoutExpired:
        return [Report(labels, (f"did not come back within {timeout_s:g} s",))]
    finally:
        os.close(theirs)
        os.close(ours)
    if not child.stdout:
        said = one_line(child.stderr.decode("utf-8", "backslashreplace")[-300:])
        ended = f"ended the process with code {child.returncode}"
        return [Report(labels, (f"{ended}: {said}" if said else ended,))]
    return [
        Report(item["plugin"], tuple(item["findings"]), tuple(item["notes"]))
        for item in json.loads(child.stdout)
    ]


def _inspect(found: FoundPlugin) -> Report:
    """Check one plugin in this process."""
    before = set(sys.modules)
    plugin = load_plugin(found, __version__)
    if plugin.status != "ok":
        return Report(found.label, (str(plugin.reason),))
    findings = [
        f"imports {name} when plugins are listed; import it where it is used"
        for name in HEAVY
        if name in sys.modules and name not in before
    ]
    if plugin.output:
        findings.append(f"prints when imported: {one_line(plugin.output, 80)!r}")
    if any(line.strip().lower() == "segcore" for line in found.requirements):
        findings.append("requires any segcore; give a range, such as 'segcore>=0.1,<0.2'")
    notes = [f"import took {1000 * (plugin.import_s or 0):.0f} ms"]
    for spec in plugin.specs:
        for problem, is_finding in _problems_of_spec(spec):
            (findings if is_finding else notes).append(f"{spec.kind} {spec.name!r}: {problem}")
    findings += _clashes(plugin)
    if not plugin.hooks:
        findings.append("implements no hook")
    return Report(found.label, tuple(findings), tuple(notes))


def _problems_of_spec(spec: specs.Spec) -> Iterator[tuple[str, bool]]:
    try:
        spec.load_target()
    except FrameworkMissingError:
        yield "its target was not tried, because PaddlePaddle is not installed", False
    except SegcoreError as error:
        yield one_line(error), True
    try:
        options = spec.load_options()
    except SegcoreError as error:
        yield one_line(error), True
        return
    if options is not None:
        yield from _problems_of_options(options)
    if isinstance(spec, specs.ModelSpec | specs.TaskSpec) and spec.recipe is not None:
        package, _, file = spec.recipe.partition(":")
        from importlib.resources import files

        if not files(package).joinpath(file).is_file():
            yield f"there is no recipe {spec.recipe!r}", True


def _problems_of_options(options: Any) -> Iterator[tuple[str, bool]]:
    from pydantic import ValidationError

    try:
        json.dumps(options.model_json_schema())
    # pydantic raises several classes here, and a stranger's model any other
    except Exception as error:  # noqa: BLE001
        yield f"its options have no JSON schema: {one_line(error)}", True
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in options.model_fields.items()
        if not field.is_required()
    }
    try:
        options.model_validate(defaults)
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] != "missing":
                key = ".".join(map(str, fault["loc"]))
                yield f"the default of {key} is invalid: {one_line(fault['msg'])}", True
    if options.model_config.get("extra") != "forbid":
        yield "its options accept unknown keys; set extra='forbid' so that typing errors show", True


def _clashes(plugin: Plugin) -> list[str]:
    from segcore.discovery.catalogue import Catalogue, get_catalogue

    others = [p for p in get_catalogue().plugins if p.found.name != plugin.found.name]
    clash = Catalogue([*others, plugin]).clash(plugin)
    return [] if clash is None else [clash]


def _end_with_parent(connection: int) -> None:
    """Wait until the parent is gone, and end this process whatever the plugin is doing."""
    poll = select.poll()
    poll.register(connection, 0)  # hang-ups are reported even so
    poll.poll()
    os._exit(1)


def _main(name_or_path: str, connection: int) -> None:
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    # the answer keeps the real stdout; what a plugin prints, from C code too, goes to stderr
    descriptor = os.dup(1)
    os.dup2(2, 1)
    found, folders = locate_plugins(name_or_path)
    sys.path[:0] = folders
    reports = [vars(_inspect(plugin)) for plugin in found]
    with os.fdopen(descriptor, "w", encoding="utf-8") as answer:
        json.dump(reports, answer)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
