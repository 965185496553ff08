"""`.`, `..`, a trailing slash and nothing at all in the place of a folder."""

import os
import shlex
import shutil
from pathlib import Path

import pytest

from segcore import create_model
from segcore.cli.main import run
from segcore.config.resolve import resolve_config
from segcore.data.inspection.remedy import _copying
from segcore.discovery.catalogue import get_catalogue
from segcore.engine.train import train
from segcore.errors import RequestError
from segcore.inference.source import find_model
from segcore.trainable import load_model
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


def odd(folder):
    """Make a folder in `folder` whose name is no UTF-8."""
    place = folder / os.fsdecode(b"odd\xff")
    place.mkdir()
    return place


@pytest.mark.parametrize("named", ["output", "data", "pretrained"])
def test_no_training_begins_whose_run_nobody_could_read(toys, shapes, tmp_path, named):
    place = odd(tmp_path)
    values = {"data.path": str(shapes), "train.iters": 1, "train.num_workers": 0}
    if named == "data":
        values["data.path"] = str(place)
    elif named == "pretrained":
        values["train.pretrained"] = str(place / "model.pdparams")
    config = resolve_config("Toy", None, (), values, get_catalogue()).config
    output = (place if named == "output" else tmp_path) / "run"
    with pytest.raises(RequestError, match=r"odd.udcff.*no UTF-8"):
        train(config, output, device="cpu")
    assert not output.exists()


def test_a_place_that_paddle_cannot_hold_is_told_before_any_work(colour_run, tmp_path):
    place = odd(tmp_path)
    model = load_model(colour_run, device="cpu")
    with pytest.raises(RequestError, match=r"odd.udcff.*no UTF-8"):
        model.export(place / "export")
    export = shutil.copytree(colour_run / "best_model/inference", place / "export")
    with pytest.raises(RequestError, match=r"odd.udcff.*no UTF-8"):
        create_model(model_dir=export, device="cpu")


@pytest.mark.parametrize("name", ["a", "a/x"])
def test_links_in_a_circle_are_no_model(name, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(RequestError, match="there is no such file or folder"):
        find_model(tmp_path / name)
