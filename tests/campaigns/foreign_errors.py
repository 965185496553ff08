"""Foreign exceptions from the libraries and the system below every reader, and what comes of them.

Commands run in this process on small real data, again and again. Each time one call that segcore
makes into a library or the system raises an exception that is none of segcore's, as damaged files,
odd disks and future versions do. The command must end with one of segcore's exit codes other than
70, which stands for a defect, and must not show a trace.

    python -m tests.campaigns.foreign_errors --count 500 [--command check] [--seed 0]

Negative control: the same exceptions from a function of segcore's own, which nobody expects.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import http.client
import io
import json
import os
import ssl
import struct
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from segcore.cli.main import run

from ..data.convert import conftest as drawing  # noqa: TID252 - tests are no installed package

OS_ERRORS = tuple(
    OSError(code, os.strerror(code))
    for code in (
        errno.EIO, errno.EACCES, errno.ENAMETOOLONG, errno.ESTALE, errno.EMFILE, errno.ENOMEM,
        errno.EINVAL, errno.ETIMEDOUT, errno.EOVERFLOW, errno.ENXIO,
    )
)  # fmt: skip
VALUES = (
    ValueError("odd"), TypeError("odd"), KeyError("odd"), IndexError("odd"), OverflowError("odd"),
    RecursionError("odd"), MemoryError("odd"), AttributeError("odd"), struct.error("odd"),
    UnicodeDecodeError("utf-8", b"a", 0, 1, "odd"), EOFError("odd"), RuntimeError("odd"),
    ZeroDivisionError("odd"), AssertionError("odd"), zlib.error("odd"), OSError("odd"),
    NotImplementedError("odd"),
)  # fmt: skip
WEB = (
    http.client.BadStatusLine("odd"), http.client.IncompleteRead(b""), http.client.LineTooLong("a"),
    ssl.SSLError("odd"), UnicodeError("odd"), ConnectionResetError("odd"), TimeoutError("odd"),
    ValueError("odd"), http.client.InvalidURL("odd"),
)  # fmt: skip

# whose frames may stand between segcore and what raises
_PASSING = (
    "pathlib", "os", "posixpath", "genericpath", "json", "yaml", "zipfile", "tarfile", "gzip",
    "contextlib", "shutil", "tempfile", "http", "urllib", "socket", "PIL", "io", "glob",
)  # fmt: skip


# what these read is part of segcore, not of anybody's data
_OWN_CONTENT = (
    "segcore.data.inspection.histogram", "segcore.data.view.font", "segcore.engine.trainer",
)  # fmt: skip


@dataclass(frozen=True)
class Seam:
    """A function of a library or the system that segcore calls: `owner.name`."""

    owner: Any
    name: str
    errors: Sequence[BaseException]

    def __str__(self) -> str:
        return f"{getattr(self.owner, '__name__', self.owner)}.{self.name}"


def seams() -> list[Seam]:
    """List what exceptions come from."""
    import base64
    from xml.parsers import expat

    import cv2
    import yaml
    from PIL import ImageFile, PngImagePlugin
    from pydantic import TypeAdapter  # noqa: F401 - imported before anything is patched

    picture = (*VALUES, cv2.error("odd"), SyntaxError("odd"))
    no_memory = cv2.error("no memory")
    no_memory.code = -4
    text = tuple(e for e in VALUES if not isinstance(e, OSError | zlib.error | struct.error))
    parser = (*text, yaml.YAMLError("odd"))
    return [
        *(Seam(os, name, OS_ERRORS) for name in ("stat", "open", "listdir", "scandir", "fstat")),
        *(Seam(os, name, OS_ERRORS) for name in ("write", "fsync", "mkdir", "replace", "rename")),
        Seam(json, "loads", text),
        Seam(yaml, "parse", parser),
        Seam(base64, "b64decode", text),
        Seam(expat, "ParserCreate", (MemoryError("odd"),)),
        Seam(zipfile, "ZipFile", (*VALUES, zipfile.BadZipFile("odd"))),
        Seam(cv2, "imdecode", picture),
        *(
            Seam(cv2, name, (MemoryError("odd"), no_memory))
            for name in ("imencode", "resize", "cvtColor", "LUT", "copyMakeBorder")
        ),
        Seam(ImageFile.ImageFile, "load", picture),
        Seam(PngImagePlugin.PngImageFile, "_open", picture),
        Seam(http.client.HTTPResponse, "begin", WEB),
        Seam(http.client.HTTPConnection, "connect", WEB),
    ]


class Injector:
    """Counts the calls of a seam from segcore, and raises at one of them."""

    def __init__(self, seam: Seam, at: int | None, error: BaseException | None) -> None:
        self.calls = 0
        self.place = ""
        self._seam, self._at, self._error = seam, at, error
        self._original = getattr(seam.owner, seam.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        place = _caller()
        if place is not None:
            self.calls += 1
            if self.calls == self._at and self._error is not None:
                self.place = place
                raise self._error
        return self._original(*args, **kwargs)

    @contextlib.contextmanager
    def active(self) -> Iterator[Injector]:
        """Stand in the place of the function."""
        injector = self
        stand_in: Any = self
        if isinstance(self._seam.owner, type):  # a method needs its object

            def stand_in(*args: Any, **kwargs: Any) -> Any:
                return injector(*args, **kwargs)

        with mock.patch.object(self._seam.owner, self._seam.name, stand_in):
            yield self


def _caller() -> str | None:
    """Name the function of segcore that the call comes from, through libraries at most."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module in _OWN_CONTENT:
            return None
        if module.startswith("segcore"):
            return f"{module}.{frame.f_code.co_name}"
        if module != __name__ and module.partition(".")[0] not in _PASSING:
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return None


