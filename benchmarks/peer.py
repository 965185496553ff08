"""An environment of its own for PaddleSeg, so that it is never a dependency of segcore."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

SIDE = Path(__file__).with_name("paddleseg_side.py")

# PaddleSeg asks for an OpenCV that was built against NumPy 1.
REQUIREMENTS = ("paddleseg==2.8.0", "numpy<2", "setuptools<81")


@contextmanager
def peer_python(given):
    """Give the Python `given`, or that of a new environment with our Paddle, deleted afterwards."""
    if given is not None:
        yield given
        return
    with TemporaryDirectory(prefix="paddleseg-") as folder:
        print(f"installing {REQUIREMENTS[0]} into {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        paddle = f"paddlepaddle=={version('paddlepaddle')}"
        subprocess.run([python, "-m", "pip", "install", "-q", paddle, *REQUIREMENTS], check=True)
        yield str(python)


def versions(python):
    """Name the versions of both sides. Exits where the two would not run on one Paddle."""
    said = subprocess.run([python, SIDE, "versions"], check=True, capture_output=True, text=True)
    theirs = json.loads(said.stdout)
    ours = {name: version(name) for name in ("paddlepaddle", "segcore", "numpy")}
    ours["python"] = sys.version.split()[0]
    if ours["paddlepaddle"] != theirs["paddlepaddle"]:
        raise SystemExit(f"the two sides have different Paddles: {ours} and {theirs}")
    return {"segcore": ours, "paddleseg": theirs}


def environment(threads):
    """Give both sides the same number of threads, which Paddle takes from here only."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
