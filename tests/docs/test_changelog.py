"""Fragments of the changelog are named and written as its README says."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "changelog"
KINDS = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
FRAGMENTS = [path for path in FOLDER.iterdir() if path.name != "README.md"]


def test_there_are_kinds():
    assert KINDS == ["added", "changed", "deprecated", "removed", "fixed", "security"]


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_a_short_paragraph_of_a_known_kind(path):
    assert re.fullmatch(rf"[\w.+-]+\.({'|'.join(KINDS)})\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert text.endswith(".\n")
    assert "\n\n" not in text
    assert len(text) < 600
