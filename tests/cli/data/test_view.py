"""`segcore data view`, and reports from the command line."""

import json
import os
import re
import subprocess
import sys
from shutil import copytree

import pytest
from click.testing import CliRunner

from segcore.cli.data import data_command
from segcore.cli.main import run as segcore


def run(*arguments, fails=False):
    return CliRunner().invoke(data_command, [*map(str, arguments)], catch_exceptions=fails)


def test_sheets_are_drawn(shapes, tmp_path):
    result = run("view", shapes, "--output", tmp_path / "out", "--columns", 2, "--limit", 6)
    assert "6 of 20 samples" in result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "sheet_001.jpg",
        "sheet_002.jpg",
    ]


def test_json_names_what_is_shown(shapes, tmp_path):
    out, report = tmp_path / "out", tmp_path / "r.html"
    result = run("view", shapes, "--output", out, "--limit", 3, "--json", "--report", report)
    found = json.loads(result.stdout)
    assert found["sheets"] == [str(out / "sheet_001.jpg")]
    assert found["report"] == str(report)
    assert len(found["samples"]) == 3
    assert found["samples"][0]["score"] >= found["samples"][1]["score"]


def test_one_class_and_one_split(shapes, tmp_path):
    out = tmp_path / "out"
    result = run("view", shapes, "--output", out, "--class", "star", "--split", "val", "--json")
    found = json.loads(result.stdout)
    assert found["samples"]
    assert all(sample["place"].startswith("val.txt") for sample in found["samples"])


def test_a_class_that_is_not_there_is_an_error(shapes, tmp_path):
    result = run("view", shapes, "--output", tmp_path, "--class", "sun", fails=True)
    assert "the classes are background, circle" in str(result.exception)


def test_a_trained_model_shows_where_it_is_wrong(colour_run, shapes, tmp_path):
    # it finds the strongest colour, which is not what the labels mean
    root = copytree(shapes, tmp_path / "set")
    (root / "labels.txt").write_text("red\ngreen\nblue\n")
    few = ("-o", "data.label_map={3: 0, 4: 0}")
    result = run("view", root, "--run", colour_run, *few, "--output", tmp_path / "out", "--json")
    found = json.loads(result.stdout)
    scores = [sample["score"] for sample in found["samples"]]
    assert scores == sorted(scores)
    assert found["samples"][0]["reasons"][0] == f"IoU {scores[0]:.3f}"
    assert "most wrong" in found["order"]


def test_a_model_of_other_classes_is_refused(colour_run, shapes, tmp_path):
    result = run("view", shapes, "--run", colour_run, "--output", tmp_path, fails=True)
    assert "names 5 classes, but data.num_classes is 3" in str(result.exception)


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        ("green red blue", 2, "green is 0 here and 1 there"),
        ("red green sky", 0, r"1 of 3 classes have other names .*: 2 sky \(blue\)"),
    ],
)
def test_a_model_meets_the_classes_that_it_was_trained_for(
    colour_run, shapes, tmp_path, capfd, names, code, said
):
    root = copytree(shapes, tmp_path / "set")
    (root / "labels.txt").write_text("\n".join(names.split()))
    words = ["data", "view", root, "--run", colour_run, "--output", tmp_path / "out"]
    assert segcore([*map(str, words), "-o", "data.label_map={3: 0, 4: 0}"]) == code
    assert re.search(said, capfd.readouterr().err)
    assert any((tmp_path / "out").glob("*.jpg")) == (code == 0)


def test_a_pipe_is_not_waited_for_as_a_font(shapes, tmp_path):
    os.mkfifo(tmp_path / "a.ttf")
    words = ["view", shapes, "--output", tmp_path / "out", "--font", tmp_path / "a.ttf"]
    assert "not a regular file but a named pipe" in str(run(*words, fails=True).exception)


@pytest.mark.parametrize("command", ["stats", "view"])
def test_reports_are_written(shapes, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(command, shapes, "--report", "new/r.html")
    text = (tmp_path / "new/r.html").read_text("utf-8")
    assert text.count('class="overlay"') >= 12
    assert "Findings" not in text


@pytest.mark.parametrize("command", ["stats", "view", "check"])
def test_a_place_where_no_report_can_be_is_refused_before_the_work(shapes, tmp_path, command):
    (tmp_path / "file").write_text("")
    result = run(command, shapes / "nothing", "--report", tmp_path / "file/r.html", fails=True)
    assert type(result.exception).__name__ == "OutputError"


@pytest.mark.parametrize("command", ["stats", "view"])
def test_help_imports_neither_paddle_nor_cv2(command):
    code = (
        "import sys\n"
        "from segcore.cli.data import data_command\n"
        f"data_command([{command!r}, '--help'], standalone_mode=False)\n"
        "sys.exit('paddle' in sys.modules or 'cv2' in sys.modules or 'numpy' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
