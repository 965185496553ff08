"""`.`, `..`, a trailing slash and nothing at all in the place of a folder."""

import shlex
from pathlib import Path

import pytest

from segcore.cli.main import run
from segcore.data.inspection.remedy import _copying
from tests.campaigns.foreign_errors import make_data


@pytest.fixture
def inside(tmp_path, monkeypatch):
    make_data(tmp_path)
    monkeypatch.chdir(tmp_path / "seg")
    # something to offer the name of a copy for
    (tmp_path / "seg/annotations/a.png").write_bytes((tmp_path / "seg/images/a.png").read_bytes())
    return tmp_path


@pytest.mark.parametrize("place", [".", "./", "..", "../seg/", "../seg/.", "images/.."])
@pytest.mark.parametrize(
    "command",
    [
        ("data", "check", "PLACE", "--output", "../c"),
        ("data", "stats", "PLACE"),
        ("data", "view", "PLACE", "--output", "../v"),
        ("data", "fix", "PLACE", "--dry-run"),
        ("data", "fix", "PLACE", "--output", "PLACE"),
        ("data", "split", "PLACE", "--dry-run"),
        ("data", "convert", "PLACE", "--output", "PLACE"),
        ("data", "demo", "PLACE"),
        ("config", "check", "PLACE"),
        ("plugins", "check", "PLACE"),
    ],
    ids=" ".join,
)
def test_no_command_takes_an_odd_place_for_a_defect(inside, command, place, capsys):
    code = run([place if part == "PLACE" else part for part in command])
    assert code in (0, 1, 2, 3), capsys.readouterr().err


@pytest.mark.parametrize("place", [".", "..", "images/..", "/"])
def test_a_copy_is_offered_beside_the_folder_whatever_it_is_called(inside, place):
    offered = _copying(Path(place), "--drop-leaks")
    assert "-fixed" in offered
    assert shlex.split(offered)[5] != str(Path(place))


def test_an_empty_argument_is_asked_about(capsys):
    assert run(["data", "fix", "", "--in-place"]) == 2
    assert "an argument is empty" in capsys.readouterr().err
