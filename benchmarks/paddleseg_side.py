"""PaddleSeg's side of a comparison; runs with a Python that has PaddleSeg, and needs nothing else.

    PYTHON paddleseg_side.py versions
    PYTHON paddleseg_side.py train DATA --size 256 --batch 4 --workers 2 --log 5
    PYTHON paddleseg_side.py evaluate DATA --weights model.pdparams --workers 2

`train` is PaddleSeg's own `paddleseg.core.train` with what its PP-LiteSeg-T configuration says; it
goes on until it is stopped. `evaluate` is `paddleseg.core.evaluate`, once for each line of the
standard input, answered by a line of JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ITERS = 100_000  # what the learning rate is spread over; nobody waits for the end


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["versions", "train", "evaluate"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kept", type=int, default=16384, help="pixels that OHEM keeps at least")
    parser.add_argument("--log", type=int, default=5)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    {"versions": versions, "train": train, "evaluate": evaluate}[options.what](options)


def versions(_):
    print_versions("paddlepaddle", "paddleseg", "numpy", "opencv-python")


def print_versions(*names):
    print(json.dumps({"python": sys.version.split()[0], **{name: version(name) for name in names}}))


def train(options):
    import paddle
    from paddleseg import core
    from paddleseg import transforms as t
    from paddleseg.models import OhemCrossEntropyLoss

    paddle.set_device("cpu")
    augmentations = [
        t.ResizeStepScaling(0.5, 2.0, 0.25),
        t.RandomPaddingCrop([options.size, options.size]),
        t.RandomHorizontalFlip(),
        t.RandomDistort(brightness_range=0.5, contrast_range=0.5, saturation_range=0.5),
        t.Normalize(),
    ]
    dataset = open_dataset(options.data, "train", augmentations)
    network = build_network(dataset.num_classes)
    curve = paddle.optimizer.lr.PolynomialDecay(0.005, ITERS - 1000, end_lr=0.0, power=0.9)
    rate = paddle.optimizer.lr.LinearWarmup(curve, 1000, 1e-5, 0.005)
    optimizer = paddle.optimizer.Momentum(
        rate, 0.9, network.parameters(), weight_decay=paddle.regularizer.L2Decay(5e-4)
    )

    class Loss(OhemCrossEntropyLoss):
        def forward(self, logit, label):
            # its log lines take element 0 of each loss, which Paddle has made a scalar since
            return super().forward(logit, label).reshape([1])

    losses = [Loss(0.7, options.kept) for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        core.train(
            network,
            dataset,
            optimizer=optimizer,
            save_dir=folder,
            iters=ITERS,
            batch_size=options.batch,
            save_interval=ITERS,
            log_iters=options.log,
            num_workers=options.workers,
            losses={"types": losses, "coef": [1, 1, 1]},
        )


def evaluate(options):
    import paddle
    from paddleseg import core
    from paddleseg import transforms as t

    paddle.set_device("cpu")
    concat_scalars(paddle)
    dataset = open_dataset(options.data, "val", [t.Normalize()])
    network = build_network(dataset.num_classes)
    missing, unexpected = network.set_state_dict(paddle.load(str(options.weights)))
    if missing or unexpected:
        raise SystemExit(f"the weights do not fit: {missing}, {unexpected}")
    for _ in sys.stdin:
        begun = time.perf_counter()
        miou = core.evaluate(network, dataset, num_workers=options.workers, print_detail=False)[0]
        seconds = time.perf_counter() - begun
        answer = {"seconds": seconds, "images": len(dataset), "miou": float(miou)}
        print("\n" + json.dumps(answer), flush=True)


def concat_scalars(paddle):
    """Let counts be joined, of pixels or boxes, which Paddle has made scalars since."""
    concat = paddle.concat

    def concat_or_stack(tensors, axis=0, name=None):
        return concat(tensors, axis, name) if tensors[0].shape else paddle.stack(tensors)

    paddle.concat = concat_or_stack


def build_network(num_classes):
    from paddleseg.models import STDC1, PPLiteSeg

    return PPLiteSeg(
        num_classes, STDC1(), arm_out_chs=[32, 64, 128], seg_head_inter_chs=[32, 64, 64]
    )


def open_dataset(root, split, transforms):
    from paddleseg.datasets import Dataset

    return Dataset(
        split,
        str(root),
        transforms,
        num_classes=len((root / "labels.txt").read_text().splitlines()),
        **{f"{split}_path": str(root / f"{split}.txt")},
    )


if __name__ == "__main__":
    main()
