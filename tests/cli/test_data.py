import subprocess
import sys

import pytest
from click.testing import CliRunner

from segcore.cli.data import data_command
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


def test_help_imports_neither_paddle_nor_cv2():
    code = (
        "import sys\n"
        "from segcore.cli.data import data_command\n"
        "data_command(['demo', '--help'], standalone_mode=False)\n"
        "sys.exit('paddle' in sys.modules or 'cv2' in sys.modules or 'numpy' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
