"""No module of segcore changes files on its own: all go through the seam."""

import ast
import re
from pathlib import Path

import pytest

import segcore

ROOT = Path(segcore.__file__).parent

# Modules that may change files themselves, each with its reason.
ALLOWED = {
    "checkpoint/files.py": "is the seam",
    "checkpoint/lock.py": "the lock lives in the kernel and must not depend on injected faults",
    "engine/logfile.py": "logging appends to train.log, which nothing depends on",
    "testing/faults.py": "builds what a power cut leaves, and hands operations through",
}

# Methods that change files whatever they are called on; `.replace` is told from str's by its one
# argument, and `.open` and `open` by their mode.
METHODS = {
    *("write_text", "write_bytes", "touch", "unlink", "rename", "rmdir", "symlink_to"),
    *("hardlink_to", "tofile", "imwrite", "savefig", "write_image"),
}
MODULES = {
    "os": {
        *("replace", "rename", "renames", "unlink", "remove", "removedirs", "rmdir"),
        *("truncate", "link", "symlink"),
    },
    "shutil": {"copy", "copy2", "copyfile", "copytree", "move", "rmtree", "unpack_archive"},
    "np": {"save", "savez", "savez_compressed", "savetxt", "memmap"},
    "tempfile": {"mkstemp", "NamedTemporaryFile", "TemporaryFile"},
    "logging": {"FileHandler"},
    "handlers": {"RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler"},
}

WRITING_FLAGS = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)")


def opens_for_writing(call: ast.Call, position: int) -> bool:
    """Say whether an open() call has a mode other than reading."""
    given = [k.value for k in call.keywords if k.arg == "mode"] + call.args[position : position + 1]
    if not given:
        return False
    if not isinstance(given[0], ast.Constant):
        # A computed mode needs a reason; a method's first argument need not be a mode at all.
        return position == 1
    return re.fullmatch("[rbtU|]*", str(given[0].value)) is None


def opens_file(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="open"):
            return opens_for_writing(call, 1)
        case ast.Attribute(value=ast.Name(id="os"), attr="open"):
            flags = ast.unparse(call.args[1])
            return "O_" not in flags or WRITING_FLAGS.search(flags) is not None
        case ast.Attribute(attr="open"):
            return opens_for_writing(call, 0)
    return False


def changes_files(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=module), attr=name) if name in MODULES.get(module, ()):
            return True
        case ast.Attribute(value=value, attr=name) if name == "replace" or name in METHODS:
            through_seam = ast.unparse(value).rpartition(".")[2].strip("_") in ("files", "DISK")
            is_of_path = name != "replace" or (len(call.args) == 1 and not call.keywords)
            return is_of_path and not through_seam
    return opens_file(call) and "os.devnull" not in ast.unparse(call)


def find_changes(source: str) -> list[str]:
    return [
        f"line {node.lineno}: {ast.unparse(node.func)}(...)"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and changes_files(node)
    ]


def test_only_the_seam_changes_files():
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in ALLOWED and (changes := find_changes(path.read_text("utf-8"))):
            found[name] = changes
    assert found == {}, "write through segcore.checkpoint.files (write_atomic, append, ...)"


def test_every_exception_is_still_needed():
    idle = [name for name in ALLOWED if not find_changes((ROOT / name).read_text("utf-8"))]
    assert idle == []


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "open(path, mode)",
        "path.open('x')",
        "path.write_text('')",
        "a.b.write_bytes(b'')",
        "os.replace(a, b)",
        "path.replace(other)",
        "os.open(path, flags)",
        "os.open(path, os.O_RDONLY | os.O_CREAT)",
        "shutil.rmtree(path)",
        "cv2.imwrite(path, image)",
        "np.save(path, array)",
        "logging.FileHandler(path)",
    ],
)
def test_the_scan_notices_a_write(line):
    assert find_changes(line)


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "open(path, 'rb')",
        "path.open()",
        "os.open(os.devnull, os.O_WRONLY)",
        "os.open(path, os.O_RDONLY | os.O_NONBLOCK)",
        "Image.open(data)",
        "text.replace('a', 'b')",
        "dataclasses.replace(found, a=1)",
        "self._files.unlink(path)",
        "files.replace(a, b)",
    ],
)
def test_the_scan_leaves_reading_alone(line):
    assert find_changes(line) == []
