"""The plugin author's guide says what is so, and its examples run."""

import inspect
import re
from pathlib import Path

import pytest

from segcore import hookspecs
from segcore.testing.site import Site

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (segcore_\w+)\n(.*?)(?=^##|\Z)", GUIDE, re.DOTALL | re.MULTILINE))
HOOKS = {name: value for name, value in vars(hookspecs).items() if name.startswith("segcore_")}


def block(file):
    return re.search(rf"```\w+\n# {re.escape(file)}\n(.*?)```", GUIDE, re.DOTALL)[1]


@pytest.fixture
def project(tmp_path):
    """The guide's smallest plugin, as its author has it on disk, and installed."""
    site = Site(tmp_path / "smallest")
    for file in ("pyproject.toml", "segcore_smallest.py"):
        site.write(site.folder / file, block(file))
    site.install(
        "segcore_smallest",
        block("segcore_smallest.py"),
        entry="smallest",
        distribution="segcore-smallest",
    )
    return site


def test_every_hook_has_its_section_in_the_order_of_the_specification():
    assert list(SECTIONS) == list(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_the_signature_is_that_of_the_hook(name):
    shown = re.search(r"```python\ndef (.*)\n```", SECTIONS[name])[1]
    signature = str(inspect.signature(HOOKS[name])).replace("'", "").replace("specs.", "")
    assert shown == f"{name}{signature}"


@pytest.mark.parametrize("name", HOOKS)
def test_a_section_says_when_and_since_when(name):
    text = " ".join(SECTIONS[name].split())
    assert "When: " in text
    assert re.search(r"Since \d+\.\d+", HOOKS[name].__doc__)[0] in text


def test_the_smallest_plugin_is_listed(project):
    assert "SmallestNet" in project.segcore("models").stdout


def test_the_smallest_plugin_has_nothing_to_mend(project):
    answer = project.segcore("plugins", "check", str(project.folder))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_smallest_plugin_conforms(project):
    code = (
        "from segcore.testing.conformance import Subject, run_checks\n"
        "report = run_checks(Subject('SmallestNet'))\nprint(report.count > 5, report.problems)"
    )
    assert project.python("-c", code).stdout == "True []\n"


def test_a_runtime_conforms_as_the_guide_checks_it(project):
    (code,) = re.findall(r"```python\n([^`]*runtime_checks[^`]*)```", GUIDE)
    project.write(project.folder / "test_runtime.py", code)
    done = project.python("-m", "pytest", "-q", str(project.folder / "test_runtime.py"))
    assert "1 passed" in done.stdout, done.stdout


@pytest.fixture
def box_table(tmp_path):
    """The guide's format of datasets, installed, and a dataset in it."""
    import numpy as np
    from PIL import Image

    site = Site(tmp_path / "site")
    site.install("segcore_boxtable", block("segcore_boxtable.py"))
    root = tmp_path / "table"
    root.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(root / f"{name}.png")
    (root / "boxes.csv").write_text("a.png,cat,2,3,10,5\nb.png,dog,0,0,4,4\na.png,dog,20,1,5,9\n")
    return site


@pytest.mark.parametrize("middle", ["SegDataset", "COCO", "VOC"])
def test_the_format_of_a_plugin_meets_every_other(box_table, middle, tmp_path):
    table, back = tmp_path / "table", tmp_path / "back"
    there = box_table.segcore(
        "data", "convert", str(table), "--to", middle, "--output", str(tmp_path / "middle")
    )
    assert (there.returncode, there.stderr) == (0, "")
    assert "cat 1, dog 2" in there.stdout
    convert = ("data", "convert", str(tmp_path / "middle"), "--to", "box_table")
    assert box_table.segcore(*convert, "--output", str(back)).returncode == 0
    rows = [sorted((root / "boxes.csv").read_text().split()) for root in (table, back)]
    assert rows[0] == rows[1]


def test_a_format_that_fails_is_named_with_its_plugin(box_table, tmp_path):
    (tmp_path / "table" / "boxes.csv").write_text("a.png,cat,two,3,10,5\n")
    answer = box_table.segcore(
        "data", "convert", str(tmp_path / "table"), "--output", str(tmp_path / "out")
    )
    assert answer.returncode == 3
    assert "plugin 'segcore_boxtable'" in answer.stderr
    assert "ValueError: invalid literal for int()" in answer.stderr
