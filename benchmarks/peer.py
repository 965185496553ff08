"""Environments of their own for those segcore is compared with, never dependencies of it."""

import json
import os
import signal
import statistics
import subprocess
import sys
from collections import deque
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import NamedTuple

HERE = Path(__file__).parent


class Peer(NamedTuple):
    """What segcore is compared with: its side, and what pip is to install, call by call."""

    name: str
    side: Path
    installs: tuple[tuple[str, ...], ...]


# PaddleSeg asks for an OpenCV that was built against NumPy 1.
PADDLESEG = Peer(
    "paddleseg",
    HERE / "paddleseg_side.py",
    (("paddleseg==2.8.0", "numpy<2", "setuptools<81"),),
)

# Among what PaddleDetection asks for is `sklearn`, which pip no longer installs.
PADDLEDET = Peer(
    "paddledet",
    HERE / "paddledet_side.py",
    (("-r", str(HERE / "paddledet_needs.txt")), ("--no-deps", "paddledet==2.6.0")),
)


@contextmanager
def peer_python(given, peer=PADDLESEG):
    """Give the Python `given`, or that of a new environment with our Paddle, deleted afterwards."""
    if given is not None:
        yield given
        return
    with TemporaryDirectory(prefix=f"{peer.name}-") as folder:
        print(f"installing {peer.name} into {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        first, *others = peer.installs
        paddle = f"paddlepaddle=={version('paddlepaddle')}"
        for words in ((paddle, *first), *others):
            subprocess.run([python, "-m", "pip", "install", "-q", *words], check=True)
        yield str(python)


def versions(python, peer=PADDLESEG):
    """Name the versions of both sides. Exits where the two would not run on one Paddle."""
    command = [python, peer.side, "versions"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    theirs = json.loads(said.stdout)
    ours = {name: version(name) for name in ("paddlepaddle", "segcore", "numpy")}
    ours["python"] = sys.version.split()[0]
    if ours["paddlepaddle"] != theirs["paddlepaddle"]:
        raise SystemExit(f"the two sides have different Paddles: {ours} and {theirs}")
    return {"segcore": ours, peer.name: theirs}


def print_versions(used):
    for side, names in used.items():
        print(f"{side}: " + ", ".join(f"{name} {number}" for name, number in names.items()))


def environment(threads):
    """Give both sides the same number of threads, which Paddle takes from here only."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}


def import_paddle(threads):
    """Import Paddle with so many threads, for this process and those it starts.

    As Ctrl-C does, a request to end then reaches the peer's process, and the folders; Paddle has a
    handler of its own for it, which would end this process alone.
    """
    from segcore.devices.framework import require_paddle

    os.environ.update(environment(threads))
    require_paddle()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def asking(command):
    """Run a peer's side; give a function that sends it a line and gives its answer.

    Sides print much else besides their answers.
    """
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):

        def ask(line):
            with suppress(BrokenPipeError):  # where it has ended, and said why
                print(line, file=process.stdin, flush=True)
            for said in process.stdout:
                if said.startswith('{"seconds"'):
                    return json.loads(said)
            errors.seek(0)
            why = "".join(deque(errors, 30))
            raise SystemExit(f"{' '.join(process.args)} ended with {process.wait()}:\n{why}")

        yield ask
        process.stdin.close()


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
