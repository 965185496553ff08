"""The wheels of all plugins together: one catalogue, in which nobody is in the way of others."""

import json
import subprocess
import sys
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest

SEGCORE = (sys.executable, "-m", "segcore")
LISTED = json.loads(subprocess.check_output([*SEGCORE, "plugins", "list", "--json"]))
MODELS = json.loads(subprocess.check_output([*SEGCORE, "models", "--json"]))
PLUGINS = [p["distribution"] for p in LISTED if p["distribution"].startswith("segcore-")]


def test_the_packages_come_from_the_wheels(segcore):
    home = segcore.python("import segcore; print(segcore.__file__)").strip()
    assert Path(home).is_relative_to(sys.prefix)


def test_every_installed_plugin_works():
    installed = {
        each.metadata["Name"]
        for each in distributions()
        if each.entry_points.select(group="segcore.plugins")
    }
    assert "segcore-pplite" in installed
    assert {p["distribution"] for p in LISTED if p["status"] == "ok"} - {"segcore"} == installed


@pytest.mark.parametrize("name", ["segcore", *PLUGINS])
def test_a_wheel_carries_its_licence(name):
    assert "Apache License" in distribution(name).read_text("licenses/LICENSE")


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_has_nothing_to_mend(segcore, plugin):
    segcore("plugins", "check", plugin)


def test_python_lists_what_the_command_lists(segcore):
    names = segcore.python("import segcore; print(*segcore.list_models(), sep='\\n')").splitlines()
    assert sorted(names) == sorted(model["name"] for model in MODELS)


def test_importing_segcore_imports_nothing_heavy(segcore):
    code = "import sys, segcore; print({'paddle', 'cv2', 'numpy', 'pydantic'} & set(sys.modules))"
    assert segcore.python(code) == "set()\n"


def test_a_model_whose_plugin_is_missing_is_named_with_its_line(segcore, data):
    known = {offer["distribution"]: offer for offer in segcore.json("models", "--all", "--json")}
    for missing in set(known) - set(PLUGINS):
        offer = known[missing]
        answer = segcore("train", offer["name"], "--data", data, code=3)
        assert f"pip install {missing}" in answer.stderr
