"""Bits flipped in the files of a run, and what their readers make of them.

A toy network is trained for real, and one random bit of one of its files is flipped: of the
checkpoint, the best model, its export or the configuration. Every command that reads the file must
end with exit code 2, name the file, and write no result:

    python -m tests.campaigns.flips --count 2000

Negative control: the same readers without digests, which take most of the files as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from segcore.checkpoint.manifest import MANIFEST, Manifest
from segcore.cli.main import run as segcore
from segcore.testing.site import Site
from tests import toy

SETTINGS = (
    *("-o", "train.batch_size=4", "-o", "train.crop_size=[48, 48]", "-o", "train.ema_decay=0.9"),
    *("-o", "train.num_workers=0", "-o", "train.eval_interval=2", "-o", "save.keep=1"),
    *("--no-check", "--device", "cpu"),
)
CHECKPOINT = "checkpoints/step-2"
EXPORT = "best_model/inference"


@dataclass
class Ground:
    """A folder with the dataset `data` and the run `run`."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def image(self) -> Path:
        return next((self.data / "images").glob("*.jpg"))

    @property
    def output(self) -> Path:
        """Where the readers write, if they write at all."""
        return self.folder / "out"

    def fresh_run(self) -> Path:
        """Give a copy of the run to damage, in place of the one before."""
        target = self.folder / "damaged"
        shutil.rmtree(target, ignore_errors=True)
        return shutil.copytree(self.folder / "run", target)


@dataclass
class Answer:
    """What a command ended with, said and wrote."""

    code: int
    said: str
    wrote: bool

    def refused(self, name: str) -> bool:
        """Say whether it was told that the file `name` is wrong, and nothing came of it."""
        return self.code == 2 and name in self.said and not self.wrote


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[Ground]:
    """Train the run that is worked on in `folder`, with the toy plugin at hand."""
    from segcore.data.demo import draw_dataset
    from segcore.discovery import catalogue as catalogues

    site = Site(folder / "site")
    site.install("toy_plugin", toy.PLUGIN)
    site.write(site.folder / "toy_network.py", toy.NETWORK)
    ground = Ground(folder)
    draw_dataset(ground.data, "shapes", images=8, size=64)
    cache = {"SEGCORE_CACHE": str(folder / "cache")}
    with (
        mock.patch.object(sys, "path", [str(site.folder), *sys.path]),
        mock.patch.dict(os.environ, cache),
        mock.patch.object(catalogues, "_catalogues", {}),
    ):
        answer = ask("train", "Toy", *training(ground, folder / "run", 2))
        assert answer.code == 0, answer.said
        try:
            yield ground
        finally:
            for module in ("toy_plugin", "toy_network"):
                sys.modules.pop(module, None)


def training(ground: Ground, output: Path, steps: int) -> tuple[str, ...]:
    """Give the arguments of a training behind the name of the model."""
    places = ("--data", str(ground.data), "--output", str(output))
    return (*places, "-o", f"train.iters={steps}", *SETTINGS)


def ask(*arguments: str, output: Path | None = None) -> Answer:
    """Run segcore in this process."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logger = logging.getLogger("segcore")
    logger.addHandler(handler)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = segcore(list(arguments))
    finally:
        logger.removeHandler(handler)
    wrote = output is not None and any(path.is_file() for path in output.rglob("*"))
    if output is not None:
        shutil.rmtree(output, ignore_errors=True)
    return Answer(code, said.getvalue(), wrote)


def predict(ground: Ground, run: Path, runtime: str) -> Answer:
    options = ("--runtime", runtime, "--device", "cpu", "--output", str(ground.output))
    return ask("predict", str(run), str(ground.image), *options, output=ground.output)


def evaluate(ground: Ground, run: Path, runtime: str) -> Answer:
    options = ("--runtime", runtime, "--device", "cpu", "--output", str(ground.output))
    data = ("--data", str(ground.data), "--workers", "0")
    return ask("eval", str(run), *data, *options, output=ground.output)


def export(ground: Ground, run: Path) -> Answer:
    return ask("export", str(run), "--output", str(ground.output), output=ground.output)


def fine_tune(ground: Ground, run: Path) -> Answer:
    weights = ("-o", f"train.pretrained={run}")
    answer = ask("train", "Toy", *training(ground, ground.output, 1), *weights)
    answer.wrote = (ground.output / "best_model").exists()
    shutil.rmtree(ground.output, ignore_errors=True)
    return answer


def resume(ground: Ground, run: Path) -> Answer:
    before = contents(run / "checkpoints")
    answer = ask("train", "Toy", *training(ground, run, 2), "--resume")
    answer.wrote = contents(run / "checkpoints") != before
    return answer


def contents(folder: Path) -> dict[str, bytes]:
    """Give every file below `folder` by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


