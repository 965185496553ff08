"""Time of a training step and of a prediction of Mask R-CNN, as ratios to PaddleDetection's own.

    python benchmarks/maskrcnn_throughput.py [--peer-python PYTHON] [--threads CPUS] [--rounds 5]
        [--json]

Both sides have Mask R-CNN on ResNet18 with a feature pyramid, the same weights, which follow from
their names, and one image of 192 x 256 px with four objects. They take turns within one run, each
in a process that stays, and who begins changes from round to round. The first round does not count,
nor does loading. A step is a forward and a backward pass in train mode, without data loading and
optimiser; a prediction ends with masks in the size of the image.

The losses, boxes and areas of masks must agree in every round, or the command fails. A ratio above
1 says that segcore is faster; that of the processor's time is the steadier one on a busy machine.
"""

import argparse
import gzip
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from paddledet_side import open_actions, timed
from peer import PADDLEDET, asking, import_paddle, peer_python, print_versions, spread, versions

DATA = Path(__file__).parents[1] / "plugins" / "maskrcnn" / "tests" / "data"
MODEL = "MaskRCNN-ResNet18-FPN"
SIZE = (192, 256)
CLOCKS = ("seconds", "cpu_seconds")

# relative and absolute, the same operators on both sides; losses are all that is not named
TOLERANCES = {
    "bbox": (1e-4, 1e-3),  # rows of class, score and corners in px
    "area": (0, 3),  # in px, whose probability may be a half but for the last bit
}
LOSS_TOLERANCE = (2e-5, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="a Python with PaddleDetection and the same Paddle")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: give 1 or more")
    import_paddle(options.threads)
    with peer_python(options.peer_python, PADDLEDET) as python, TemporaryDirectory() as folder:
        used = versions(python, PADDLEDET)
        actions = prepare(Path(folder))
        with asking([python, PADDLEDET.side, "run", folder]) as ask:
            turns = [compare(actions, ask, n % 2 == 1) for n in range(options.rounds + 1)]
    report(turns[1:], used, options)


def prepare(folder):
    """Write weights and inputs for both sides, and give segcore's actions by name."""
    import paddle

    from segcore.testing.parity import fill_network, reference_image
    from segcore_maskrcnn.build import build_mask_rcnn

    paddle.set_device("cpu")
    layout = json.loads(gzip.decompress((DATA / f"{MODEL}.layout.json.gz").read_bytes()))
    objects = json.loads((DATA / "training.json").read_text())
    network = build_mask_rcnn(80, backbone="ResNet18", use_random=False)
    fill_network(network, layout["fill_scale"])
    paddle.save(network.state_dict(), str(folder / "weights.pdparams"))
    inputs = {
        "image": reference_image(*SIZE, seed=5),
        "im_shape": np.array([SIZE], np.float32),
        "gt_bbox": np.array(objects["gt_bbox"], np.float32),
        "gt_class": np.array(objects["gt_class"], np.int64),
        "gt_outline": np.array(objects["gt_polygons"]).reshape(len(objects["gt_bbox"]), -1, 2),
    }
    np.savez(folder / "inputs.npz", **inputs)
    ours = {name: [inputs[name]] for name in ("gt_bbox", "gt_class")}
    ours["gt_mask"] = [[[outline] for outline in inputs["gt_outline"]]]
    return open_actions(network, inputs, ours)


def compare(actions, ask, peer_begins):
    """Give by action and side the seconds, those of the processor, and what was computed."""
    sides = [("segcore", lambda name: timed(actions[name])), ("paddledet", ask)]
    turn = {}
    for name in actions:
        turn[name] = {side: answer(name) for side, answer in sides[:: -1 if peer_begins else 1]}
        require_agreement(*(turn[name][side]["values"] for side, _ in sides))
        shown = ", ".join(f"{side} {one['seconds']:.2f} s" for side, one in turn[name].items())
        print(f"{name}: {shown}", file=sys.stderr)
    return turn


def require_agreement(ours, theirs):
    """Exit where the two sides have not computed the same."""
    if ours.keys() != theirs.keys():
        raise SystemExit(f"the sides compute other things: {sorted(ours)} and {sorted(theirs)}")
    for name in ours:
        relative, absolute = TOLERANCES.get(name, LOSS_TOLERANCE)
        own, other = np.array(ours[name]), np.array(theirs[name])
        if not own.size or own.shape != other.shape:
            raise SystemExit(f"{name}: segcore gives {own.shape}, PaddleDetection {other.shape}")
        if not np.allclose(own, other, relative, absolute):
            raise SystemExit(f"{name} differs by up to {np.abs(own - other).max()}")


def report(turns, used, options):
    ratios = {
        name: {
            clock: spread(
                [one[name]["paddledet"][clock] / one[name]["segcore"][clock] for one in turns]
            )
            for clock in CLOCKS
        }
        for name in turns[0]
    }
    if options.json:
        result = {"versions": used, "options": vars(options), "rounds": turns, "ratio": ratios}
        print(json.dumps(result, indent=2))
        return
    print_versions(used)
    found = len(turns[0]["prediction"]["segcore"]["values"]["area"])
    print(
        f"{MODEL}, 1 x {SIZE[0]} x {SIZE[1]}, threads {options.threads}, rounds {len(turns)}; "
        f"losses, boxes and masks agree, {found} objects are found"
    )
    print(f"{'':20} {'segcore':>9} {'paddledet':>9} {'ratio':>7}{'min':>7}{'max':>7}  (s)")
    for name, by_clock in ratios.items():
        for clock, ratio in by_clock.items():
            medians = [
                spread([one[name][side][clock] for one in turns])["median"]
                for side in ("segcore", "paddledet")
            ]
            numbers = "".join(f"{value:7.3f}" for value in ratio.values())
            label = f"{name}, {'wall' if clock == 'seconds' else 'processor'}"
            print(f"{label:20} {medians[0]:9.2f} {medians[1]:9.2f} {numbers}")


if __name__ == "__main__":
    main()
