"""`segcore data stats`."""

import json

from click.testing import CliRunner

from segcore.cli.data import data_command


def run(*arguments):
    return CliRunner().invoke(data_command, ["stats", *map(str, arguments)], catch_exceptions=False)


def test_tables_show_splits_classes_and_pairs(shapes):
    result = run(shapes)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["train", "val", "total"]
    assert next(line for line in lines if line.startswith("images")).split() == [
        "images", "16", "4", "20",
    ]  # fmt: skip
    assert any(line.startswith("4   star") for line in lines)
    assert "Images that have both classes" in result.stdout


def test_json_is_all_there_is_on_stdout(shapes):
    found = json.loads(run(shapes, "--json").stdout)
    assert found["total"]["images"] == 20
    assert found["class_names"][1] == "circle"
    assert [split["name"] for split in found["splits"]] == ["train", "val"]


def test_one_split_alone(shapes):
    assert json.loads(run(shapes, "--json", "--split", "val").stdout)["total"]["images"] == 4


def test_settings_can_be_given(shapes):
    found = json.loads(run(shapes, "--json", "-o", "data.label_map={4: 0}").stdout)
    assert found["total"]["classes"][4]["pixels"] == 0


def test_names_cannot_drive_the_terminal(shapes, tmp_path):
    from shutil import copytree

    root = copytree(shapes, tmp_path / "set")
    (root / "labels.txt").write_text("a\x1b[31m\nb\u202e\nc\nd\ne\n")
    out = run(root).stdout
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "a\\x1b[31m" in out
