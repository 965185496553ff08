"""Every installed semantic model at once: parameters, parity, and that it runs and learns.

    python benchmarks/models.py [--models NAME...] [--json]

For each model, built for 19 classes: trainable parameters and how they compare with the layout of
the reference implementation; the relative L2 distance of its logits from the reference's, where
numbers of it are at hand (some are kept back on purpose); forward passes on 128 x 256 and on
97 x 161 pixels; one training step of its recipe's loss and optimiser on two crops of 128 x 128; and
the seconds that this took, on whatever runs beside it. Ends with 1 where a model fails.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import paddle
from tabulate import tabulate
from tqdm import tqdm

from segcore import build_model
from segcore.config.resolve import resolve_config
from segcore.discovery.catalogue import get_catalogue
from segcore.engine.optimizer import create_optimizer
from segcore.tasks.batch import SemanticBatch
from segcore.testing.parity import (
    Reference,
    check_layout,
    check_outputs,
    reference_image,
    reference_labels,
)

PLUGINS = Path(__file__).parents[1] / "plugins"
SIZES = ((128, 256), (97, 161))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    catalogue = get_catalogue()
    names = [entry.name for entry in catalogue.models if entry.spec.task == "semantic"]
    parser.add_argument("--models", nargs="+", default=names, metavar="NAME")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [try_out(name, catalogue) for name in tqdm(options.models, unit="model")]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print(tabulate(rows, headers="keys", floatfmt=("", ",.0f", "", ".1e", "", ".3f", ".1f")))
    sys.exit(any(row["loss"] is None for row in rows))


def try_out(name, catalogue):
    begun = time.perf_counter()
    reference = find_reference(name)
    network = build_model(name, num_classes=reference.num_classes)
    check_layout(network, reference)
    parity = max_distance(network, reference)
    shapes = [forward(network, size) for size in SIZES]
    expected = [[1, reference.num_classes, *size] for size in SIZES]
    loss = train_once(name, catalogue)
    return {
        "model": name,
        "parameters": sum(p.size for p in network.parameters() if not p.stop_gradient),
        "layout": f"{len(reference.entries)} arrays equal",
        "relative L2": parity,
        "forward": "right shapes" if shapes == expected else f"WRONG: {shapes}",
        "loss": loss if np.isfinite(loss) else None,
        "seconds": time.perf_counter() - begun,
    }


def find_reference(name):
    (layout,) = PLUGINS.glob(f"*/tests/data/{name}.layout.json.gz")
    return Reference.read(layout.parent, name)


def max_distance(network, reference):
    """Give the largest relative L2 distance of the inputs; None where the reference has none."""
    if not reference.outputs:
        return None
    distances = check_outputs(network, reference)
    return max(value for key, value in distances.items() if key.endswith("rel_l2"))


def forward(network, size):
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(reference_image(*size)))[0].shape


def train_once(name, catalogue):
    """Give the loss of the second of two steps, which shows that the first left sound weights."""
    config = resolve_config(name, None, ["data.num_classes=19"], {}, catalogue).config
    task_class = catalogue.tasks.find("semantic").load_target()
    task = task_class(config, [str(number) for number in range(19)], catalogue)
    network = build_model(name, num_classes=19, **config.model.options)
    network.train()
    optimizer = create_optimizer(config.train.optimizer, network, learning_rate=0.001)
    images = reference_image(128, 128, batch=2)
    labels = reference_labels(128, 128, 19, batch=2)
    batch = SemanticBatch(images, labels, indices=(0, 1), sources=("a", "b"))
    for _ in range(2):
        loss = task.losses(network, batch)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    return float(loss)


if __name__ == "__main__":
    main()
