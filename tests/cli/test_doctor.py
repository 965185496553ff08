import json

import pytest

from segcore.cli import doctor
from segcore.cli.main import run


@pytest.fixture
def report(monkeypatch, capsys):
    """Run doctor on a machine with these distributions; gives the code and the observations."""

    def with_distributions(**versions):
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(doctor, "_version", known.get)
        monkeypatch.setattr(doctor, "_devices", list)
        code = run(["doctor", "--json"])
        observations = json.loads(capsys.readouterr().out)
        return code, {item["subject"]: item for item in observations}

    return with_distributions


def test_one_build_of_each_is_good(report):
    code, seen = report(paddlepaddle="3.3.1", opencv_python="4.10")
    assert code == 0
    assert seen["paddle"]["text"] == "paddlepaddle 3.3.1"
    assert seen["safetensors"]["verdict"] == "note"


def test_two_builds_of_paddle_are_bad(report):
    code, seen = report(paddlepaddle="3.3.1", paddlepaddle_gpu="2.6.2", opencv_python="4.10")
    assert code == 1
    assert "overwrite each other" in seen["paddle"]["text"]


def test_two_builds_of_opencv_are_bad(report):
    code, seen = report(paddlepaddle="3", opencv_python="4", opencv_python_headless="4")
    assert code == 1
    assert "pip uninstall -y opencv-python opencv-python-headless" in seen["opencv"]["text"]


def test_no_paddle_comes_with_the_line_that_installs_it(report):
    code, seen = report(opencv_python="4")
    assert code == 1
    assert 'pip install "segcore[cpu]"' in seen["paddle"]["text"]


def test_the_devices_of_this_machine_are_looked_at(capsys):
    run(["doctor", "--json"])
    seen = {item["subject"]: item for item in json.loads(capsys.readouterr().out)}
    assert seen["device cpu"]["verdict"] == "good"


def test_broken_plugins_are_bad(report, monkeypatch):
    monkeypatch.setattr(
        doctor, "_plugins", lambda: [doctor.Observation("plugin x", "bad", "left out")]
    )
    code, seen = report(paddlepaddle="3", opencv_python="4")
    assert code == 1
    assert seen["plugin x"]["text"] == "left out"
