"""Every command that writes, on small real data, and what must hold however one was ended.

A `Bench` holds a folder with all that the commands read, and what each writes when nobody disturbs
it. `faults_after` judges a disturbed one: under a final name stands what was there or what belongs
there, nobody's file is lost, and the same command, given again, succeeds and leaves nothing over.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segcore.checkpoint import pdparams
from segcore.testing.faults import run_forked
from segcore.testing.site import Site
from tests import toy

LEFTOVER = re.compile(r"\.(tmp|trash|new|old|planned)-|.*\.(new|old)$|\.list-replacement\.json$")
BACKUP = re.compile(r".*\.bak(\.\d+)?(/|$)")
# kept to go on from, to wait on, or by design as long as nobody deletes them
# what a training rewrites as it goes on, so that any of its states is whole
STATE = re.compile(r".*(best_model|checkpoints)/")
# these hang on the clock, or on how often the training was stopped
CLOCK = re.compile(r".*(state\.json|MANIFEST\.json|\.pdstates|metrics\.jsonl|\.log|_result\.json)$")
BY_DESIGN = re.compile(r".*(\.part|\.part\.json|\.lock|\.bak(\.\d+)?)$")

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


@dataclass(frozen=True)
class Command:
    """A command as a user types it, and how the same user goes on after it was ended."""

    name: str
    arguments: tuple[str, ...]
    again: tuple[str, ...] | None = None
    writes: bool = True


COMMANDS = (
    Command("demo", ("data", "demo", "drawings", "--images", "4", "--size", "32")),
    Command("check", ("data", "check", "shapes", "--workers", "1")),
    Command("convert", ("data", "convert", "shapes", "--to", "COCO", "--output", "coco")),
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
        sys.path.insert(0, str(self.site.folder))
        os.environ["SEGCORE_CACHE"] = str(root / "cache")
        _import_everything()
        self._references: dict[str, Reference] = {}
        self._known: set[bytes] = set()
        self._make_base()

    def _make_base(self) -> None:
        self.begin(self.base)
        for arguments in (
            ("data", "demo", "shapes", "--images", "6", "--size", "32", "--kind", "shapes"),
            (*TRAIN[:4], "--output", "run", "--iters", "1", *SMALL),
            ("export", "run"),
        ):
            assert self.run(arguments, self.base) == 0, self.said()
        os.environ["SIGNAL_STEPS"] = "2"
        assert self.run(STOPPED, self.base) == 128 + signal.SIGTERM, self.said()
        del os.environ["SIGNAL_STEPS"]
        shutil.copy(next((self.base / "shapes/images").iterdir()), self.base / "photo.png")
        (self.base / "precious.txt").write_text("the user's")
        (self.base / ".tmp-mine").write_text("the user's, too")

    def begin(self, folder: Path | None = None) -> None:
        """Make `work` anew."""
        if folder is None:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(self.base, self.work, symlinks=True)

    def run(
        self,
        arguments: tuple[str, ...],
        folder: Path | None = None,
        prepare: Callable[[], object] = lambda: None,
    ) -> int:
        """Run a command in a child of this process, and give how it ended; `said` has its words."""

        def in_child() -> None:
            os.chdir(folder or self.work)
            log = os.open(self.root / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(log, descriptor)
            from segcore.cli.main import run

            prepare()
            code = run(arguments)
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
                code = self.run(command.arguments)
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
        again = command.again or command.arguments
        code = self.run(again)
        after = read_tree(self.work)
        names = {name for name in after if not _is_left_over(name, old)}
        is_complete = reference.files.keys() <= names
        if code != 0 and not (code == 2 and is_complete):
            yield f"given again it ends with {code}: {self.said().strip()[-300:]}"
            return
        yield from (f"left over: {name}" for name in after if _is_left_over(name, old))
        yield from _losses(after, old, reference)
        for name in sorted(reference.files.keys() - names):
            if not BACKUP.match(name):
                yield f"missing in the end: {name}"
        for name in sorted(names - reference.files.keys()):
            if not BACKUP.match(name) and not BY_DESIGN.match(name):
                yield f"too much in the end: {name}"
        for name in sorted(names & reference.files.keys() - reference.volatile):
            if after[name] != reference.files[name] and not CLOCK.match(name):
                yield f"another content in the end: {name}"


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
        digest.update(re.sub(r"-\d+-[0-9a-f]{24}", "", name).encode() + b"\0")
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