# -- commands -----------------------------------------------------------------------------------

SQUARE = [[5, 5], [25, 5], [25, 25], [5, 25]]


def make_data(root: Path) -> None:
    """Make a small dataset of every format, a configuration, and a run."""
    for name in ("seg/images/a.png", "seg/images/b.png", "voc/JPEGImages/a.png",
                 "labelme/a.png", "cvat/images/a.png", "sly/d/img/a.png"):  # fmt: skip
        drawing.write(root / name, drawing.encode(drawing.photo(zlib.crc32(name.encode()))))
    jpeg = drawing.encode(drawing.photo(5), "JPEG")
    drawing.write(root / "seg/images/c.jpg", jpeg)
    label = np.zeros(drawing.SIZE[::-1], np.uint8)
    label[5:20, 5:20] = 1
    for name in ("seg/annotations/a.png", "seg/annotations/b.png", "seg/annotations/c.png",
                 "voc/SegmentationClass/a.png"):  # fmt: skip
        drawing.write(root / name, drawing.encode(label))
    drawing.write(
        root / "seg/train.txt", "images/a.png annotations/a.png\nimages/c.jpg annotations/c.png\n"
    )
    drawing.write(root / "seg/val.txt", "images/b.png annotations/b.png\n")
    drawing.write(root / "seg/labels.txt", "ground\ncoin\n")
    mask = drawing.mask_shape("m", np.ones((4, 5), bool), 3, 3)
    shapes = [drawing.shape("x", "polygon", SQUARE), mask]
    drawing.write(root / "labelme/a.json", drawing.labelme(shapes, "a.png"))
    record = {"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
    for split, number in (("train", 1), ("val", 2)):
        image = {"id": number, "file_name": f"{split}.png", "width": 48, "height": 40}
        found = {"id": 1, **record, "image_id": number, "segmentation": [[5, 5, 25, 5, 25, 25]]}
        content = {
            "images": [image],
            "categories": [{"id": 1, "name": "x"}],
            "annotations": [found],
        }
        drawing.write(root / f"coco/images/{split}.png", drawing.encode(drawing.photo(number)))
        drawing.write(root / f"coco/annotations/instance_{split}.json", content)
    drawing.write(root / "cvat/annotations.xml", CVAT)
    figure = {"classTitle": "cat", **drawing.bitmap(np.ones((5, 6), bool), 3, 4)}
    size = {"width": 48, "height": 40}
    drawing.write(root / "sly/d/ann/a.png.json", {"size": size, "objects": [figure]})
    drawing.write(root / "sly/meta.json", {"classes": [{"title": "cat", "color": "#ff0000"}]})
    drawing.write(root / "config.yaml", CONFIG)


CVAT = """<?xml version='1.0'?><annotations><meta><task><labels><label><name>cat</name>
<color>#ff0000</color></label></labels></task></meta><image id='0' name='a.png' width='48'
height='40'><polygon label='cat' points='1,1;9,1;9,9' z_order='0'/></image></annotations>"""
CONFIG = """model: {name: FastSCNN}
data: {num_classes: 2}
train:
  iters: 1
  batch_size: 2
  crop_size: [32, 32]
  num_workers: 0
  transforms: [{type: RandomPaddingCrop}, {type: Normalize}]
"""

# IN stands for the folder of the data, OUT for one that is made anew for each run
COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("data", "check", "IN/seg", "--output", "OUT/c", "--workers", "1"),
    "check-coco": ("data", "check", "IN/coco", "--output", "OUT/c", "--workers", "1"),
    "labelme": ("data", "convert", "IN/labelme", "--output", "OUT/d"),
    "cvat": ("data", "convert", "IN/cvat", "--output", "OUT/d"),
    "coco": ("data", "convert", "IN/coco", "--output", "OUT/d", "--to", "SegDataset"),
    "voc": ("data", "convert", "IN/voc", "--output", "OUT/d"),
    "supervisely": ("data", "convert", "IN/sly", "--output", "OUT/d"),
    "split": ("data", "split", "IN/seg", "--dry-run"),
    "split-coco": ("data", "split", "IN/coco", "--dry-run"),
    "fix": ("data", "fix", "IN/seg", "--output", "OUT/d"),
    "stats": ("data", "stats", "IN/seg", "--workers", "1"),
    "view": ("data", "view", "IN/seg", "--output", "OUT/v"),
    "config": ("config", "check", "IN/config.yaml"),
    "train": (
        "train", "-c", "IN/config.yaml", "--data", "IN/seg", "--output", "OUT/r",
        "--device", "cpu",
    ),
    "eval": (
        "eval", "IN/run", "--data", "IN/seg", "--output", "OUT/e", "--workers", "0",
        "--device", "cpu",
    ),
    "predict": ("predict", "IN/run", "IN/seg/images", "--output", "OUT/p", "--device", "cpu"),
    "predict-eager": (
        "predict", "IN/run", "IN/seg/images/a.png", "--output", "OUT/p", "--runtime", "eager",
        "--device", "cpu",
    ),
    "predict-url": ("predict", "IN/run", "URL/a.jpg", "--output", "OUT/p", "--device", "cpu"),
    "export": ("export", "IN/run", "--output", "OUT/x"),
}  # fmt: skip
LIGHT = tuple(name for name in COMMANDS if COMMANDS[name][0] in ("data", "config"))


