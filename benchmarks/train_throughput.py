"""Images per second in training, as a ratio to PaddleSeg's own training of the same model.

    python benchmarks/train_throughput.py [--peer-python PYTHON] [--steps 20] [--size 256]
        [--batch 4] [--workers 2] [--threads CPUS] [--kept SHARE] [--rounds 5] [--json]

`segcore train` and `paddleseg.core.train` train PP-LiteSeg-T on one data set with the same crops,
batches, workers, threads, augmentations, losses and optimiser. They take turns, each time in new
processes; the time between two of the lines that each logs counts, so neither starting nor the
first steps do. The ratio of each round is printed, and their median is the result.

The loss is cross entropy of the hardest pixels (OHEM) at all three outputs, which keeps at least a
sixteenth of them, as in the published training. PaddleSeg 2.8.0, the newest in the package index,
fails there on Paddle 3 (a float plus an integer), and so does its plain cross entropy; its OHEM
that keeps all pixels, which is cross entropy too, runs. So that is measured on Paddle 3, and the
published loss on Paddle 2.6.2; `--kept` decides otherwise.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from paddleseg_side import ITERS
from peer import PADDLESEG, environment, peer_python, print_versions, spread, versions

STEP = re.compile(r"(?:step (\d+) of|iter: (\d+)/)")
IMAGES = 60
REPEATS = 20  # so that no epoch ends while it is measured: PaddleSeg starts its workers anew then


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="a Python that has PaddleSeg and the same Paddle")
    parser.add_argument("--steps", type=int, default=20, help="steps that count, a round")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before them")
    parser.add_argument("--size", type=int, default=256, help="side of the crops, in px")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kept", type=float, help="share of the pixels that OHEM keeps at least")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.kept is None:
        options.kept = 1.0 if version("paddlepaddle") >= "3" else 1 / 16
    # as Ctrl-C does, a request to end must reach the training that runs, and the folders
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with peer_python(options.peer_python) as python, TemporaryDirectory() as folder:
        used = versions(python)
        data = draw_data(Path(folder))
        rounds = [
            measure(python, data, Path(folder, str(n)), options) for n in range(options.rounds)
        ]
    report(rounds, used, options)


def draw_data(folder):
    from segcore.data.demo import draw_dataset

    data = draw_dataset(folder / "data", images=IMAGES, size=512)
    rows = (data / "train.txt").read_text()
    (data / "train.txt").write_text(rows * REPEATS)
    return data


def measure(python, data, output, options):
    """Give the images per second of both sides, one after the other."""
    kept = int(options.kept * options.batch * options.size**2)
    theirs = [python, PADDLESEG.side, "train", data, "--log", options.warm_up, "--kept", kept]
    for name in ("size", "batch", "workers"):
        theirs += [f"--{name}", getattr(options, name)]
    commands = {"segcore": our_command(data, output, kept, options), "paddleseg": theirs}
    speeds = {name: images_per_second(command, options) for name, command in commands.items()}
    print(
        ", ".join(f"{name} {speed:.2f} images/s" for name, speed in speeds.items()), file=sys.stderr
    )
    return speeds


def our_command(data, output, kept, options):
    settings = {
        "train.iters": ITERS,
        "train.eval_interval": ITERS,
        "train.log_interval": options.warm_up,
        "train.crop_size": f"[{options.size}, {options.size}]",
        "train.batch_size": options.batch,
        "train.num_workers": options.workers,
        "train.losses": f"[{{type: OhemCrossEntropyLoss, min_kept: {kept}}}]",
        "data.allow_duplicates": "true",
    }
    command = [sys.executable, "-m", "segcore", "train", "PP-LiteSeg-T"]
    command += ["--data", data, "--output", output, "--device", "cpu"]
    for key, value in settings.items():
        command += ["-o", f"{key}={value}"]
    return command


def images_per_second(command, options):
    """Run a training until it has logged the last step that counts, and end it."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env=environment(options.threads),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said, begun = [], None
    try:
        for line in process.stdout:
            said.append(line)
            found = STEP.search(line)
            step = int(found[1] or found[2]) if found else 0
            if begun is None and step >= options.warm_up:
                first, begun = step, time.perf_counter()
            elif begun is not None and step >= first + options.steps:
                seconds = time.perf_counter() - begun
                return (step - first) * options.batch / seconds
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its data workers, too
        process.wait()
        process.stdout.close()
    raise SystemExit(f"{' '.join(map(str, command))} ended early:\n{''.join(said[-30:])}")


def report(rounds, used, options):
    ratios = [one["segcore"] / one["paddleseg"] for one in rounds]
    result = {
        "versions": used,
        "options": vars(options),
        "rounds": rounds,
        "ratio": spread(ratios),
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print_versions(used)
    print(
        f"PP-LiteSeg-T, crops {options.size} px, batch {options.batch}, {options.workers} workers, "
        f"{options.threads} threads, {options.kept:.3g} of the pixels kept"
    )
    print(f"{'round':>8} {'segcore':>10} {'paddleseg':>10} {'ratio':>7}  (images/s)")
    for number, (one, ratio) in enumerate(zip(rounds, ratios, strict=True), start=1):
        print(f"{number:8} {one['segcore']:10.2f} {one['paddleseg']:10.2f} {ratio:7.2f}")
    print(
        f"segcore trains {result['ratio']['median']:.2f} times as fast "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
