"""Every command that writes, on small real data, and what must hold however one was ended.

Programs of users that train, predict and export through segcore's classes are tried as well. A
`Bench` holds a folder with all that the commands read, and what each writes when nobody disturbs
it. `faults_after` judges a disturbed one: under a final name stands what was there or what belongs
there, nobody's file is lost, and the same command, given again, succeeds and leaves nothing over.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from segcore.checkpoint import pdparams
from segcore.testing.faults import run_forked
from segcore.testing.site import Site
from tests import toy, toy_instance
from tests.campaigns import conversions
from tests.webserver import CERTIFICATE, late, packed, page, secure_server

LEFTOVER = re.compile(r"\.(tmp|trash|new|old|planned)-|.*\.(new|old)$|\.list-replacement\.json$")
BACKUP = re.compile(r".*\.bak(\.\d+)?(/|$)")
# kept to go on from, to wait on, or by design as long as nobody deletes them
# what a training rewrites as it goes on, so that any of its states is whole
STATE = re.compile(r".*(best_model|checkpoints)/")
# these hang on the clock, or on how often the training was stopped
CLOCK = re.compile(r".*(state\.json|MANIFEST\.json|\.pdstates|metrics\.jsonl|\.log|_result\.json)$")
BY_DESIGN = re.compile(r".*(\.part|\.part\.json|\.lock|\.bak(\.\d+)?)$")
# named after the times of the files that were looked at
CACHED = re.compile(r"cache/(checked/|contents/|$)")
HALF_FETCHED = re.compile(r".*\.part(\.json)?$")

SMALL = (
    *("-o", "train.crop_size=[32, 32]", "-o", "train.batch_size=2", "-o", "train.num_workers=0"),
    *("-o", "train.eval_interval=1", "-o", "train.log_interval=1", "--device", "cpu"),
)
MAP = ("--label-map", "3=2")
TRAIN = ("train", "Toy", "--data", "shapes", "--output", "new run", "--iters", "2", *SMALL)
STOPPED = (
    *(*TRAIN[:4], "--output", "stopped run", "--iters", "3", *SMALL),
    *("-o", "train.observers=[{type: Signalling}]"),
)
FETCHING = ("train", "Backed", *TRAIN[2:4], "--output", "fetched run", "--weights", "IMAGENET")
FETCHING += ("--iters", "1", *SMALL)
BOXES = ("train", "Toy-Boxes", "--data", "objects", "--output", "new boxes", "--iters", "2")
BOXES += tuple(text for setting in toy_instance.SETTINGS for text in ("-o", setting))
BOXES += (*SMALL[2:],)  # without a crop, which instances do not have

CONVERSIONS = (
    *(("COCO", "SegDataset"), ("CVAT", "VOC"), ("LabelMe", "SegDataset"), ("Supervisely", "COCO")),
    *(("VOC", "SegDataset"), ("Cityscapes", "VOC"), ("ADE20K", "SegDataset")),
)

TRAINS = """
import sys
from pathlib import Path

from segcore.errors import Interrupted
from segcore.trainable import SemanticModel

run = Path("own run")
model = SemanticModel("Toy", 5, {"train.crop_size": [32, 32], "train.num_workers": 0})
model.device = "cpu"
try:
    model.train(
        2, "shapes", 4, "shapes", save_dir=run, resume_checkpoint=run if run.exists() else None
    )
except Interrupted as stop:
    print(f"segcore: {stop}", file=sys.stderr)
    sys.exit(stop.exit_code)
model.export_inference_model("own export")
model.predict("photo.png").save_to_img("own results")
"""
PREDICTS = """
from segcore import create_model

model = create_model(model_dir="run", device="cpu")
for number, result in enumerate(model.predict(["photo.png", "shapes/images"])):
    result.save_to_img(f"own results/{number}.png")
    result.save_to_json(f"own results/{number}.json")
