"""No module of the product changes files on its own: all go through the seam, by the guard."""

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import segcore

ROOT = Path(segcore.__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/segcore_*/**/*.py"))
PRODUCT = [*sorted((ROOT / "segcore").rglob("*.py")), *PLUGINS]

# Modules that may change files themselves, each with its reason.
ALLOWED = {
    "segcore/checkpoint/files.py": "is the seam",
    "segcore/checkpoint/lock.py": "the lock lives in the kernel and must not depend on injected "
    "faults",
    "segcore/discovery/check.py": "writes into a pipe to its parent",
    "segcore/engine/logfile.py": "logging appends to train.log, which nothing depends on",
    "segcore/export/paddle.py": "Paddle saves graphs itself, into the new folder of an export",
    "segcore/testing/faults.py": "builds what a power cut leaves, and hands operations through",
    "segcore/testing/site.py": "makes the throw-away folders that tests name",
}

# Modules that may write over files without a guard, since all that they touch is segcore's own.
OWN_GROUND = {
    "segcore/checkpoint/cache.py": "the cache is segcore's, and all in it may go at any time",
    "segcore/checkpoint/download.py": "writes into the cache, beside its target until it is whole",
    "segcore/checkpoint/archive.py": "a new folder, which the guard puts in place",
    "segcore/checkpoint/files.py": "is the seam",
    "segcore/checkpoint/ownership.py": "is the guard",
    "segcore/checkpoint/pretrained.py": "unpacks into the cache, which is segcore's",
    "segcore/checkpoint/store.py": "the only writer of a run's state, under the run lock",
    "segcore/checkpoint/weights.py": "encodes files of weights for tests and tools that name them",
    "segcore/checkpoint/unfinished.py": "writes and removes notes under temporary names",
    "segcore/cli/main.py": "makes the log of a defect under a name that nobody has",
    "segcore/cli/scaffold.py": "a new folder, which the guard puts in place",
    "segcore/data/convert/output.py": "asks the guard for each place, and flushes images together",
    "segcore/data/fix_target.py": "a new folder, or files of which it keeps the old ones",
    "segcore/data/inspection/result.py": "a new folder, which the guard puts in place",
    "segcore/data/replacement.py": "keeps every list that it replaces under the name of a backup",
    "segcore/data/view/sheet.py": "removes sheets that carry its own mark",
    "segcore/engine/history.py": "metrics.jsonl of a run, under the run lock",
    "segcore/engine/observers.py": "the table of a run, which a training asks the guard for",
    "segcore/engine/train.py": "files of a run, under the run lock, in a folder that held none",
    "segcore/export/paddle.py": "writes into the new folder of an export",
    "segcore/export/write.py": "a new folder, which the guard puts in place",
    "segcore/testing/parity.py": "an author's tolerances.json, which nothing else is in",
    "segcore/testing/site.py": "makes the throw-away folders that tests name",
}
SEAM_FUNCTIONS = {
    *("write_atomic", "replace_folder", "install_folder", "finish_replacement", "append"),
    "truncate",
}
SEAM_METHODS = {"open", "write_file", "replace", "unlink", "rmdir", "remove_tree"}

# Methods that change files whatever they are called on; `.replace` is told from str's by its one
# argument, and `.open` and `open` by their mode.
METHODS = {
    *("write_text", "write_bytes", "touch", "unlink", "rename", "rmdir", "symlink_to", "mkdir"),
    *("hardlink_to", "tofile", "imwrite", "savefig", "write_image", "extractall"),
}
MODULES = {
    "os": {
        *("replace", "rename", "renames", "unlink", "remove", "removedirs", "rmdir"),
        *("truncate", "link", "symlink", "mkdir", "makedirs", "mkfifo", "chmod"),
    },
    "shutil": {"copy", "copy2", "copyfile", "copytree", "move", "rmtree", "unpack_archive"},
    "jit": {"save"},
    "onnx": {"save", "export"},
    "cv2": {"imwrite", "imwritemulti", "VideoWriter", "FileStorage"},
    "np": {"save", "savez", "savez_compressed", "savetxt", "memmap"},
    "tempfile": {"mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory"},
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


def through_seam(value: ast.expr) -> bool:
    """Say whether `value` is an object of the seam, by its name."""
    return ast.unparse(value).rpartition(".")[2].strip("_") in ("files", "DISK", "quick")


def saves_picture(call: ast.Call) -> bool:
    """Say whether a call of `save` is Pillow's, on anything but a buffer in memory."""
    to_buffer = call.args and ast.unparse(call.args[0]) == "buffer"
    has_format = len(call.args) > 1 and ast.unparse(call.args[1]) in ("kind", "'PNG'", "'JPEG'")
    of_picture = "image" in ast.unparse(call.func).lower() or has_format
    return of_picture and not to_buffer


def changes_files(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=module), attr=name) if name in MODULES.get(module, ()):
            return True
        case ast.Attribute(value=ast.Attribute(attr=module), attr=name) if name in MODULES.get(
            module, ()
        ):
            return True
        case ast.Attribute(value=value, attr=name) if name == "replace" or name in METHODS:
            is_of_path = name != "replace" or (len(call.args) == 1 and not call.keywords)
            return is_of_path and not through_seam(value)
        case ast.Attribute(attr="save"):
            return saves_picture(call)
        case ast.Attribute(value=ast.Name(id="os"), attr="fdopen"):
            return opens_for_writing(call, 1)
    return opens_file(call) and "os.devnull" not in ast.unparse(call)


def writes_over(call: ast.Call) -> bool:
    """Say whether a call goes through the seam, but asks no guard."""
    match call.func:
        case ast.Name(id=name):
            return name in SEAM_FUNCTIONS
        case ast.Attribute(value=value, attr=name):
            is_module = isinstance(value, ast.Name) and value.id == "files"
            return (name in SEAM_METHODS and through_seam(value)) or (
                is_module and name in SEAM_FUNCTIONS
            )
    return False


@cache
def calls_in(source: str) -> list[ast.Call]:
    """List the calls, and with them the classes that others are made of."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            found.append(node)
        elif isinstance(node, ast.ClassDef):
            found += [ast.copy_location(ast.Call(base, [], []), base) for base in node.bases]
    return found


def find_calls(source: str, is_meant: Callable[[ast.Call], bool]) -> list[str]:
    return [
        f"line {call.lineno}: {ast.unparse(call.func)}(...)"
        for call in calls_in(source)
        if is_meant(call)
    ]


def find_changes(source: str) -> list[str]:
    return find_calls(source, changes_files)


def found_in_product(is_meant: Callable[[ast.Call], bool]) -> dict[str, list[str]]:
    found = {
        path.relative_to(ROOT).as_posix(): find_calls(path.read_text("utf-8"), is_meant)
        for path in PRODUCT
    }
    return {name: calls for name, calls in found.items() if calls}


def test_only_the_seam_changes_files():
    found = found_in_product(changes_files)
    others = {name: calls for name, calls in found.items() if name not in ALLOWED}
    assert others == {}, "write through segcore.checkpoint.files, by segcore.checkpoint.ownership"
    assert [name for name in ALLOWED if name not in found] == [], "no longer needed"


def test_what_users_named_is_written_by_the_guard_alone():
    found = found_in_product(writes_over)
    others = {name: calls for name, calls in found.items() if name not in OWN_GROUND}
    assert others == {}, "write with a Guard of segcore.checkpoint.ownership"
    assert [name for name in OWN_GROUND if name not in found] == [], "no longer needed"


def test_the_scan_covers_the_plugins():
    assert len(PLUGINS) > 20


@pytest.mark.parametrize(
    "line",
    [
        "write_atomic(path, data)",
        "replace_folder(a, b)",
        "append(path, data)",
        "self._files.remove_tree(path)",
        "DISK.unlink(path)",
        "files.replace(a, b)",
        "self._quick.write_file(path, data)",
    ],
)
def test_the_scan_notices_who_asks_no_guard(line):
    assert find_calls(line, writes_over)


@pytest.mark.parametrize(
    "line", ["guard.write_file(a, b)", "rows.append(1)", "text.replace('a', 'b')", "files.read(a)"]
)
def test_the_scan_leaves_those_alone_who_ask(line):
    assert find_calls(line, writes_over) == []


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
        "class Log(logging.FileHandler): ...",
        "path.mkdir(parents=True)",
        "os.makedirs(path)",
        "os.fdopen(descriptor, 'w')",
        "tempfile.mkdtemp()",
        "tempfile.TemporaryDirectory()",
        "paddle.jit.save(network, path)",
        "image.save(path)",
        "Image.fromarray(a).save('a.png')",
        "sheet.save(file, 'PNG')",
        "archive.extractall(folder)",
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
        "self._files.mkdir(path)",
        "image.save(buffer, kind)",
        "result.save(output)",
        "os.fdopen(descriptor, 'rb')",
    ],
)
def test_the_scan_leaves_reading_alone(line):
    assert find_changes(line) == []
