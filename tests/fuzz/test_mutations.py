"""Damaged files end in a value or in one of segcore's errors, never in anything else.

A worker process reads them, with 1 GiB of address space and 10 seconds for each.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
READERS = (
    "list", "classes", "list-repair", "label", "label-repair", "image", "labelme", "coco", "yaml",
    "weights", "plan", "npy", "cvat", "supervisely", "voc", "config", "description", "safetensors",
    "archive", "runs", "state", "manifest", "lock", "note",
)  # fmt: skip
UNREFUSED = ("lock", "note")  # what is damaged counts as not there
SEALED = ("manifest",)  # has a digest of its own
MOST_DEATHS = 5


def fuzz(targets, count, folder, seconds=10.0, first=0):
    """Feed `count` damaged files to each reader; a process that dies is replaced by another.

    Gives how many inputs of which target were `read` and `refused`, and the target, number and
    reason of all others.
    """
    folder.mkdir()
    counts, others = Counter(), []
    end = len(targets) * count
    while first < end and len(others) < MOST_DEATHS:
        command = [
            sys.executable, HERE / "worker.py", ",".join(targets), str(first), str(count),
            str(seconds), folder,
        ]  # fmt: skip
        # many threads want much address space
        few = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.run(
            command,
            env={**os.environ, **few},
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode == 0:
            break
        assert process.returncode < 0, process.stderr
        number = int((folder / "current").read_text())
        reason = signal.Signals(-process.returncode).name
        others.append((targets[number // count], number % count, reason))
        first = number + 1
    records = folder / "outcomes.jsonl"
    for line in records.read_text().splitlines() if records.exists() else ():
        target, number, kind, reason, _ = json.loads(line)
        if kind == "foreign":
            others.append((target, number, reason))
        counts[target, kind] += 1
    return counts, others


def check(targets, count, folder):
    counts, others = fuzz(targets, count, folder)
    assert others == []
    for target in targets:
        assert counts[target, "read"] + counts[target, "refused"] == count
        # damage that is never or always noticed would test nothing
        assert target in UNREFUSED or counts[target, "refused"] >= count // 20
        assert target in SEALED or counts[target, "read"] > 0


def test_damaged_files_are_read_or_refused(tmp_path):
    check(READERS, 100, tmp_path / "work")


@pytest.mark.slow
@pytest.mark.parametrize("target", READERS)
def test_many_damaged_files_are_read_or_refused(target, tmp_path):
    check([target], 2000, tmp_path / "work")


@pytest.mark.parametrize(
    "planted",
    [
        {
            "raises": "ValueError: subsection not found",
            "recurses": "RecursionError",
            "allocates": "MemoryError",
            "warns": "RuntimeWarning: overflow",
        },
        {"crashes": "SIGABRT"},
        {"hangs": "SIGALRM"},
    ],
    ids="+".join,
)
def test_the_harness_notices_what_must_not_happen(planted, tmp_path):
    _, others = fuzz(list(planted), 1, tmp_path / "work", seconds=0.5)
    assert [target for target, _, _ in others] == list(planted)
    for target, _, reason in others:
        assert reason.startswith(planted[target])