Reader = Callable[[Ground, Path], Answer]
OF_WEIGHTS: dict[str, Reader] = {
    "predict": lambda ground, run: predict(ground, run, "eager"),
    "eval": lambda ground, run: evaluate(ground, run, "eager"),
    "export": export,
}
OF_GRAPHS: dict[str, Reader] = {
    "predict": lambda ground, run: predict(ground, run, "paddle"),
    "eval": lambda ground, run: evaluate(ground, run, "paddle"),
}
READERS: dict[str, dict[str, Reader]] = {
    "best_model": OF_WEIGHTS,
    EXPORT: OF_GRAPHS,
    ".": {**OF_WEIGHTS, **OF_GRAPHS},
    CHECKPOINT: {"resume": resume},
}
ONLY_WEIGHTS = "best_model/model.pdparams"


def files_of(ground: Ground) -> list[str]:
    """Name the files that are damaged, relative to the run."""
    run = ground.folder / "run"
    folders = ("best_model", EXPORT, CHECKPOINT)
    found = [path for folder in folders for path in (run / folder).iterdir() if path.is_file()]
    return sorted(str(path.relative_to(run)) for path in (*found, run / "config.yaml"))


def readers_of(name: str) -> dict[str, Reader]:
    """Give the commands that read the file `name` of a run."""
    readers = READERS[str(Path(name).parent)]
    return {**readers, "fine-tuning": fine_tune} if name == ONLY_WEIGHTS else readers


def flip(path: Path, rng: np.random.Generator) -> str:
    """Flip one random bit of a file, and say which."""
    data = bytearray(path.read_bytes())
    position, bit = int(rng.integers(len(data))), int(rng.integers(8))
    data[position] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {position}"


def flips(ground: Ground, count: int, seed: int = 0) -> tuple[list[str], int]:
    """Flip `count` bits, one at a time; give the readers that were not stopped, and the flips.

    Files take turns, and so do the readers of each.
    """
    rng = np.random.default_rng(seed)
    names, turns = files_of(ground), Counter[str]()
    accepted = []
    for number in range(count):
        name = names[number % len(names)]
        readers = list(readers_of(name).items())
        reader, call = readers[turns[name] % len(readers)]
        turns[name] += 1
        run = ground.fresh_run()
        where = flip(run / name, rng)
        answer = call(ground, run)
        if not answer.refused(Path(name).name):
            accepted.append(
                f"{reader}: {name}, {where}: exit {answer.code}, {answer.said[-300:].strip()}"
            )
    return accepted, count


@contextlib.contextmanager
def without_digests() -> Iterator[None]:
    """Let the readers take every file as it is."""

    def taken_as_it_is(content: bytes) -> None:
        return None

    def read(path: Path, reader: Callable[[Path], bytes] = Path.read_bytes) -> bytes:
        return reader(path)

    def assumed(folder: Path, *_: object) -> Manifest:
        step = int(folder.name.removeprefix("step-"))
        names = [path.name for path in folder.iterdir() if path.name != MANIFEST]
        records = {name: {"size": 0, "sha256": "0" * 64} for name in names}
        run_id = (folder.parents[1] / "run.id").read_text().strip()
        return Manifest.model_validate({"run_id": run_id, "step": step, "files": records})

    with contextlib.ExitStack() as stack:
        for target, replacement in {
            "segcore.checkpoint.weights.read_verified": read,
            "segcore.config.load.is_sealed": taken_as_it_is,
            "segcore.export.yml.read_verified": lambda path, read: read(path),
            "segcore.inference.source.verify_folder": lambda *_: None,
            "segcore.checkpoint.manifest.check_content": lambda *_: None,
            "segcore.checkpoint.manifest.check_sizes": lambda *_, **__: None,
            "segcore.checkpoint.store.check_sizes": lambda *_, **__: None,
            "segcore.checkpoint.manifest.read_manifest": assumed,
            "segcore.checkpoint.store.read_manifest": assumed,
        }.items():
            stack.enter_context(mock.patch(target, replacement))
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="segcore-flips-") as folder,
        prepared(Path(folder)) as ground,
    ):
        accepted, count = flips(ground, options.count, options.seed)
        print(*accepted[:20], sep="\n")
        tried = max(options.count // 10, len(files_of(ground)))
        with without_digests():
            missed, of = flips(ground, tried, options.seed)
    print(
        f"{count} flips: {len(accepted)} accepted; negative control: {len(missed)} of {of} "
        "accepted by readers without digests"
    )
    return int(bool(accepted) or len(missed) < of / 2)


if __name__ == "__main__":
    raise SystemExit(main())
