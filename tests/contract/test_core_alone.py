"""The core's wheel without Paddle and without any plugin: it lists, checks, draws, and says more.

What needs a plugin ends with 3 and the line that installs it.
"""

from importlib.util import find_spec

import pytest


def test_there_is_neither_paddle_nor_a_plugin(segcore):
    assert find_spec("paddle") is None
    assert [plugin["name"] for plugin in segcore.json("plugins", "list", "--json")] == ["builtin"]


@pytest.mark.parametrize("command", ["train", "eval", "predict", "export", "data", "config"])
def test_every_command_has_help(segcore, command):
    assert f"segcore {command}" in segcore(command, "--help").stdout
    assert f"  {command} " in segcore("--help").stdout


def test_there_are_no_models(segcore):
    assert segcore.json("models", "--json") == []
    assert "pip install segcore-" in segcore("models").stdout


def test_configurations_are_checked(segcore):
    file = segcore.folder / "settings.yaml"
    file.write_text("train: {iters: 5, losses: [{type: DiceLoss}]}")
    segcore("config", "check", file)
    file.write_text("train: {itres: 5}")
    assert "did you mean 'iters'" in segcore("config", "check", file, code=2).stderr


def test_the_schema_of_configurations_is_json(segcore):
    assert "train" in segcore.json("config", "schema")["properties"]


def test_a_dataset_is_drawn(data):
    rows = [*(data / "train.txt").open(), *(data / "val.txt").open()]
    assert len(rows) == 10
    assert all((data / file).is_file() for row in rows for file in row.split())


def test_a_model_of_every_first_party_plugin_is_known_with_its_line(segcore):
    offers = {offer["distribution"]: offer for offer in segcore.json("models", "--all", "--json")}
    assert "segcore-pplite" in offers
    for distribution, offer in offers.items():
        answer = segcore("config", "show", offer["name"], code=3)
        assert f"pip install {distribution}" in answer.stderr


def test_training_needs_the_plugin(segcore, data):
    answer = segcore("train", "PP-LiteSeg-T", "--data", data, code=3)
    assert "pip install segcore-pplite" in answer.stderr


def test_a_misspelt_model_gets_the_nearest_name(segcore, data):
    assert "PP-LiteSeg-T" in segcore("train", "PP-LiteSegg-T", "--data", data, code=2).stderr


def test_the_doctor_says_that_paddle_is_missing(segcore):
    assert "segcore[cpu]" in segcore("doctor", code=1).stdout


def test_python_lists_no_models(segcore):
    assert segcore.python("import segcore; print(segcore.list_models())") == "[]\n"
