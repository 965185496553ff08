"""Images per second in evaluation, as a ratio to PaddleSeg's own evaluation of the same weights.

    python benchmarks/eval_throughput.py [--peer-python PYTHON] [--images 60] [--size 512]
        [--workers 2] [--threads CPUS] [--train-steps 40] [--rounds 5] [--json]

A PP-LiteSeg-T is trained for a few steps, so that its answers are not trivial. Then segcore, with
the runtime `eager`, which evaluations during a training use, and with `paddle`, the exported model,
and `paddleseg.core.evaluate` take turns at one data set, image by image. The first turn does not
count, nor does loading the model. The mean IoUs must agree, or the command fails.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from peer import PADDLESEG, asking, import_paddle, peer_python, print_versions, spread, versions

TOLERANCE = {
    "eager": 1e-4,  # the same operators; a few pixels are a tie but for the last bit
    "paddle": 1e-3,  # other kernels
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="a Python that has PaddleSeg and the same Paddle")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--size", type=int, default=512, help="side of the images, in px")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--train-steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.images < 20:
        parser.error("--images: one in five trains the model, four of them a step: give 20 or more")
    import_paddle(options.threads)
    with peer_python(options.peer_python) as python, TemporaryDirectory() as folder:
        used = versions(python)
        data, run = draw_data(Path(folder), options), Path(folder, "run")
        train(data, run, options)
        rounds = measure(python, data, run, options)
    report(rounds, used, options)


def draw_data(folder, options):
    from segcore.data.demo import draw_dataset

    data = draw_dataset(folder / "data", images=options.images, size=options.size)
    # the larger part of the images is the one to measure on
    (data / "train.txt").rename(data / "larger.txt")
    (data / "val.txt").rename(data / "train.txt")
    (data / "larger.txt").rename(data / "val.txt")
    return data


def train(data, run, options):
    command = [sys.executable, "-m", "segcore", "train", "PP-LiteSeg-T", "--device", "cpu"]
    command += ["--data", data, "--output", run]
    for setting in (
        f"train.iters={options.train_steps}",
        f"train.eval_interval={options.train_steps}",
        "train.crop_size=[128, 128]",
        "train.schedule.warmup_iters=0",
    ):
        command += ["-o", setting]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the training failed:\n{done.stderr}")


def measure(python, data, run, options):
    """Give a list of rounds: of each side the images per second and the mean IoU."""
    theirs = [python, PADDLESEG.side, "evaluate", data, "--workers", options.workers]
    theirs += ["--weights", run / "best_model" / "model.pdparams"]
    with (
        asking(theirs) as ask,
        during_training(run, options) as evaluate_eagerly,
    ):
        rounds = [
            {
                "eager": evaluate_eagerly(),
                "paddleseg": speed_of(ask("evaluate")),
                "paddle": afterwards(run, data, options),
            }
            for _ in range(options.rounds + 1)
        ]
    return rounds[1:]


@contextmanager
def during_training(run, options):
    """Give what evaluates as a training does: the network itself, workers that stay."""
    from segcore.data.dataset import open_dataset
    from segcore.devices.framework import restore_threads
    from segcore.discovery.catalogue import get_catalogue
    from segcore.engine.evaluate import evaluate, evaluation_loader
    from segcore.inference.eager import create_task, load_network
    from segcore.inference.source import find_model

    source = find_model(run / "best_model" / "model.pdparams").source
    changed = source.config.eval.model_copy(update={"convention": "paddleseg"})
    config = source.config.model_copy(update={"eval": changed})
    dataset = open_dataset(config, "val", get_catalogue())
    task, network = create_task(config, dataset.class_names), load_network(source)

    def evaluate_once():
        restore_threads()  # of which a predictor, as `afterwards` has one, leaves a single one
        begun = time.perf_counter()
        scores = evaluate(task.session(network), task, loader.epoch(0))
        seconds = time.perf_counter() - begun
        return {"images_per_second": len(dataset) / seconds, "miou": scores["miou"]}

    with evaluation_loader(config, dataset, get_catalogue(), options.workers) as loader:
        yield evaluate_once


def afterwards(run, data, options):
    """Evaluate the exported model as `segcore eval` does."""
    from segcore.engine.evaluate import evaluate_model

    result = evaluate_model(
        run,
        data,
        output=run.parent / "evaluation",
        device="cpu",
        runtime="paddle",
        num_workers=options.workers,
        changes={"convention": "paddleseg"},
    )
    return {"images_per_second": result["images_per_second"], "miou": result["metrics"]["miou"]}


def speed_of(answer):
    return {"images_per_second": answer["images"] / answer["seconds"], "miou": answer["miou"]}


def report(rounds, used, options):
    miou = {side: answer["miou"] for side, answer in rounds[0].items()}
    ratios = {
        side: [
            one[side]["images_per_second"] / one["paddleseg"]["images_per_second"] for one in rounds
        ]
        for side in ("eager", "paddle")
    }
    summary = {side: spread(values) for side, values in ratios.items()}
    if options.json:
        result = {"versions": used, "options": vars(options), "miou": miou}
        print(json.dumps({**result, "rounds": rounds, "ratio": summary}, indent=2))
    else:
        print_versions(used)
        print(
            f"PP-LiteSeg-T, 4 in 5 of {options.images} images of {options.size} px, "
            f"{options.workers} workers, {options.threads} threads"
        )
        print(f"{'':20} {'images/s':>9} {'ratio':>7}{'min':>7}{'max':>7} {'mIoU':>9}")
        for side, score in miou.items():
            speed = statistics.median(one[side]["images_per_second"] for one in rounds)
            ratio = summary.get(side, {}).values()
            shown = "".join(f"{value:7.2f}" for value in ratio) or " " * 21
            name = side if side == "paddleseg" else f"segcore {side}"
            print(f"{name:20} {speed:9.2f} {shown} {score:9.5f}")
    for side, tolerance in TOLERANCE.items():
        if abs(miou[side] - miou["paddleseg"]) > tolerance:
            raise SystemExit(f"the mean IoU of {side} is off by more than {tolerance}")


if __name__ == "__main__":
    main()
