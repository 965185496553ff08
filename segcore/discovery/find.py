"""Find plugins by their metadata alone: nothing of a plugin is imported here.

The folders on `sys.path` are read directly. The standard library's importlib.metadata gives the
same answer, but importing it costs more than all the rest of `segcore --help`; it is asked only
about places that are no folders, such as zip files.
"""

from __future__ import annotations

import operator
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segcore.discovery.names import distribution_key

__all__ = ["GROUP", "FoundPlugin", "find_plugins", "incompatibility"]

GROUP = "segcore.plugins"
CORE = "segcore"

_METADATA_FOLDERS = (".dist-info", ".egg-info")
_ENTRY_POINT = re.compile(r"[\w.]+(\s*:\s*[\w.]+)?\s*(\[.*\])?\Z")
_ON_CORE = re.compile(rf"{CORE}(?![\w.-])", re.IGNORECASE)

# all that first-party plugins and most others write about segcore
_CLAUSE = re.compile(r"(>=|<=|==|!=|<|>)\s*([\d.]+)")
_NUMBERS = re.compile(r"\d+(\.\d+)*")
_PLAIN_REQUIREMENT = re.compile(
    r"\s*segcore\s*((>=|<=|==|!=|<|>)\s*\d+(\.\d+)*\s*(,\s*|$))*", re.IGNORECASE
)
_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}

ReadText = Callable[[str], "str | None"]


@dataclass(frozen=True, kw_only=True)
class FoundPlugin:
    """An entry point of the group `segcore.plugins`, and what its distribution says of itself.

    `value` is the import string `module[:attribute]`; `requirements` are the lines about segcore
    among the distribution's requirements; `location` is the folder that holds its metadata.
    `problem` says what is wrong with the metadata, if anything.
    """

    name: str
    value: str
    distribution: str
    version: str
    requirements: tuple[str, ...] = ()
    location: str = ""
    problem: str | None = None

    @property
    def label(self) -> str:
        """The plugin as messages name it."""
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


def find_plugins(path: Iterable[str] | None = None) -> list[FoundPlugin]:
    """List the plugins on `path` (default `sys.path`), ordered by distribution and name.

    Of a distribution that is installed twice, the first on the path counts, as for imports.
    """
    found: list[FoundPlugin] = []
    seen: set[str] = set()
    for place in dict.fromkeys(sys.path if path is None else path):
        for folder, read_text in _distributions(place or os.curdir):
            key = distribution_key(_name_of_folder(folder)[0])
            if key in seen:
                continue
            seen.add(key)
            found += _plugins_of(folder, read_text)
    return sorted(found, key=lambda plugin: (distribution_key(plugin.distribution), plugin.name))


def incompatibility(plugin: FoundPlugin, core_version: str) -> str | None:
    """Say why `plugin` is not made for this segcore, with the way out, or None when it is.

    A plugin that says nothing about segcore is not loaded: nobody could tell it from one that was
    written for another version, and it would fail later and in a worse place.
    """
    if not plugin.requirements:
        return (
            "its metadata does not say which segcore it works with; its authors should add "
            f"'segcore>={core_version}' to its dependencies"
        )
    if all(_accepts(requirement, core_version) for requirement in plugin.requirements):
        return None
    wanted = " and ".join(plugin.requirements)
    return (
        f"it needs {wanted}, and this is segcore {core_version}; run: "
        f'pip install --upgrade {plugin.distribution} "{plugin.requirements[0].split(";")[0]}"'
    )


def _accepts(requirement: str, version: str) -> bool:
    """Judge a requirement such as `segcore>=0.1,<0.2` at once, and any other by packaging.

    Importing packaging takes longer than reading a hundred plugins.
    """
    if _PLAIN_REQUIREMENT.fullmatch(requirement) and _NUMBERS.fullmatch(version):
        here = _release(version)
        clauses = _CLAUSE.findall(requirement)
        return all(_COMPARE[sign](here, _release(bound)) for sign, bound in clauses)
    return _accepts_by_packaging(requirement, version)


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in version.split(".")]
    while numbers[-1:] == [0]:  # 1.0 and 1 are the same version
        numbers.pop()
    return tuple(numbers)


def _accepts_by_packaging(requirement: str, version: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return False
    if parsed.marker is not None and not parsed.marker.evaluate({"extra": ""}):
        return True
    return parsed.specifier.contains(version, prereleases=True)


def _distributions(place: str) -> Iterator[tuple[str, ReadText]]:
    try:
        with os.scandir(place) as entries:
            folders = [entry.path for entry in entries if entry.name.endswith(_METADATA_FOLDERS)]
    except NotADirectoryError:
        yield from _distributions_of_archive(place)
        return
    except OSError:
        return
    for folder in folders:
        yield folder, partial(_read_text, folder)


def _distributions_of_archive(place: str) -> Iterator[tuple[str, ReadText]]:
    from importlib.metadata import distributions

    for distribution in distributions(path=[place]):
        name = distribution.metadata["Name"] or "unnamed"
        version = distribution.metadata["Version"] or ""
        yield f"{place}/{name}-{version}.dist-info", distribution.read_text


def _read_text(folder: str, file: str) -> str | None:
    """Read a file of metadata; None when there is none. Raises UnicodeDecodeError and OSError."""
    try:
        return Path(folder, file).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _plugins_of(folder: str, read_text: ReadText) -> Iterator[FoundPlugin]:
    problem = None
    try:
        text = read_text("entry_points.txt")
    except (OSError, UnicodeDecodeError) as error:
        # an unreadable list of entry points may belong to anything; ours are named segcore-*
        if not distribution_key(_name_of_folder(folder)[0]).startswith(CORE):
            return
        text = f"[{GROUP}]\n{_name_of_folder(folder)[0]} ="
        problem = f"its entry_points.txt cannot be read: {error}"
    if text is None or GROUP not in text:
        return
    try:
        headers = _headers(read_text)
    except (OSError, UnicodeDecodeError) as error:
        headers, problem = {}, f"its metadata cannot be read: {error}"
    name, version = _name_of_folder(folder)
    if problem is None and not (headers.get("name") and headers.get("version")):
        problem = "its metadata gives no name or no version"
    for entry, value in _entry_points(text):
        fault = problem
        if fault is None and not _ENTRY_POINT.match(value):
            fault = f"its entry point {entry!r} names no module: {value!r}"
        yield FoundPlugin(
            name=entry,
            value=value.partition("[")[0].replace(" ", ""),
            distribution=headers.get("name", [name])[0],
            version=headers.get("version", [version])[0],
            requirements=tuple(
                line for line in headers.get("requires-dist", ()) if _ON_CORE.match(line)
            ),
            location=folder,
            problem=None
            if fault is None
            else f"{fault}; run: pip install --force-reinstall {name}",
        )


def _name_of_folder(folder: str) -> tuple[str, str]:
    stem = folder.replace(os.sep, "/").rpartition("/")[2].rpartition(".")[0]
    name, _, version = stem.partition("-")
    return name.replace("_", "-"), version.partition("-")[0] or "(no version)"


def _entry_points(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line.strip("[] ")
        elif section == GROUP:
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _headers(read_text: ReadText) -> dict[str, list[str]]:
    """Read the fields of METADATA (PKG-INFO in older layouts), up to the long description."""
    text = read_text("METADATA")
    if text is None:
        text = read_text("PKG-INFO") or ""
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields.setdefault(name.strip().lower(), []).append(value.strip())
    return fields
