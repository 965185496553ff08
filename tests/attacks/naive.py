"""Load every payload with plain pickle, as `paddle.load` does, each in a process of its own.

Run as `python naive.py FOLDER`; leaves what happened in FOLDER/outcomes.json.
"""

from __future__ import annotations

import copyreg
import json
import os
import pickle
import resource
import sys
from pathlib import Path

import numpy as np  # noqa: F401 - warm, so that its import is not counted as memory of a payload
from payloads import ATTACKS

LIMIT_BYTES = 1 << 30
MAX_VISITS = 500_000


def virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def peak_bytes() -> int:
    # ru_maxrss would begin with the peak of the process that started this one
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def walk(value, visits=0):
    """Visit every value as `paddle.load` does after unpickling."""
    stack = [(value, 0)]
    while stack:
        value, depth = stack.pop()
        visits += 1
        if visits > MAX_VISITS or depth > 1000:
            return "endless"
        if isinstance(value, dict):
            stack.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend((inner, depth + 1) for inner in value)
    return "done"


def load(path: Path) -> dict:
    copyreg.add_extension("os", "mkdir", 1)
    ceiling = virtual_bytes() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    before = peak_bytes()
    try:
        with path.open("rb") as file:
            value = pickle.load(file, encoding="latin1")
        outcome = {"error": None, "walk": walk(value)}
    except BaseException as error:
        outcome = {"error": type(error).__name__, "detail": str(error)[:200]}
    return outcome | {"grown": peak_bytes() - before}


def in_a_child(path: Path, result: Path) -> dict:
    child = os.fork()
    if child == 0:
        try:
            result.write_text(json.dumps(load(path)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if not result.exists():
        return {"error": f"status {status}"}
    return json.loads(result.read_text())


def main(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    outcomes = {}
    for attack in ATTACKS:
        marker = folder / f"{attack.name}.marker"
        # `evil` is the module that some payloads make the victim import.
        (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
        path = folder / f"{attack.name}.pdparams"
        path.write_bytes(attack.build(str(marker)))
        outcome = in_a_child(path, folder / f"{attack.name}.json")
        outcomes[attack.name] = outcome | {"ran": marker.exists(), "size": path.stat().st_size}
    (folder / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(Path(sys.argv[1]))
