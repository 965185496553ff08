"""What one model of each family learns from scratch on the drawn dataset, in few iterations.

    python benchmarks/families.py [--models NAME...] [--output DIR] [--json]

Each is trained on 80 drawings of eyes with the crops and augmentations of `make demo`, without any
pretrained weights, and measured on 20 held-out ones. The table has the best mean IoU and where it
was reached; `curves.png` shows the loss and the mean IoU over the iterations (needs matplotlib).
The settings below are what differs from docs/demo.yaml: recipes of papers are for other data.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate

SETTINGS = Path(__file__).parents[1] / "docs" / "demo.yaml"
# not the scale and the windows of the published measurements, which are for far larger images
PLAIN = ("eval.transforms=[{type: Normalize}]", "eval.sliding=null")
ADAMW = ("train.optimizer.type=adamw", "train.optimizer.weight_decay=0.01")
MODELS = {
    "PP-LiteSeg-T": (),
    "FastSCNN": ("train.iters=400", "train.learning_rate=0.003", *ADAMW),
    "UNet-deconv": (),
    "DeepLabv3p-MobileNetV2_x0.5": ("train.iters=400", "train.learning_rate=0.002", *ADAMW),
    "HRNet-FCN-W18_Small_V1": ("train.learning_rate=0.002", *ADAMW),
    "OCRNet_HRNet-W18": ("train.learning_rate=0.001", *ADAMW),
    "SegFormer-B0": ("train.iters=400", "train.learning_rate=0.001", *ADAMW, *PLAIN),
    "SeaFormer_tiny": ("train.iters=400", "train.learning_rate=0.002", *ADAMW, *PLAIN),
    # 200 iterations at 0.0002 with dropout left it seeing one class everywhere
    "MaskFormer_tiny": (
        "train.iters=200",
        "train.batch_size=4",
        "train.learning_rate=0.0005",
        "model.options.dropout=0",
        "model.options.drop_path_rate=0",
        *ADAMW,
        *PLAIN,
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--output", type=Path, default=Path("families"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = options.output / "eyes"
    if not data.exists():
        segcore("data", "demo", data, "--images", 100, "--size", 256)
    curves = {name: train(name, data, options.output / name) for name in options.models}
    draw(curves, options.output / "curves.png")
    rows = [summary(name, records) for name, records in curves.items()]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print(tabulate(rows, headers="keys", floatfmt=".4f"))
        print(f"curves: {options.output / 'curves.png'}")


def train(name, data, output):
    """Train the model, or go on where a run was stopped; give the records of its history."""
    changes = [part for change in MODELS[name] for part in ("-o", change)]
    arguments = ("--data", data, "--output", output, "-c", SETTINGS, *changes)
    segcore("train", name, *arguments, "--resume")
    with (output / "metrics.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def segcore(*arguments):
    command = [sys.executable, "-m", "segcore", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def summary(name, records):
    scores = [record for record in records if record["event"] == "eval"]
    best = max(scores, key=lambda record: record["miou"])
    return {"model": name, "best mIoU": best["miou"], "at iteration": best["step"]}


def draw(curves, path):
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        sys.exit("The curves need matplotlib: pip install matplotlib")
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for name, records in curves.items():
        steps = [record for record in records if record["event"] == "train"]
        losses.plot([r["step"] for r in steps], [r["loss"] for r in steps], label=name)
        evaluated = [record for record in records if record["event"] == "eval"]
        scores.plot([r["step"] for r in evaluated], [r["miou"] for r in evaluated], marker=".")
    losses.set(xlabel="iteration", ylabel="loss of each model's own kind", yscale="log")
    scores.set(xlabel="iteration", ylabel="mean IoU on the held-out drawings", ylim=(0.4, 1))
    scores.axhline(0.85, color="grey", linewidth=0.8, linestyle="--")
    losses.legend(fontsize="small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
