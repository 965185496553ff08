"""The campaigns of `tests/campaigns` that end commands in mid-work, in small.

They run as programs of their own, since they fork, which only a process without threads may do.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def campaign(name, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", f"tests.campaigns.{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--count", "4", "--only", "demo,split,export"),
        pytest.param(("--count", "4"), marks=pytest.mark.slow),
    ],
)
def test_killed_commands_leave_nothing_half_and_go_on(arguments):
    campaign("kills", *arguments)


@pytest.mark.slow
def test_signalled_commands_end_at_once_and_go_on():
    campaign("signals", "--limit", "25", "--count", "4")  # a busy machine is no fault


@pytest.mark.slow
def test_a_disturbed_training_ends_where_an_undisturbed_one_does():
    campaign("soak", "--minutes", "0")
