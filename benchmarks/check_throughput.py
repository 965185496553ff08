"""Images per second of `segcore data check`, as a ratio to PaddleX's own check of datasets.

    python benchmarks/check_throughput.py --paddlex-python PYTHON [--images 2000] [--size 512]
        [--rounds 3] [--threads CPUS] [--json]

Both sides check one drawn dataset, in processes that stay and take turns. Loading is left out: what
is measured is the check with its result, pictures and histogram. PaddleX's Python can be named by
SEGCORE_PADDLEX_PYTHON as well.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

THEIRS = """
import sys, time
from types import SimpleNamespace
from paddlex.modules import build_dataset_checker
from paddlex.utils.config import AttrDict
data, output = sys.argv[1:3]
print("ready", flush=True)
for _ in sys.stdin:
    config = AttrDict(
        {"Global": AttrDict({"model": "PP-LiteSeg-T", "dataset_dir": data, "output": output}),
         "CheckDataset": AttrDict({})}
    )
    start = time.perf_counter()
    result = build_dataset_checker(config).check()
    seconds = time.perf_counter() - start
    attributes = result["attributes"]
    print("answer", seconds, attributes["num_classes"],
          attributes["train_samples"] + attributes["val_samples"], flush=True)
"""

OURS = """
import sys, time
from segcore.data.check import check_dataset
data, output, threads = sys.argv[1:4]
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    result = check_dataset(data, output=output, workers=int(threads))
    seconds = time.perf_counter() - start
    samples = sum(split.samples for split in result.census.splits)
    print("answer", seconds, len(result.census.class_names), samples, flush=True)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paddlex-python", default=os.environ.get("SEGCORE_PADDLEX_PYTHON"))
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=512, help="side of the images, in px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.paddlex_python is None:
        parser.error("--paddlex-python: name a Python that has PaddleX")
    with TemporaryDirectory() as folder:
        data = draw_data(Path(folder), options)
        rounds = measure(data, Path(folder), options)
    report(rounds, options)


def draw_data(folder, options):
    from segcore.data.demo import draw_dataset

    # drawing is slow, so a few pictures are drawn, and the others are these with other borders
    drawn = draw_dataset(folder / "drawn", "shapes", min(options.images, 200), options.size)
    data = folder / "data"
    repeat(drawn, data, options.images)
    return data


def repeat(drawn, data, count):
    """Write `count` samples, each of them another one of the drawn ones, shifted."""
    import cv2
    import numpy as np

    for name in ("images", "annotations"):
        (data / name).mkdir(parents=True)
    rows = {split: (drawn / f"{split}.txt").read_text().split() for split in ("train", "val")}
    for split, names in rows.items():
        pairs = list(zip(names[::2], names[1::2], strict=True))
        share = count * 4 // 5 if split == "train" else count - count * 4 // 5
        lines = []
        for number in range(share):
            image_name, label_name = pairs[number % len(pairs)]
            shift = 17 * (number // len(pairs))
            names_now = f"images/{split}_{number:05}.jpg", f"annotations/{split}_{number:05}.png"
            for old, new in zip((image_name, label_name), names_now, strict=True):
                data_now = np.frombuffer((drawn / old).read_bytes(), np.uint8)
                picture = np.roll(cv2.imdecode(data_now, cv2.IMREAD_UNCHANGED), shift, axis=1)
                (data / new).write_bytes(cv2.imencode(Path(new).suffix, picture)[1])
            lines.append(f"{names_now[0]} {names_now[1]}\n")
        (data / f"{split}.txt").write_text("".join(lines))
    (data / "labels.txt").write_bytes((drawn / "labels.txt").read_bytes())


def measure(data, folder, options):
    """Give a list of rounds: of each side the images per second."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "SEGCORE_CACHE": str(folder / "cache"),
        "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True",
    }
    commands = {
        "segcore": [sys.executable, "-c", OURS, data, folder / "ours", options.threads],
        "paddlex": [options.paddlex_python, "-c", THEIRS, data, folder / "theirs"],
    }
    sides = {
        name: subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=folder,
        )
        for name, command in commands.items()
    }
    try:
        for side in sides.values():
            wait_for(side, "ready")
        rounds = []
        for number in range(options.rounds):
            order = sorted(sides, reverse=number % 2 == 1)
            answers = {name: ask(sides[name], name) for name in order}
            seen = {(classes, samples) for _, classes, samples in answers.values()}
            if len(seen) != 1:
                raise SystemExit(f"the two sides saw different datasets: {answers}")
            rounds.append({name: samples / s for name, (s, _, samples) in answers.items()})
            if sys.stderr.isatty():
                print(rounds[-1], file=sys.stderr)
        return rounds
    finally:
        for side in sides.values():
            side.kill()
            side.wait()


def wait_for(side, word):
    for line in side.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise SystemExit(f"a side ended before it was {word}: try its Python by hand")


def ask(side, name):
    start = time.perf_counter()
    print("check", file=side.stdin, flush=True)
    seconds, classes, samples = wait_for(side, "answer")
    if float(seconds) > time.perf_counter() - start:
        raise SystemExit(f"{name} measured more time than has passed")
    return float(seconds), int(classes), int(samples)


def report(rounds, options):
    ratios = [each["segcore"] / each["paddlex"] for each in rounds]
    if options.json:
        print(json.dumps({"rounds": rounds, "ratios": ratios}))
        return
    for name in ("segcore", "paddlex"):
        speeds = [each[name] for each in rounds]
        print(f"{name}: {statistics.median(speeds):.1f} images per second")
    print(
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"{len(rounds)} rounds of {options.images} images of {options.size} px"
    )


if __name__ == "__main__":
    main()