@dataclass
class Outcome:
    """How a command ended, and what it said."""

    code: int
    said: str
    output: Path


def call(name: str, root: Path, url: str = "http://127.0.0.1:9") -> Outcome:
    """Run a command of `COMMANDS` in this process."""
    output = Path(tempfile.mkdtemp(dir=root))
    places = {"IN": str(root), "OUT": str(output), "URL": url}
    arguments = [
        "/".join((places.get(part.partition("/")[0], part.partition("/")[0]), *part.split("/")[1:]))
        for part in COMMANDS[name]
    ]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run(arguments)
    return Outcome(code, said.getvalue(), output)


@dataclass(frozen=True)
class Case:
    """One exception at one call of one command."""

    command: str
    seam: Seam
    at: int
    error: BaseException


def count_calls(command: str, root: Path, url: str) -> dict[Seam, int]:
    """Count how often a command calls each seam."""
    with contextlib.ExitStack() as stack:
        injectors = {
            seam: stack.enter_context(Injector(seam, None, None).active()) for seam in seams()
        }
        outcome = call(command, root, url)
    if outcome.code not in (0, 1):
        raise RuntimeError(f"{command} fails by itself: {outcome.code}\n{outcome.said}")
    return {seam: injector.calls for seam, injector in injectors.items()}


