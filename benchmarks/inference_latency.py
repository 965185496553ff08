"""How fast the runtimes run a model, as ratios to the network itself (runtime eager).

    python benchmarks/inference_latency.py [--model PP-LiteSeg-T] [--size 512] [--rounds 20]

Runtimes take turns within one process, so that other load on the machine meets them all alike. The
weights are random: speed does not hang on them.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="PP-LiteSeg-T")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    images = np.random.default_rng(0).normal(size=(options.batch, 3, options.size, options.size))
    with TemporaryDirectory() as folder:
        sessions = load_sessions(options.model, Path(folder))
        times = measure(sessions, images.astype(np.float32), options.rounds)
    eager = statistics.median(times["eager"])
    print(f"{options.model}, {options.batch} x {options.size} x {options.size}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"  {name:8} {eager / median:5.2f} x eager  ({median * 1e3:.1f} ms)")


def load_sessions(model: str, folder: Path) -> dict:
    """Build the network and its export, and give a session of each."""
    from segcore.config.schema import Config
    from segcore.devices.cpu import CPU
    from segcore.devices.framework import require_paddle
    from segcore.discovery.catalogue import get_catalogue
    from segcore.export.write import write_export
    from segcore.inference.eager import create_task
    from segcore.inference.paddle import PaddleInference
    from segcore.protocols import ModelSource

    require_paddle()
    config = Config.model_validate({"model": {"name": model}, "data": {"num_classes": 19}})
    catalogue = get_catalogue()
    network = catalogue.build_model(catalogue.models.find(model), 19)
    network.eval()
    task = create_task(config, None)
    write_export(network, task, folder / "inference")
    exported = PaddleInference().load(ModelSource(export_dir=folder / "inference"), CPU(), 0)
    return {"eager": task.session(network), "paddle": exported}


def measure(sessions: dict, images: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Give the seconds of each run; what a first run sets up is not counted."""
    from segcore.devices.framework import restore_threads

    times: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(rounds + 2):
        for name, session in sessions.items():
            restore_threads()
            begun = time.perf_counter()
            session.run({"x": images})
            if turn >= 2:
                times[name].append(time.perf_counter() - begun)
    return times


if __name__ == "__main__":
    main()
