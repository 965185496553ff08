import os

import pytest
import yaml

from segcore.config import load
from segcore.config.load import parse_document, parse_value, read_document, read_yaml
from segcore.errors import ConfigError


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def parser(request, monkeypatch):
    """Run a test with libyaml's parser and with the pure one."""
    monkeypatch.setattr(load, "_LOADER", getattr(yaml, request.param))


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "c.yaml")
    return str(caught.value)


def test_every_key_has_its_line(parser):
    text = "train:\n  iters: 5\n\n  losses:\n    - type: A\n      x: [1,\n        2]\n"
    document = parse_document(text, "c.yaml")
    assert document.data == {"train": {"iters": 5, "losses": [{"type": "A", "x": [1, 2]}]}}
    lines = {".".join(map(str, path)): line for path, line in document.lines.items()}
    assert lines["train"] == 1
    assert lines["train.iters"] == 2
    assert lines["train.losses"] == 4
    assert lines["train.losses.0.x"] == 6
    assert lines["train.losses.0.x.1"] == 7


def test_quoted_and_tagged_text_stays_text(parser):
    data = parse_document("a: '012'\nb: !!str 012\nc: ! 012\nd: |\n  5\n", "c").data
    assert data == {"a": "012", "b": "012", "c": "012", "d": "5\n"}


def test_aliases_are_copies(parser):
    data = parse_document("a: &x {k: [1]}\nb: *x\n", "c").data
    assert data["b"] == data["a"]
    assert data["b"]["k"] is not data["a"]["k"]


def test_keys_are_duplicates_also_when_one_is_quoted(parser):
    assert "line 1 already, and again in line 2" in refusal("255: 1\n'255': 2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!int x", "not what its tag !!int says"),
        ("a: !custom x", "tag !custom is refused"),
        ("a: !!set {x}", "tag !!set is refused"),
        ("<<: {a: 1}", "merge keys"),
        ("[1]: 2", "a list or mapping cannot be a key"),
        ("true: 2", "'true' cannot be a key"),
        ("1.5: 2", "'1.5' cannot be a key"),
        ("a: *b", "no anchor &b"),
        ("a: @b", "into quotes"),
        ("a: [1", "cannot be understood"),
        ("a: b: c", "cannot be understood"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(parser, text, said):
    message = refusal("x: 1\n" + text)
    assert said in message
    assert message.startswith(("c.yaml:2: ", "c.yaml:3: "))


def test_a_value_of_an_option_is_yaml(parser):
    assert parse_value("[1, {a: no}]", "-o") == [1, {"a": "no"}]


def test_a_byte_order_mark_and_windows_line_ends_are_understood(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes("a: é\r\nb: 2\r\n".encode("utf-8-sig"))
    document = read_document(path)
    assert document.data == {"a": "é", "b": 2}
    assert document.lines[("b",)] == 2


def test_a_fifo_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_yaml(tmp_path / "pipe")


def test_a_folder_and_a_missing_file_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"not a regular file|is a folder"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "no.yaml")


def test_a_file_that_is_too_large_is_refused_unparsed(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: " + b"x" * load.MAX_BYTES)
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        read_yaml(path)
