"""`segcore config`, with the catalogue that is really there."""

import json
import subprocess
import sys

import pytest

from segcore.cli.main import run
from segcore.config.load import read_yaml
from segcore.config.schema import Config


@pytest.fixture
def write(tmp_path):
    def write_one(text, name="c.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write_one


def test_check_says_ok(write, capsys):
    path = write("train: {iters: 10, transforms: [{type: normalize}]}")
    assert run(["config", "check", path]) == 0
    assert capsys.readouterr().out == f"{path}: ok\n"


def test_check_lists_every_problem_of_every_file_and_ends_with_2(write, capsys):
    one = write("train: {iters: 0, seeed: 1}", "one.yaml")
    two = write("a: [", "two.yaml")
    good = write("train: {seed: 1}", "good.yaml")
    assert run(["config", "check", one, two, good]) == 2
    out, err = capsys.readouterr()
    assert out == f"{good}: ok\n"
    assert f"train.iters = 0: must be greater than or equal to 1 ({one}:1)" in err
    assert "did you mean 'seed'?" in err
    assert f"{two}:2: cannot be understood" in err or f"{two}:1: cannot be understood" in err


def test_check_as_json_is_only_json(write, capsys):
    path = write("train:\n  iters: 0\n")
    assert run(["config", "check", "--json", path, write("x: [", "two.yaml")]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    first, second = json.loads(out)["files"]
    assert first["ok"] is False
    (problem,) = first["problems"]
    assert (problem["key"], problem["value"], problem["line"]) == ("train.iters", "0", 2)
    assert second["problems"][0]["key"] is None


def test_schema_is_json_with_the_built_in_components(capsys):
    assert run(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    offered = schema["$defs"]["losses.item"]["properties"]["type"]["anyOf"][0]["enum"]
    assert "CrossEntropyLoss" in offered


def test_show_prints_a_file_that_check_accepts(write, capsys):
    pytest.importorskip("segcore_pplite")
    assert run(["config", "show", "pp-liteseg-t", "-o", "train.iters=12"]) == 0
    path = write(capsys.readouterr().out)
    data = read_yaml(path)
    assert (data["model"]["name"], data["train"]["iters"]) == ("PP-LiteSeg-T", 12)
    assert run(["config", "check", path]) == 0
    capsys.readouterr()
    assert run(["config", "show", "pp-liteseg-t", "-c", path, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert Config.model_validate(shown["config"]) == Config.model_validate(data)
    assert shown["origins"]["train.iters"].startswith(path)


def test_checking_a_file_imports_neither_paddle_nor_cv2(write):
    path = write("train: {transforms: [{type: Normalize}], losses: [{type: DiceLoss}]}")
    code = (
        "import sys; from segcore.cli.main import run\n"
        f"code = run(['config', 'check', {path!r}])\n"
        "print(code, {'paddle', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "0 set()"
