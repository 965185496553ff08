"""Write the beginnings of a plugin from the templates beside this file."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from segcore import __version__
from segcore.checkpoint.files import DISK, make_folders, storage_errors, temporary_name
from segcore.checkpoint.ownership import Guard, first_in
from segcore.errors import OutputError, RequestError
from segcore.filesystem import exists, is_link

__all__ = ["write_plugin"]

_TEMPLATES = Path(__file__).parent / "templates" / "plugin"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*\Z")


def write_plugin(name: str, parent: Path) -> Path:
    """Write the project of a plugin into a new folder below `parent`, and give the folder.

    `name` may have `segcore-` before it. Raises RequestError when it cannot be a package's name,
    OutputError when the folder is there already.
    """
    short = re.sub(r"^segcore[-_]", "", name, flags=re.IGNORECASE).lower()
    if not _NAME.match(short):
        raise RequestError(
            f"plugin name {name!r}: use letters, digits and '-', beginning with a letter"
        )
    words = re.split(r"[-_]", short)
    major, minor = __version__.split(".")[:2]
    values = {
        "distribution": "segcore-" + "-".join(words),
        "package": "segcore_" + "_".join(words),
        "entry": "-".join(words),
        "model": "".join(word.capitalize() for word in words) + "Net",
        "core": f"segcore>={major}.{minor},<{major}.{int(minor) + 1}",
    }
    folder = parent / values["distribution"]
    if exists(folder) or is_link(folder):
        raise OutputError(f"{folder} is there already; remove it, or choose another --output")
    guard = Guard()
    make_folders(parent)
    unfinished = parent / temporary_name("plugin")
    with storage_errors(folder):
        DISK.mkdir(unfinished)
    try:
        for template in sorted(_TEMPLATES.rglob("*.template")):
            relative = template.relative_to(_TEMPLATES).with_suffix("")
            target = unfinished / Template(str(relative)).substitute(values)
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            guard.write_file(target, text.encode("utf-8"))
        guard.replace_folder(unfinished, folder, first_in)
    finally:
        DISK.remove_tree(unfinished)
    return folder
