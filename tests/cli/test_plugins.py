import json
import os

import pytest

from segcore.cli.main import run
from segcore.testing.site import Site


def test_the_list_has_segcore_itself(capsys):
    assert run(["plugins", "list", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["name"], first["status"]) == ("builtin", "ok")


def test_info_lists_hooks_and_components(capsys):
    assert run(["plugins", "info", "builtin", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert "segcore_build_model" in record["hooks"]
    assert {"kind": "loss", "name": "DiceLoss"}.items() <= next(
        item for item in record["components"] if item["name"] == "DiceLoss"
    ).items()


def test_info_as_text_shows_the_import_time(capsys):
    assert run(["plugins", "info", "segcore"]) == 0
    assert "import time" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("unet", 3, "run: pip install segcore-unet"),
        ("segcore-unet", 3, "run: pip install segcore-unet"),
        ("builtim", 2, "no plugin 'builtim' is installed; there is builtin"),
    ],
)
def test_info_on_a_plugin_that_is_not_there(capsys, monkeypatch, name, code, text):
    monkeypatch.setattr("segcore.discovery.catalogue.find_plugins", list)
    monkeypatch.setattr("segcore.discovery.catalogue._catalogues", {})
    assert run(["plugins", "info", name]) == code
    assert text in capsys.readouterr().err


def test_a_new_plugin_is_good_as_it_is_written(tmp_path, capsys):
    assert run(["plugins", "new", "My-Idea", "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    folder = tmp_path / "segcore-my-idea"
    assert run(["plugins", "check", str(folder), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["findings"] == []


@pytest.fixture
def new_plugin(tmp_path):
    """A new plugin, with what an editable installation leaves behind."""
    assert run(["plugins", "new", "my_idea", "--output", str(tmp_path)]) == 0
    site = Site(tmp_path / "segcore-my-idea")
    site.install("segcore_my_idea.plugin", None, entry="my-idea")
    return site


def test_the_tests_of_a_new_plugin_pass(new_plugin):
    tests = str(new_plugin.folder / "tests")
    answer = new_plugin.python("-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert answer.returncode == 0, answer.stdout
    assert "skipped" not in answer.stdout


def test_a_new_plugin_works_once_it_is_installed(new_plugin):
    code = "import segcore; print(segcore.build_model('MyIdeaNet', num_classes=2, width=8))"
    assert "Conv2D(8, 2" in new_plugin.python("-c", code).stdout


@pytest.mark.parametrize("name", ["../evil", "1st", "a b", "x;y", "é"])
def test_a_name_that_cannot_be_a_package_is_refused(tmp_path, capsys, name):
    assert run(["plugins", "new", name, "--output", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    assert "use letters, digits" in capsys.readouterr().err


def test_a_folder_that_is_there_is_left_alone(tmp_path, capsys):
    (tmp_path / "segcore-mine").mkdir()
    assert run(["plugins", "new", "mine", "--output", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_project_without_an_entry_point_is_named(tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    assert run(["plugins", "check", str(tmp_path)]) == 2
    assert "pyproject.toml: no [project.entry-points" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pipe", "pipe.py", "text"])
def test_what_is_no_plugin_is_not_said_to_be_missing(name, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "text").touch()
    assert run(["plugins", "check", str(tmp_path / name)]) == 2
    assert f"{name}: is neither the folder of a project nor a module" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("project = 3", "project: "),
        ("[project]\nname = 3", "project.name: "),
        ("[project]\ndependencies = [3]", "project.dependencies.0: "),
        ("[project]\nentry-points = 3", "project.entry-points: "),
        ("[project.entry-points]\nsegcore = {plugins = 3}", "project.entry-points.segcore.plug"),
        ("a = " + "[" * 10_000, "cannot be read: "),
    ],
)
def test_a_project_of_a_strange_form_is_said_to_be_wrong(text, reason, tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text(text)
    assert run(["plugins", "check", str(tmp_path)]) == 2
    assert f"pyproject.toml: {reason}" in capsys.readouterr().err


def test_a_folder_without_a_project_is_named(tmp_path, capsys):
    assert run(["plugins", "check", str(tmp_path)]) == 2
    assert "no pyproject.toml in this folder" in capsys.readouterr().err
