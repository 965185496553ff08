"""Hostile `.pdparams` files: what plain pickle does with each, and what segcore does."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def corpus():
    spec = importlib.util.spec_from_file_location("segcore_attack_payloads", HERE / "payloads.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.ATTACKS


ATTACKS = corpus()
NAMES = [attack.name for attack in ATTACKS]


def run_script(name, folder):
    command = [sys.executable, "-W", "ignore", str(HERE / name), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    return json.loads((folder / "outcomes.json").read_text())


@pytest.fixture(scope="module")
def naive(tmp_path_factory):
    return run_script("naive.py", tmp_path_factory.mktemp("naive"))


@pytest.fixture(scope="module")
def restricted(tmp_path_factory):
    return run_script("restricted.py", tmp_path_factory.mktemp("restricted"))


def happened(effect, outcome):
    if effect == "code":
        return outcome["ran"]
    if effect == "memory":
        hungry = outcome.get("grown", 0) > 100 * outcome["size"]
        return outcome["error"] == "MemoryError" or hungry
    if effect == "walk":
        return outcome["error"] == "RecursionError" or outcome.get("walk") == "endless"
    return (outcome["error"] is None) == (effect == "accepted")


def test_the_corpus_is_as_large_as_it_was():
    assert len(set(NAMES)) == len(NAMES) >= 70
    assert sum(attack.effect == "code" for attack in ATTACKS) >= 41


@pytest.mark.parametrize(
    "attack", [pytest.param(a, id=a.name) for a in ATTACKS if a.effect != "varies"]
)
def test_the_attack_works_on_plain_pickle(naive, attack):
    assert happened(attack.effect, naive[attack.name]), naive[attack.name]


@pytest.mark.parametrize("name", NAMES)
def test_the_attack_is_refused_as_weights_error(restricted, name):
    assert restricted[name]["error"] == "WeightsError", restricted[name]
    assert restricted[name]["message"].startswith(f"{name}: ")


@pytest.mark.parametrize("name", NAMES)
def test_the_attack_neither_runs_nor_imports_nor_opens_anything(restricted, name):
    outcome = restricted[name]
    assert not outcome["ran"]
    assert outcome["events"] == []
    assert outcome["imported"] == []


@pytest.mark.parametrize("name", [a.name for a in ATTACKS if a.effect in ("memory", "walk")])
def test_the_bomb_takes_little_memory(restricted, name):
    # A pickle of tuples costs about 100 bytes an opcode; a bomb would cost 10^9 and more.
    assert restricted[name]["grown"] < 20_000_000 + 200 * restricted[name]["size"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("posix_system_by_stack_global", "contains code: it asks for posix.system"),
        ("eval_in_the_form_of_paddle", "contains code: it asks for eval of an expression"),
        ("eval_of_the_word_data_but_no_array", "contains code: it asks for eval of an expression"),
        ("codec_that_has_to_be_imported", "encodes something other than bytes"),
        ("bytes_called_with_a_number", "creates bytes in an unknown way"),
        ("object_array", "dtype 'O8'"),
        ("million_nested_tuples", "more than 20 levels deep"),
        ("bytes_of_a_terabyte", "1000000000000 bytes are announced"),
    ],
)
def test_the_message_says_what_the_file_asks_for(restricted, name, said):
    assert said in restricted[name]["message"]


@pytest.mark.skipif(importlib.util.find_spec("paddle") is None, reason="needs paddle")
def test_paddle_load_runs_what_plain_pickle_runs(tmp_path):
    program = "import sys, paddle; paddle.load(sys.argv[1], return_numpy=True)"
    attack = next(a for a in ATTACKS if a.name == "eval_in_the_form_of_paddle")
    marker, path = tmp_path / "marker", tmp_path / "weights.pdparams"
    path.write_bytes(attack.build(str(marker)))
    command = [sys.executable, "-W", "ignore", "-c", program, str(path)]
    subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert marker.exists()
