"""What holds for all sources together: exports, directions, and whose machine it was."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import segcore
from segcore import plugin

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "segcore").rglob("*.py"))
PLUGINS = sorted(ROOT.glob("plugins/*/segcore_*/**/*.py"))
TEXTS = {".py", ".md", ".toml", ".sh", ".yaml", ".yml", ".json", ".txt", ".cfg", ""}
PUBLIC_TO_PLUGINS = {
    "plugin",
    "nn",
    "tasks",
    "testing",
    "trainable",
    "errors",
    "specs",
    "protocols",
}


@cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path):
    return str(path.relative_to(ROOT))


def bound(tree):
    """The names that a module binds at its top, also below `if TYPE_CHECKING`."""
    names = set()
    blocks = [tree.body]
    for node in (node for body in blocks for node in body):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.If):
            blocks += [node.body, node.orelse]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def exports(tree):
    """The names in `__all__`; none without it."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def imports(path):
    """The modules that a module imports, wherever in it."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_modules_have_what_they_export():
    for path in [*CORE, *PLUGINS]:
        assert exports(parse(path)) <= bound(parse(path)), name_of(path)


@pytest.mark.parametrize("module", [segcore, plugin], ids=lambda module: module.__name__)
def test_the_public_modules_export_what_they_take_from_others(module):
    taken = {name for name in imports(Path(module.__file__)) if name.startswith("segcore.")}
    assert {name.rpartition(".")[2] for name in taken} <= set(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_a_plugin_imports_only_what_is_public_and_no_other_plugin(path):
    own = path.relative_to(ROOT / "plugins").parts[1]
    for module in imports(path):
        package, _, rest = module.partition(".")
        assert package == own or not package.startswith("segcore_"), module
        if package == "segcore":
            assert rest.partition(".")[0] in PUBLIC_TO_PLUGINS | set(segcore.__all__), module


def test_one_module_talks_to_the_web():
    clients = ("urllib.request", "http.client", "requests", "httpx", "aiohttp", "urllib3")
    found = {
        name_of(path)
        for path in [*CORE, *PLUGINS]
        for module in imports(path)
        if module.startswith(clients)
    }
    assert found == {"segcore/checkpoint/web.py"}


def test_no_file_names_a_path_on_somebodys_machine():
    # /home/me stands for anybody's
    pattern = re.compile(r"(?<![\w.~}])/(?:work|opt|root|home|mnt|Users)/(?!me\b)[\w.]")
    folders = ("segcore", "plugins", "tests", "docs", "benchmarks", "changelog", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.name[0] != "." or path.suffix]
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in files
        if path.is_file() and path.suffix in TEXTS and "__pycache__" not in path.parts
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
