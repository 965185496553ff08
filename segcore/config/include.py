"""`_base_`: a configuration file that builds on others in its own folder."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from segcore.config.load import Document, read_document
from segcore.errors import ConfigError, PathError
from segcore.filesystem import exists, real_path

__all__ = ["BASE_KEY", "read_with_bases"]

log = logging.getLogger(__name__)

BASE_KEY = "_base_"
# Files that name two bases each would otherwise be read 2, 4, 8, ... times.
MAX_FILES = 30


def read_with_bases(path: Path) -> list[Document]:
    """Read the file `path` and what it builds on, the lowest precedence first.

    `_base_` is a path or a list of paths, relative to the folder of the file that says so and
    inside that folder; of several, later ones win. Raises ConfigError, for a loop with its chain.
    """
    documents: list[Document] = []
    _read(path, (), documents)
    return documents


def _read(path: Path, chain: tuple[Path, ...], documents: list[Document]) -> None:
    if len(documents) + len(chain) >= MAX_FILES:
        raise ConfigError(f"{path}: more than {MAX_FILES} files are included ({_arrows(chain)})")
    document = read_document(path)
    if document.sealed is False:
        log.warning("%s: was edited after a training wrote it; it counts as it is now", path)
    data = dict(document.data)
    bases = data.pop(BASE_KEY, [])
    where = f"{document.source}:{document.lines.get((BASE_KEY,), 1)}: {BASE_KEY}"
    for base in _as_names(bases, where):
        target = _inside(path.parent, base, where)
        if real_path(target) in map(real_path, (*chain, path)):
            raise ConfigError(
                f"{where}: the includes run in a circle: {_arrows((*chain, path, target))}; "
                "remove one of them"
            )
        _read(target, (*chain, path), documents)
    documents.append(replace(document, data=data))


def _as_names(bases: Any, where: str) -> list[str]:
    names = [bases] if isinstance(bases, str) else bases
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{where} = {bases!r}: must be a path or a list of paths")
    return names


def _inside(folder: Path, name: str, where: str) -> Path:
    """Give the file `name` in `folder`; symbolic links out of it count as outside."""
    target = folder / name
    try:
        is_inside = real_path(target).is_relative_to(real_path(folder))
        is_there = is_inside and exists(target)
    except PathError as error:
        raise ConfigError(f"{where}: {name!r} is not a usable path: {error}") from error
    if not is_inside:
        raise ConfigError(
            f"{where}: {name!r} leads out of the folder {folder}; keep what is included inside it"
        )
    if not is_there:
        raise ConfigError(f"{where}: there is no file {target}")
    return target


def _arrows(chain: tuple[Path, ...]) -> str:
    return " -> ".join(map(str, chain))
