"""A throw-away folder of installed plugins, to try plugins of every kind without installing any."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from segcore.checkpoint.files import write_atomic

__all__ = ["Site"]


class Site:
    """A folder that looks like site-packages to Python once it is on the path.

    `install` puts a one-module distribution there, with real metadata; `segcore` runs the command
    line in a process that sees it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def install(
        self,
        name: str,
        code: str | None,
        *,
        requires: Sequence[str] = ("segcore>=0.1",),
        version: str = "1.0",
        entry: str | None = None,
        distribution: str | None = None,
    ) -> str:
        """Write the module `name` and the metadata of its distribution, and give the latter's name.

        `code` None leaves the module out; `entry` names the entry point, `name` by default.
        """
        distribution = distribution or f"segcore-{name.replace('_', '-')}"
        folder = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(exist_ok=True)
        headers = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        headers += [f"Requires-Dist: {line}" for line in requires]
        self.write(folder / "METADATA", "\n".join([*headers, "", "A plugin.", ""]))
        self.write(folder / "entry_points.txt", f"[segcore.plugins]\n{entry or name} = {name}\n")
        self.write(folder / "RECORD", f"{name}.py,,\n{folder.name}/METADATA,,\n")
        if code is not None:
            self.write(self.folder / f"{name}.py", dedent(code))
        return distribution

    def write(self, path: Path, text: str) -> None:
        """Write one file."""
        write_atomic(path, text.encode("utf-8"))

    def environment(self, **variables: str) -> dict[str, str]:
        """Give the environment of a process that sees the folder."""
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        return {**os.environ, "PYTHONPATH": path, **variables}

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter with `arguments`; `variables` add to the environment."""
        return _run([sys.executable, *arguments], self.environment(**variables))

    def segcore(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `segcore` with `arguments`."""
        return self.python("-m", "segcore", *arguments, **variables)


def _run(
    command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
