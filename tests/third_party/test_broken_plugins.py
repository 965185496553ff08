"""Broken plugins beside a good one: each costs one line that names it, and nothing else."""

import json

import pytest

REASONS = {
    "raises": "RuntimeError: no luck",
    "syntax": "SyntaxError",
    "exits": "SystemExit: 7",
    "needy": "it needs the module 'a_module_that_nobody_has'",
    "absent": "its module 'absent' is not there; run: pip install --force-reinstall segcore-absent",
    "misspelt": "there is no hook 'segcore_modles', did you mean 'segcore_models'?",
    "bare": "segcore_models lacks the decorator",
    "greedy": "segcore_models takes 'config', which the hook does not pass",
    "hook_raises": "segcore_losses raised ZeroDivisionError",
    "hook_exits": "segcore_losses raised SystemExit: 3",
    "number": "segcore_models returned int instead of a list of ModelSpec",
    "strings": "segcore_models returned a str among its items",
    "wrong_kind": "segcore_models returned a LossSpec among its items",
    "bad_target": "target 'a.b' is not 'package.module:attribute'",
    "flood": "more than 10000 components",
    "endless": "more than 10000 components",
    "untyped": "segcore_models: parameters of 'N' is '8 M'",
    "twice": "declares the name 'net_1' twice",
    "tomorrow": "it needs segcore>=99, and this is segcore 0.1.0; run: pip install",
    "silent": "does not say which segcore it works with",
}


@pytest.fixture(scope="module")
def listed(crowd):
    answer = crowd.segcore("plugins", "list", "--json")
    assert answer.returncode == 0
    assert answer.stderr == ""
    return {record["name"]: record for record in json.loads(answer.stdout)}


def test_every_kind_of_broken_plugin_is_tried(listed):
    assert set(REASONS) < set(listed)


@pytest.mark.parametrize("name", REASONS)
def test_the_list_says_what_is_wrong_with(listed, name):
    record = listed[name]
    assert record["status"] in ("broken", "incompatible")
    assert REASONS[name] in record["reason"]


@pytest.mark.parametrize("name", ["tomorrow", "silent"])
def test_an_incompatible_plugin_is_not_imported(listed, name):
    assert listed[name]["status"] == "incompatible"


def test_the_good_plugin_works_beside_them(listed):
    assert listed["good"]["status"] == "ok"


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["data", "--help"]])
def test_each_costs_exactly_one_line_and_no_command(crowd, arguments):
    answer = crowd.segcore(*arguments)
    assert answer.returncode == 0
    lines = answer.stderr.splitlines()
    assert len(lines) == len(REASONS)
    for name in REASONS:
        start = f"segcore: plugin {name!r} (segcore-{name.replace('_', '-')} 1.0) is left out: "
        assert sum(line.startswith(start) for line in lines) == 1


def test_the_models_of_the_good_one_are_listed_as_json(crowd):
    answer = crowd.segcore("models", "--json")
    assert "GoodNet" in {record["name"] for record in json.loads(answer.stdout)}


def test_the_table_gives_the_reasons(crowd):
    answer = crowd.segcore("plugins", "list")
    assert answer.returncode == 0
    assert all(reason in answer.stdout for reason in REASONS.values())


def test_a_plugin_that_is_switched_off_costs_nothing(crowd):
    switches = [word for name in REASONS for word in ("--no-plugin", name)]
    answer = crowd.segcore(*switches, "models")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_environment_switches_off_by_distribution_too(crowd):
    names = ",".join(f"segcore-{name}" for name in REASONS)
    answer = crowd.segcore("models", SEGCORE_DISABLE_PLUGINS=names)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_name_that_nobody_has_comes_with_the_plugins_left_out(crowd):
    answer = crowd.segcore("models", "show", "NoSuchNet")
    assert answer.returncode == 2
    assert "there is no model 'NoSuchNet'" in answer.stderr
    assert "is left out" in answer.stderr.splitlines()[-1]
