"""What users and strangers name is looked at by `segcore.filesystem` alone, which has an answer.

`pathlib` and `os` raise OSError, ValueError or RuntimeError for names that are too long, hold a NUL
or lead in a circle, and for folders that nobody may enter; `os.walk` leaves those out in silence.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

import segcore

ROOT = Path(segcore.__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/segcore_*/**/*.py"))
PRODUCT = [*sorted((ROOT / "segcore").rglob("*.py")), *PLUGINS]

# Modules that may ask the system themselves, each with its reason.
ALLOWED = {
    "segcore/filesystem.py": "is what asks for the others",
    "segcore/data/paths.py": "follows the names of lists, which are many, and tells each fault",
    "segcore/checkpoint/archive.py": "looks at the new folder that it unpacks into",
    "segcore/checkpoint/cache.py": "looks at the cache, whose names are segcore's",
    "segcore/checkpoint/files.py": "is the seam; OSError is what it raises",
    "segcore/checkpoint/lock.py": "looks at the lock of a run; OSError is what its callers expect",
    "segcore/checkpoint/manifest.py": "raises OSError, from which readers tell damage of a run",
    "segcore/checkpoint/ownership.py": "takes a link for itself, and says what is wrong with it",
    "segcore/checkpoint/process.py": "asks the kernel for processes, in /proc",
    "segcore/checkpoint/store.py": "looks at a run; OSError becomes StorageError or damage",
    "segcore/cli/scaffold.py": "reads segcore's own templates",
    "segcore/devices/framework.py": "asks the kernel for a quota, in /sys, and for a home",
    "segcore/discovery/find.py": "looks at the folders that Python imports from",
    "segcore/discovery/first_party.py": "reads a table of segcore's own",
    "segcore/tasks/memory.py": "asks the kernel for memory, in /proc and /sys",
    "segcore/testing/parity.py": "reads references that a test names",
}

METHODS = {
    *("exists", "is_dir", "is_file", "is_symlink", "is_mount", "is_fifo", "is_socket"),
    *("is_block_device", "is_char_device", "stat", "lstat", "samefile"),
    *("resolve", "readlink", "expanduser", "iterdir", "glob", "rglob", "walk"),
    *("read_text", "read_bytes"),
}
FUNCTIONS = {
    "os": {"stat", "lstat", "readlink", "listdir", "scandir", "walk", "fwalk"},
    # the others of os.path only ever say no
    "os.path": {"realpath", "samefile", "getsize", "getmtime", "getctime", "getatime"},
    "glob": {"glob", "iglob"},
}


def asks_system(call: ast.Call) -> bool:
    """Say whether a call looks at a path, other than of a file in a package."""
    if not isinstance(call.func, ast.Attribute):
        return False
    owner, name = ast.unparse(call.func.value), call.func.attr
    if owner in ("os", "os.path", "glob"):
        return name in FUNCTIONS[owner]
    return name in METHODS and not owner.startswith(("files(", "ast", "self._files"))


@cache
def find_looks(source: str) -> list[str]:
    return [
        f"line {node.lineno}: {ast.unparse(node.func)}(...)"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and asks_system(node)
    ]


def test_only_few_modules_ask_the_system():
    looks = {
        path.relative_to(ROOT).as_posix(): find_looks(path.read_text("utf-8")) for path in PRODUCT
    }
    found = {name: calls for name, calls in looks.items() if calls}
    others = {name: calls for name, calls in found.items() if name not in ALLOWED}
    assert others == {}, "ask segcore.filesystem"
    assert [name for name in ALLOWED if name not in found] == [], "no longer needed"
    assert len(PLUGINS) > 20


@pytest.mark.parametrize(
    "line",
    [
        "path.exists()",
        "(folder / name).is_file()",
        "Path(text).resolve()",
        "sorted(folder.iterdir())",
        "folder.rglob('*')",
        "path.stat().st_size",
        "path.read_bytes()",
        "os.stat(path)",
        "os.listdir(folder)",
        "os.walk(folder)",
        "os.path.realpath(path)",
        "glob.glob('*.png')",
    ],
)
def test_the_scan_notices_a_look(line):
    assert find_looks(line)


@pytest.mark.parametrize(
    "line",
    [
        "exists(path)",
        "is_file(folder / name)",
        "list_names(folder)",
        "os.path.lexists(path)",
        "os.path.join(a, b)",
        "files(package).joinpath(path).read_text('utf-8')",
        "ast.walk(tree)",
        "self._files.listdir(folder)",
    ],
)
def test_the_scan_leaves_those_alone_who_ask_for_it(line):
    assert find_looks(line) == []