def choose(calls: dict[str, dict[Seam, int]], count: int, seed: int) -> Iterator[Case]:
    """Choose cases, each seam that is called at all as often as any other."""
    rng = np.random.default_rng(seed)
    pairs = [(c, s) for c, found in calls.items() for s, number in found.items() if number]
    for number in range(count):
        command, seam = (
            pairs[number % len(pairs)]
            if number < len(pairs)
            else pairs[int(rng.integers(len(pairs)))]
        )
        at = 1 + int(rng.integers(calls[command][seam]))
        yield Case(command, seam, at, seam.errors[int(rng.integers(len(seam.errors)))])


def inject(case: Case, root: Path, url: str) -> tuple[str, str]:
    """Run a case; give where it struck, and what is wrong with how the command ended."""
    # a failing `mkdtemp` would be the test's own
    with Injector(case.seam, case.at, case.error).active() as injector:
        try:
            outcome = call(case.command, root, url)
        except BaseException as error:  # nothing may leave `run`
            return injector.place, f"{type(error).__name__} left the command line"
    if outcome.code == 70 or "Traceback" in outcome.said:
        return injector.place, f"exit {outcome.code}: {outcome.said.strip().splitlines()[-2:]}"
    return injector.place, ""


def train_model(root: Path) -> None:
    """Train the run that predictions are made with."""
    outcome = call("train", root)
    if outcome.code != 0:
        raise RuntimeError(outcome.said)
    (outcome.output / "r").rename(root / "run")


def campaign(
    commands: Sequence[str], count: int, seed: int, root: Path, url: str
) -> tuple[int, Counter[tuple[str, ...]]]:
    """Run `count` cases; give how many struck, and the faults with how often each was seen."""
    calls = {command: count_calls(command, root, url) for command in commands}
    struck, faults = 0, Counter[tuple[str, ...]]()
    for case in choose(calls, count, seed):
        place, fault = inject(case, root, url)
        struck += bool(place)
        if fault:
            faults[case.command, str(case.seam), type(case.error).__name__, place, fault] += 1
    return struck, faults


def control(root: Path) -> int:
    """Count the exceptions of a function that no reader guards; each must be noticed."""
    from segcore.data import listfile

    caught = 0
    for error in VALUES:
        if isinstance(error, MemoryError):
            continue  # which is the user's machine, wherever it comes from
        with mock.patch.object(listfile, "_split", side_effect=error):
            outcome = call("check", root)
        caught += outcome.code == 70
    return caught


@contextlib.contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serve an image over http; gives the address."""
    from ..webserver import WebServer, page  # noqa: TID252 - tests are no installed package

    with WebServer() as server:
        server.pages["/a.jpg"] = page((root / "seg/images/c.jpg").read_bytes())
        yield server.address


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--command", choices=COMMANDS, action="append")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    commands: Sequence[str] = options.command or tuple(COMMANDS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_data(root)
        if set(commands) - set(LIGHT):
            train_model(root)
        with serving(root) as url:
            struck, faults = campaign(commands, options.count, options.seed, root, url)
        unguarded = control(root)
    for fault, times in sorted(faults.items()):
        print(f"{times} x", *fault)
    expected = sum(not isinstance(error, MemoryError) for error in VALUES)
    print(
        f"{options.count} foreign exceptions, {struck} of them raised in {len(commands)} commands: "
        f"{sum(faults.values())} ended in a defect; negative control: {unguarded} of {expected} "
        "noticed"
    )
    return int(bool(faults) or unguarded != expected)


if __name__ == "__main__":
    sys.exit(main())
