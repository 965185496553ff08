"""The tutorial on LabelMe: its folder, and its commands up to the training."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from segcore.cli.data import data_command

DOCS = Path(__file__).parents[2] / "docs"
KINDS = {"polygon", "rectangle", "oriented_rectangle", "circle", "line", "linestrip", "point",
         "points", "mask"}  # fmt: skip


@pytest.fixture(scope="module")
def demo():
    pytest.importorskip("skimage")
    spec = spec_from_file_location("labelme_demo", DOCS / "examples" / "labelme_demo.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tutorial(demo, tmp_path_factory):
    """The folder after the commands of the tutorial, and what each of them printed."""
    text = (DOCS / "labelme.md").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("tutorial")
    printed = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        demo.main(Path("coffee"))
        for line in re.findall(r"^segcore data (.+)$", text, re.MULTILINE):
            answer = CliRunner().invoke(
                data_command, line.split(), catch_exceptions=False, standalone_mode=False
            )
            assert answer.exit_code == 0, answer.output
            printed[line.split()[0]] = answer.output
    return folder, printed


def test_the_folder_has_every_kind_of_shape(tutorial):
    files = [json.loads(path.read_text()) for path in tutorial[0].rglob("coffee/*/*.json")]
    assert {shape["shape_type"] for file in files for shape in file["shapes"]} == KINDS


def test_the_commands_print_what_the_tutorial_shows(tutorial):
    _, printed = tutorial
    assert list(printed) == ["convert", "split", "check"]
    text = (DOCS / "labelme.md").read_text(encoding="utf-8")
    assert all(line in text for line in printed["convert"].splitlines())


def test_the_piece_that_was_stored_turned_has_the_label_of_its_picture(demo, tutorial):
    labels = [
        np.asarray(Image.open(tutorial[0] / f"dataset/annotations/back/coffee_{number:02}.png"))
        for number in (0, 1)
    ]
    corner = demo.dark_corner(demo.data.coffee())[: demo.PIECE_PX, : demo.PIECE_PX]
    assert (labels[0][corner] == 255).all()
    step = demo.STEP_PX
    agree = (labels[0][:, step:] == labels[1][:, :-step]).mean()
    assert agree > 0.99  # polygons are cut at other places, which moves a few pixels of outlines
