"""No function stands twice: what two modules need, one of them offers to the other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["segcore", "plugins/*/segcore_*"]
LONG_LINES = 6


class LocalNames(ast.NodeTransformer):
    """Number the arguments and variables of a function, so that a renamed copy is a copy."""

    def __init__(self, function):
        names = [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]
        names += [
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        self.numbers = {name: f"local_{n}" for n, name in enumerate(dict.fromkeys(names))}

    def visit_Name(self, node):
        return ast.Name(self.numbers.get(node.id, node.id), node.ctx)


def body_of(function):
    """Give the statements without the docstring."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def long_bodies(source):
    """Give (line, name, body) of every function whose body has `LONG_LINES` lines or more."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = body_of(function)
        if body and body[-1].end_lineno - body[0].lineno + 1 >= LONG_LINES:
            rename = LocalNames(function)
            yield function.lineno, function.name, "\n".join(map(ast.dump, map(rename.visit, body)))


def find_copies(sources):
    """Give the places of every body that stands more than once in `sources`, by file name."""
    places = {}
    for file, source in sources.items():
        for line, name, body in long_bodies(source):
            places.setdefault(body, []).append(f"{file}:{line} {name}")
    return sorted(found for found in places.values() if len(found) > 1)


def test_no_long_function_body_stands_twice():
    files = [
        file for folder in FOLDERS for root in ROOT.glob(folder) for file in root.rglob("*.py")
    ]
    sources = {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files}
    assert {"segcore", "plugins"} == {name.partition("/")[0] for name in sources}
    assert find_copies(sources) == [], "move it to where both can import it, such as segcore.nn"


FUNCTION = '''
def scale(x, factor):
    """Scale."""
    y = x * factor
    for _ in range(3):
        y = y + 1
    if y > 2:
        return y
    return -y
'''


def test_a_copy_in_another_file_is_found():
    assert find_copies({"a.py": FUNCTION, "b.py": FUNCTION}) == [["a.py:2 scale", "b.py:2 scale"]]


def test_a_copy_with_other_names_and_another_docstring_is_found():
    copy = FUNCTION.replace("scale", "grow").replace("y", "result").replace("Scale", "Enlarge")
    assert len(find_copies({"a.py": FUNCTION, "b.py": copy})) == 1


@pytest.mark.parametrize("change", [("+ 1", "+ 2"), ("range", "reversed"), ("-y", "y")])
def test_a_function_that_does_something_else_is_no_copy(change):
    assert find_copies({"a.py": FUNCTION, "b.py": FUNCTION.replace(*change)}) == []


def test_short_bodies_may_be_alike():
    short = "def area(self):\n    return self.width * self.height\n"
    assert find_copies({"a.py": short, "b.py": short}) == []
