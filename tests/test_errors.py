"""The drawing of the hierarchy in `segcore.errors` shows what is there."""

import re

from segcore import errors

# a branch of the drawing: what leads to the name, the name, and perhaps an exit code
BRANCH = re.compile(r"^ {4}([│├└─ ]*)([A-Z]\w+) +(\d+(?:/\d+)?)?", re.MULTILINE)


def drawn():
    """Give the base and the exit code, where one stands beside it, of each class drawn."""
    lines = [(len(lead) // 4, name, code) for lead, name, code in BRANCH.findall(errors.__doc__)]
    above = {}
    hierarchy = {}
    for depth, name, code in lines:
        above[depth] = name
        hierarchy[name] = (above.get(depth - 1, "Exception"), code)
    return hierarchy


def test_the_drawing_shows_every_class_below_its_base():
    bases = {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}
    assert {name: base for name, (base, _) in drawn().items()} == bases


def test_every_class_is_exported():
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    classes = {name for name in classes if issubclass(getattr(errors, name), Exception)}
    assert classes == set(errors.__all__)


def test_the_drawing_shows_the_exit_codes():
    codes = {name: code for name, (_, code) in drawn().items() if "/" not in code}
    shown = {name: str(getattr(errors, name).exit_code) for name, code in codes.items() if code}
    assert {name: code for name, code in codes.items() if code} == shown
    # a class without a number of its own has that of its base
    for name in (name for name, code in codes.items() if not code):
        assert "exit_code" not in vars(getattr(errors, name)), name


def test_an_interruption_ends_as_shells_count():
    assert [errors.Interrupted("stopped", signum).exit_code for signum in (2, 15)] == [130, 143]
