import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from segcore.cli.data import data_command
from segcore.cli.main import run as run_segcore
from segcore.errors import OutputError


def run(*arguments):
    return CliRunner().invoke(data_command, [str(a) for a in arguments], catch_exceptions=False)


def test_demo_draws_a_dataset(tmp_path):
    options = ("--kind", "shapes", "--images", 3, "--size", 32, "--seed", 5)
    result = run("demo", tmp_path / "set", *options)
    assert result.exit_code == 0
    assert "3 images of 32 x 32 pixels (shapes)" in result.output
    assert (tmp_path / "set/val.txt").read_text().count("\n") == 1


def test_demo_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        CliRunner().invoke(
            data_command, ["demo", str(tmp_path)], catch_exceptions=False, standalone_mode=False
        )
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_demo_draws_into_a_folder_that_holds_something_when_forced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert run("demo", tmp_path, "--images", 2, "--size", 32, "--force").exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "train.txt").exists()


def test_demo_knows_its_kinds(tmp_path):
    result = run("demo", tmp_path / "set", "--kind", "cats")
    assert result.exit_code == 2
    assert "'optic-disc', 'shapes'" in result.output


@pytest.fixture
def drawn(tmp_path):
    assert run("demo", tmp_path / "set", "--images", 2, "--size", 32).exit_code == 0
    return tmp_path / "set"


def convert(folder, classes, *options):
    given = ("--output", folder.with_name("out"), "--classes", classes, *options)
    return run_segcore(["data", "convert", str(folder), *map(str, given)])


@pytest.mark.parametrize("place", ["pipe", "pipe,2", "folder", "loop", "missing.txt", "/dev/zero"])
def test_what_is_no_file_is_not_taken_for_the_name_of_a_class(place, drawn, monkeypatch, capsys):
    monkeypatch.chdir(drawn.parent)
    os.mkfifo("pipe")
    os.mkfifo("pipe,2")
    Path("folder").mkdir()
    Path("loop").symlink_to("missing.txt")
    code = convert(drawn, "./loop" if place == "loop" else place, "--ignore-label", "optic_disc")
    assert code == 2
    assert f"{place}: cannot be read" in capsys.readouterr().err
    assert not Path("out").exists()


def test_the_classes_may_be_more_than_fit_into_the_name_of_a_file(drawn):
    names = ["_background_", "optic_disc", *(f"class/{number}" for number in range(100))]
    assert convert(drawn, ", ".join(names)) == 0
    report = json.loads((drawn.parent / "out/convert_dataset_result.json").read_text())
    assert report["classes"] == names


def test_help_imports_neither_paddle_nor_cv2():
    code = (
        "import sys\n"
        "from segcore.cli.data import data_command\n"
        "data_command(['demo', '--help'], standalone_mode=False)\n"
        "sys.exit('paddle' in sys.modules or 'cv2' in sys.modules or 'numpy' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
