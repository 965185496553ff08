"""Tests of installed wheels, by the commands and files that users see; `run.sh` runs them.

They stand outside the ordinary suite: beside the checkout they would test the checkout.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("segcore")

if (Path(__file__).parents[2] / "pyproject.toml").exists():
    collect_ignore_glob = ["test_*.py"]


class CommandLine:
    """The command `segcore`, run in a folder of its own, as a user runs it."""

    def __init__(self, folder):
        self.folder = folder
        home = folder / "home"
        home.mkdir()
        self.environment = {**os.environ, "HOME": str(home), "COLUMNS": "100"}

    def __call__(self, *arguments, code=0):
        """Run it, insist on the exit code `code` and on an answer without a trace, and give it."""
        answer = subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert answer.returncode == code, f"{answer.returncode}: {answer.stderr}{answer.stdout}"
        assert "Traceback" not in answer.stderr
        return answer

    def json(self, *arguments):
        """Run it and give what it prints, which must be JSON alone."""
        return json.loads(self(*arguments).stdout)

    def python(self, code, *arguments):
        """Run `code` in the interpreter, and give what it prints."""
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        ).stdout


@pytest.fixture(scope="session")
def segcore(tmp_path_factory):
    """The command line."""
    return CommandLine(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def data(segcore):
    """A drawn dataset of five classes, as the command left it."""
    segcore("data", "demo", "shapes", "--kind", "shapes", "--images", 10, "--size", 64)
    return segcore.folder / "shapes"
