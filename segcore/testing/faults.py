"""Fault injection for whatever writes through `segcore.checkpoint.files.Files`.

Hand one of these to the code under test in place of `DISK`: `KillAt` kills the process before or
after its n-th change of the disk, `FailAt` makes the n-th operation fail, `Recorder` writes down
what happens, so that `after_power_loss` can say what a power cut at any point leaves on the disk.
Since 0.1.

    count = Recorder(tmp_path); save(files=count)
    for n in range(1, len(count.record) + 1):
        assert run_forked(lambda: save(files=KillAt(n))) == -signal.SIGKILL
        assert the_folder_is_sound()
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any, Literal

from segcore.checkpoint.files import Files

__all__ = [
    "CHANGES",
    "OPERATIONS",
    "FailAt",
    "Intercepted",
    "KillAt",
    "Operation",
    "Recorder",
    "after_power_loss",
    "run_forked",
]

CHANGES = ("open", "write", "fsync", "sync", "replace", "unlink", "mkdir", "rmdir")
OPERATIONS = (*CHANGES, "listdir", "read")


class Intercepted(Files):
    """Pass each operation through `around`; `count` is how many there were so far."""

    def __init__(self) -> None:
        self.count = 0

    def around(self, name: str, _args: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        """Do what should happen in place of `call`, which does the operation `name` on `_args`."""
        raise NotImplementedError


def _intercept(name: str) -> Callable[..., Any]:
    original = getattr(Files, name)

    @wraps(original)
    def method(self: Intercepted, *args: Any) -> Any:
        return self.around(name, args, partial(original, self, *args))

    return method


for _name in OPERATIONS:
    setattr(Intercepted, _name, _intercept(_name))


class KillAt(Intercepted):
    """Kill this process with SIGKILL just before or after its `n`-th change of the disk."""

    def __init__(self, n: int, when: Literal["before", "after"] = "before") -> None:
        super().__init__()
        self.n = n
        self.when = when

    def around(self, name: str, _args: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        if name not in CHANGES:
            return call()
        self.count += 1
        if self.count != self.n:
            return call()
        if self.when == "after":
            call()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process outlived SIGKILL")


class FailAt(Intercepted):
    """Make the `n`-th operation fail with `error`, and with `lasting` every change after it.

    With `error=None` the operation writes only half of its data if it is a write, as the system
    may do at any time, and succeeds otherwise.
    """

    def __init__(self, n: int, error: int | None, *, lasting: bool = False) -> None:
        super().__init__()
        self.n = n
        self.error = error
        self.lasting = lasting
        self.struck: str | None = None

    def around(self, name: str, _args: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        self.count += 1
        again = self.lasting and self.count > self.n and name in CHANGES
        if self.count != self.n and not again:
            return call()
        self.struck = self.struck or name
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        if name == "write" and len(_args[1]) > 1:
            return Files.write(self, _args[0], _args[1][: len(_args[1]) // 2])
        return call()


@dataclass(frozen=True)
class Operation:
    """One change of the disk, with paths relative to the root; `name` may also be "mark"."""

    name: str
    paths: tuple[str, ...] = ()
    data: bytes = b""


class Recorder(Intercepted):
    """Carry operations out and write the changes below `root`, empty at first, into `record`."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.record: list[Operation] = []
        self._open: dict[int, str] = {}

    def mark(self, text: str) -> None:
        """Note that something was promised at this point, such as "saved 3"."""
        self.record.append(Operation("mark", (text,)))

    def around(self, name: str, _args: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        result = call()
        if name not in CHANGES:
            return result
        self.count += 1
        if name in ("write", "fsync"):
            written = bytes(_args[1][:result]) if name == "write" else b""
            self.record.append(Operation(name, (self._open[_args[0]],), written))
            return result
        paths = tuple(str(a.relative_to(self.root)) for a in _args if isinstance(a, Path))
        if name == "open":
            self._open[result] = paths[0]
        self.record.append(Operation(name, paths))
        return result


@dataclass
class _File:
    data: bytes = b""
    durable: bytes = b""


@dataclass
class _Folder:
    now: dict[str, _File | _Folder] = field(default_factory=dict)
    durable: dict[str, _File | _Folder] = field(default_factory=dict)


def after_power_loss(
    record: list[Operation], target: Path, *, keep_names: bool = False, keep_data: bool = False
) -> None:
    """Build in the new folder `target` what a power cut after `record` leaves on the disk.

    Data that was not flushed and names whose folder was not flushed are lost; with `keep_names`
    or `keep_data` these happened to reach the disk all the same.
    """
    root = _Folder()
    for operation in record:
        if operation.name != "mark":
            _apply(root, operation)
    _write_out(root, target, keep_names=keep_names, keep_data=keep_data)


def _look_up(root: _Folder, path: str) -> _File | _Folder:
    node: _File | _Folder = root
    for name in Path(path).parts:
        assert isinstance(node, _Folder)  # noqa: S101 - the record was carried out for real
        node = node.now[name]
    return node


def _apply(root: _Folder, operation: Operation) -> None:
    path = Path(operation.paths[0])
    if operation.name in ("write", "fsync", "sync"):
        node = _look_up(root, operation.paths[0])
        if isinstance(node, _Folder):
            node.durable = dict(node.now)
        elif operation.name == "write":
            node.data += operation.data
        else:
            node.durable = node.data
        return
    parent = _look_up(root, str(path.parent))
    assert isinstance(parent, _Folder)  # noqa: S101
    if operation.name == "open":
        parent.now.setdefault(path.name, _File())
    elif operation.name == "mkdir":
        parent.now[path.name] = _Folder()
    elif operation.name in ("unlink", "rmdir"):
        del parent.now[path.name]
    else:
        target = Path(operation.paths[1])
        into = _look_up(root, str(target.parent))
        assert isinstance(into, _Folder)  # noqa: S101
        into.now[target.name] = parent.now.pop(path.name)


def _write_out(folder: _Folder, target: Path, *, keep_names: bool, keep_data: bool) -> None:
    target.mkdir()
    for name, node in (folder.now if keep_names else folder.durable).items():
        if isinstance(node, _Folder):
            _write_out(node, target / name, keep_names=keep_names, keep_data=keep_data)
        else:
            (target / name).write_bytes(node.data if keep_data else node.durable)


def run_forked(action: Callable[[], object]) -> int:
    """Run `action` in a forked child and give its exit code, or minus the signal that killed it.

    Forking from a warm parent costs milliseconds; the parent must have no other threads. A child
    that raises prints its traceback and gives 1.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's frames
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