"""


@dataclass(frozen=True)
class Command:
    """A command as a user types it, and how the same user goes on after it was ended.

    A `script` is a program of a user, which has no arguments.
    """

    name: str
    arguments: tuple[str, ...]
    again: tuple[str, ...] | None = None
    writes: bool = True
    script: str | None = None

    @property
    def program(self) -> tuple[str, ...]:
        """The arguments of the interpreter."""
        return ("-m", "segcore", *self.arguments) if self.script is None else ("-c", self.script)


COMMANDS = (
    Command("demo", ("data", "demo", "drawings", "--images", "4", "--size", "32")),
    Command("check", ("data", "check", "shapes", "--workers", "1")),
    Command(
        "check with report",
        (
            *("data", "check", "shapes", "--workers", "1", "--output", "checked"),
            *("--report", "check.html", "--write-baseline", "known.json"),
        ),
    ),
    Command("convert", ("data", "convert", "shapes", "--to", "COCO", "--output", "coco")),
    *(
        Command(f"convert {kind} to {to}", ("data", "convert", kind, "--to", to, "--output", "got"))
        for kind, to in CONVERSIONS
    ),
    Command("split", ("data", "split", "shapes", "--percent", "50,50,0")),
    Command("fix", ("data", "fix", "shapes", "--output", "fixed", *MAP)),
    Command("fix in place", ("data", "fix", "shapes", "--in-place", *MAP)),
    Command("stats", ("data", "stats", "shapes", "--report", "stats.html", "--workers", "1")),
    Command("view", ("data", "view", "shapes", "--output", "sheets", "--workers", "1")),
    Command("plugin", ("plugins", "new", "mine")),
    Command("train", TRAIN, (*TRAIN, "--resume")),
    Command("resume", (*STOPPED, "--resume")),
    Command("export", ("export", "run", "--output", "exported")),
    Command("export again", ("export", "run")),
    Command("predict", ("predict", "run", "photo.png", "shapes/images", "--output", "seen")),
    Command("eval", ("eval", "run", "--data", "shapes", "--output", "measured")),
    Command("train on weights", FETCHING, (*FETCHING, "--resume")),
    Command(
        "predict by weights",
        ("predict", "Toy", "photo.png", "--weights", "TOY_TOWN", "--output", "seen by others"),
    ),
    Command("train instances", BOXES, (*BOXES, "--resume")),
    Command("export instances", ("export", "boxes", "--output", "exported boxes")),
    Command("predict instances", ("predict", "boxes", "objects/images", "--output", "found")),
    Command("eval instances", ("eval", "boxes", "--data", "objects", "--output", "measured")),
    Command("program that trains", (), script=TRAINS),
    Command("program that predicts", (), script=PREDICTS),
)
READERS = (
    Command("help", ("--help",), writes=False),
    Command("models", ("models", "--json"), writes=False),
    Command("config", ("config", "show", "Toy", "--json"), writes=False),
    Command("schema", ("config", "schema"), writes=False),
    Command("doctor", ("doctor", "--json"), writes=False),
    Command("plugins", ("plugins", "list", "--json"), writes=False),
    Command("plugin check", ("plugins", "check", "toy", "--json"), writes=False),
    Command("split dry", ("data", "split", "shapes", "--dry-run", "--json"), writes=False),
)


def choose(commands: tuple[Command, ...], only: str | None) -> list[Command]:
    """Give the commands that `only` names, with commas; all of them where it is None."""
    known = {command.name: command for command in commands}
    names = list(known) if only is None else only.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no command is called {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names]


@dataclass(frozen=True)
class Reference:
    """What an undisturbed command leaves, and which of its files differ from time to time."""

    files: Mapping[str, bytes]
    volatile: frozenset[str]


class Bench:
    """Where commands are tried: `work` is made anew for each trial, from `base`."""

    def __init__(self, root: Path) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        self.root = root
        self.base, self.work = root / "base", root / "work"
        self.temporary = root / "temporary"
        self.base.mkdir(parents=True)
        self.temporary.mkdir()
        self.site = Site(root / "site")
        self.site.install("toy", toy.PLUGIN)
        self.site.write(self.site.folder / "toy_network.py", toy.NETWORK)
        self.site.install("toy_boxes", toy_instance.PLUGIN)
        self.site.write(self.site.folder / "toy_boxes_network.py", toy_instance.NETWORK)
        sys.path.insert(0, str(self.site.folder))
        # fetched and unpacked anew in each trial
        os.environ["SEGCORE_CACHE"] = str(self.work / "cache")
        os.environ["no_proxy"] = "*"
        os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)
        _import_everything()
        self._references: dict[str, Reference] = {}
        self._known: set[bytes] = set()
        self._make_base()
        self._serve()

    def _make_base(self) -> None:
        self.begin(self.base)
        for arguments in (
            ("data", "demo", "shapes", "--images", "6", "--size", "32", "--kind", "shapes"),
            ("data", "demo", "objects", "--images", "6", "--size", "64", "--kind", "instances"),
            (*TRAIN[:4], "--output", "run", "--iters", "1", *SMALL),
            ("export", "run"),
            (*BOXES[:4], "--output", "boxes", "--iters", "1", *BOXES[8:]),
        ):
            assert self.run(Command("", arguments), self.base) == 0, self.said()
        os.environ["SIGNAL_STEPS"] = "2"
        assert self.run(Command("", STOPPED), self.base) == 128 + signal.SIGTERM, self.said()
        del os.environ["SIGNAL_STEPS"]
        for kind, _ in CONVERSIONS:
            rng = np.random.default_rng(0)
            conversions.FORMATS[kind](self.base / kind, [conversions.draw(rng, n) for n in (0, 1)])
        shutil.copy(next((self.base / "shapes/images").iterdir()), self.base / "photo.png")
        (self.base / "precious.txt").write_text("the user's")
        (self.base / ".tmp-mine").write_text("the user's, too")

    def _serve(self) -> None:
        """Offer weights in a process of its own, since this one forks."""
        rng = np.random.default_rng(0)
        shapes = {"stage_1.weight": (8, 3, 3, 3), "stage_1.bias": (8,)}
        shapes |= {f"norm.{name}": (8,) for name in ("weight", "bias", "_mean", "_variance")}
        arrays = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
        files = {
            "backbone/model.pdparams": pdparams.encode(arrays),
            "backbone/notes/large.bin": rng.bytes(200_000),  # comes in several pieces
        }
        trained = pdparams.decode(self.base / "run/best_model/model.pdparams").tree
        published = {name: a[:4] if "head" in name else a for name, a in trained.items()}
        pages = {"/toy.pdparams": pdparams.encode(published), "/backbone.tar.gz": packed(files)}
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        context.Process(target=_serve_pages, args=(theirs, pages), daemon=True).start()
        os.environ["TOY_SERVER"] = self._pipe.recv()

    def begin(self, folder: Path | None = None) -> None:
        """Make `work` anew."""
        if folder is None:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(self.base, self.work, symlinks=True)

    def run(
        self,
        command: Command,
        folder: Path | None = None,
        prepare: Callable[[], object] = lambda: None,
    ) -> int:
        """Run a command in a child of this process, and give how it ended; `said` has its words."""

        def in_child() -> None:
            os.chdir(folder or self.work)
            log = os.open(self.root / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(log, descriptor)
            prepare()
            code = _run_script(command.script) if command.script else _run(command.arguments)
            sys.stdout.flush()
            os._exit(code)

        return run_forked(in_child)

    def said(self) -> str:
        """Give what the last command said."""
        return (self.root / "said").read_text(errors="replace")

    def reference(self, command: Command) -> Reference:
        """Give what `command` leaves when it is not disturbed."""
        if command.name not in self._references:
            seen = []
            for _ in range(2):
                self.begin()
                code = self.run(command)
                assert code == 0, f"{command.name}: ends with {code}: {self.said()}"
                seen.append(read_tree(self.work))
            files = seen[0]
            volatile = {name for name in files if files[name] != seen[1].get(name)}
            self._references[command.name] = Reference(files, frozenset(volatile))
        return self._references[command.name]

    def faults_after(self, command: Command) -> Iterator[str]:
        """Say what is wrong in `work` after `command` was ended there, and given again.

        `work` is used up by that.
        """
        reference, old = self.reference(command), read_tree(self.base)
        found = read_tree(self.work)
        yield from _halves(found, old, reference)
        yield from _losses(found, old, reference)
        state = _state(command, found, reference)
        if state in self._known:
            return  # the same was left before, and the command was given again then
        self._known.add(state)
        code = self.run(replace(command, arguments=command.again or command.arguments))
        after = read_tree(self.work)
        names = {n for n in after if not _is_left_over(n, old) and not CACHED.match(n)}
        wanted = {name for name in reference.files if not CACHED.match(name)}
        if code != 0 and not (code == 2 and wanted <= names):
            yield f"given again it ends with {code}: {self.said().strip()[-300:]}"
            return
        yield from (f"left over: {name}" for name in after if _is_left_over(name, old))
        yield from (f"half fetched: {name}" for name in after if HALF_FETCHED.match(name))
        yield from _losses(after, old, reference)
        for name in sorted(wanted - names):
            if not BACKUP.match(name):
                yield f"missing in the end: {name}"
        for name in sorted(names - wanted):
            if not BACKUP.match(name) and not BY_DESIGN.match(name):
                yield f"too much in the end: {name}"
        for name in sorted(names & wanted - reference.volatile):
            if after[name] != reference.files[name] and not CLOCK.match(name):
                yield f"another content in the end: {name}"


def _run(arguments: tuple[str, ...]) -> int:
    from segcore.cli.main import run

    return run(arguments)


def _run_script(text: str) -> int:
    try:
        exec(compile(text, "<program>", "exec"), {"__name__": "__main__"})
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _serve_pages(pipe: Connection, files: Mapping[str, bytes]) -> None:
    """Serve files, not quite at once, until nobody is left at the other end of the pipe."""
    with secure_server() as server:
        for name, content in files.items():
            server.pages[name] = late(page(content))
        pipe.send(server.address)
        with contextlib.suppress(EOFError):
            pipe.recv()


def _import_everything() -> None:
    """Import what commands do, so that a child begins with it."""
    import cv2  # noqa: F401
    import PIL.Image  # noqa: F401

    from segcore.devices.framework import require_paddle

    require_paddle()
    import segcore.cli.data.check
    import segcore.engine.train
    import segcore.engine.trainer
    import segcore.export.paddle
    import segcore.inference.create  # noqa: F401


def read_tree(folder: Path) -> dict[str, bytes]:
    """Read all files below `folder` by name; folders have the name `x/` and no content."""
    files = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            files[f"{name}/"] = b""
        else:
            files[name] = path.read_bytes()
    return files


def _state(command: Command, found: Mapping[str, bytes], reference: Reference) -> bytes:
    """Digest what was left, but for numbers of processes, chance and the clock."""
    digest = hashlib.sha256(command.name.encode())
    for name, data in sorted(found.items()):
        is_fixed = name not in reference.volatile and not CLOCK.match(name)
        digest.update(re.sub(r"-\d+-[0-9a-f]{24}|[0-9a-f]{64}", "", name).encode() + b"\0")
        digest.update(hashlib.sha256(data if is_fixed else bool(data).to_bytes(1, "big")).digest())
    return digest.digest()


def _is_temporary(name: str) -> bool:
    return any(LEFTOVER.match(part) for part in name.split("/"))


def _is_left_over(name: str, old: Mapping[str, bytes]) -> bool:
    return name not in old and _is_temporary(name)


def _halves(
    found: Mapping[str, bytes], old: Mapping[str, bytes], reference: Reference
) -> Iterator[str]:
    """Name files that are neither what was there nor what belongs there."""
    whole = {hashlib.sha256(data).digest() for data in (*old.values(), *reference.files.values())}
    for name, data in found.items():
        if name.endswith("/") or _is_temporary(name) or BY_DESIGN.match(name):
            continue
        is_settled = not STATE.match(name) and name not in reference.volatile
        known = name in reference.files and is_settled
        if known and hashlib.sha256(data).digest() not in whole:
            yield f"half of a file: {name} ({len(data)} bytes)"
        elif not known and old.get(name) != data:
            problem = _damage(name, data)
            if problem:
                yield f"half of a file: {name} ({problem})"


def _damage(name: str, data: bytes) -> str | None:
    """Say why a file of which no copy is known cannot be whole."""
    suffix = name.rpartition(".")[2]
    try:
        if suffix == "json":
            json.loads(data)
        elif suffix == "jsonl":
            for line in data.split(b"\n")[:-1]:  # the last may be torn, and is mended at resume
                json.loads(line)
        elif suffix in ("png", "jpg"):
            from PIL import Image

            Image.open(io.BytesIO(data)).load()
        elif suffix in ("pdparams", "pdopt", "pdema", "pdstates"):
            pdparams.decode(data)
        elif suffix == "html" and not data.rstrip().endswith(b"</html>"):
            return "cut short"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _losses(
    found: Mapping[str, bytes], old: Mapping[str, bytes], reference: Reference
) -> Iterator[str]:
    """Name files that were there and are gone, though the command does not remove them."""
    there = set(found.values())
    for name, data in old.items():
        is_replaced = reference.files.get(name) != data
        if name.endswith("/") or is_replaced or found.get(name) == data or BY_DESIGN.match(name):
            continue
        if name not in found and data in there:
            continue  # under another name for a moment, such as that of a backup
        yield f"lost: {name}"
