"""`segcore plugins check` runs a plugin in a process of its own."""

import json

import pytest

from segcore.discovery.check import check_plugin

HEAD = "from segcore.plugin import ModelSpec, hookimpl\n"


@pytest.fixture
def module(tmp_path):
    def write(code, name="trial"):
        path = tmp_path / f"{name}.py"
        path.write_text(code, encoding="utf-8")
        return str(path)

    return write


def findings(path, timeout_s=60.0):
    (report,) = check_plugin(path, timeout_s)
    return " | ".join(report.findings)


def declare(rest, options=None):
    return (
        f"{HEAD}@hookimpl\ndef segcore_models():\n"
        f"    return [ModelSpec(name='Net', target='trial:Net', options={options!r})]\n{rest}"
    )


def test_a_plugin_that_ends_the_process_is_found_out(module):
    assert "ended the process with code 9" in findings(module("import os\nos._exit(9)"))


def test_a_plugin_that_never_comes_back_is_found_out(module):
    assert "did not come back" in findings(module("while True: pass"), timeout_s=2.0)


def test_a_plugin_that_imports_something_heavy_is_found_out(module, tmp_path):
    (tmp_path / "cv2.py").write_text("", encoding="utf-8")
    assert "imports cv2 when plugins are listed" in findings(module("import cv2"))


def test_prints_at_import_are_found(module):
    assert "prints when imported: 'hello'" in findings(module("print('hello')"))


def test_prints_past_python_do_not_spoil_the_answer(module):
    path = module(declare("import os\nos.write(1, b'raw')\nclass Net: pass\n"))
    assert findings(path) == ""


def test_a_target_that_is_nowhere_is_found(module):
    assert "target 'trial:Net' cannot be imported" in findings(module(declare("")))


def test_an_invalid_default_is_found(module):
    rest = (
        "from pydantic import BaseModel, Field\nclass Net: pass\n"
        "class Options(BaseModel, extra='forbid'):\n    depth: int = Field(0, ge=1)\n"
    )
    assert "the default of depth is invalid" in findings(module(declare(rest, "trial:Options")))


def test_options_without_a_json_schema_are_found(module):
    rest = (
        "from pydantic import BaseModel\nclass Net: pass\nclass Odd: pass\n"
        "class Options(BaseModel, extra='forbid', arbitrary_types_allowed=True):\n    odd: Odd\n"
    )
    assert "its options have no JSON schema" in findings(module(declare(rest, "trial:Options")))


def test_a_clash_with_segcore_is_found(module):
    code = (
        "from segcore.plugin import LossSpec, hookimpl\n@hookimpl\ndef segcore_losses():\n"
        "    return [LossSpec(name='DiceLoss', target='trial:Loss')]\nclass Loss: pass\n"
    )
    assert "loss 'DiceLoss' (segcore keeps it; write trial/DiceLoss)" in findings(module(code))


def test_findings_end_the_command_with_code_1(site):
    site.install("loud", "print('hello')")
    answer = site.segcore("plugins", "check", "loud", "--json")
    assert answer.returncode == 1
    (report,) = json.loads(answer.stdout)
    assert len(report["findings"]) == 2  # it prints, and implements nothing


def test_a_name_that_is_not_installed_ends_it_with_code_3(site):
    answer = site.segcore("plugins", "check", "no-such-plugin")
    assert answer.returncode == 3
    assert "no plugin 'no-such-plugin' is installed" in answer.stderr


@pytest.mark.parametrize(
    ("code", "text"),
    [("import os\nos._exit(9)", "ended the process with code 9"), ("while 1: pass", "come back")],
)
def test_an_installed_plugin_that_takes_the_process_with_it_can_be_checked(site, code, text):
    site.install("deadly", code)
    answer = site.segcore("plugins", "check", "deadly", "--timeout", "2")
    assert answer.returncode == 1
    assert text in answer.stdout


def test_a_plugin_that_takes_the_process_with_it_can_be_switched_off(site):
    site.install("deadly", "import os\nos._exit(9)")
    assert site.segcore("models").returncode == 9
    assert site.segcore("--no-plugin", "deadly", "models").returncode == 0
