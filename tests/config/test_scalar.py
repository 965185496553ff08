import math

import pytest
import yaml

from segcore.config.load import parse_value
from segcore.config.scalar import render_scalar, resolve_plain
from segcore.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E3", 5000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-3", -3),
        ("+7", 7),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("on", "on"),
        ("No", "No"),
        ("yes", "yes"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("", None),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        ("e5", "e5"),
        ("\u0661", "\u0661"),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text, value):
    got = resolve_plain(text)
    assert got == value
    assert type(got) is type(value)


def test_a_number_of_many_digits_is_refused_before_it_costs_time():
    with pytest.raises(ConfigError, match="1000001 digits"):
        resolve_plain("1" * 1000001)


AWKWARD = [
    *("", " ", "a b", "no", "1e-4", "012", "null", "~", "- a", "a: b", "a #b", "#", "*a", "&a"),
    *("!x", "%", "@", "`", "'", '"', "\\", "\n", "\t", "\x1b[31m", "\x85", "\u2028", "\ufeff", "é"),
    *("😀", "{", "a,b", "]", "...", "---", "?", ": ", "<<", "true", ".5", "0x1", "=", "a:", "\x7f"),
    *(1e-05, 1e16, -0.0, 0.1, 2**70, -1, True, None, math.inf),
]


@pytest.mark.parametrize("value", AWKWARD, ids=repr)
def test_rendered_scalars_read_back_as_they_were(value):
    text = render_scalar(value)
    assert text.isprintable()
    for context in (text, f"[{text}, {text}]", f"{{k: {text}}}", f"k: {text}  # remark"):
        read = parse_value(context, "text")
        while isinstance(read, (dict, list)):
            read = read["k"] if isinstance(read, dict) else read[0]
        assert repr(read) == repr(value)


@pytest.mark.parametrize("value", [1e-05, 1e16, "no", "on", "y", 0.1, "text", 12, None, True])
def test_readers_of_yaml_1_1_understand_it_alike(value):
    assert yaml.safe_load(render_scalar(value)) == value
