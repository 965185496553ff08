"""What several threads get out of one model: taking turns, or each with a clone of the predictor.

    python benchmarks/threads.py [--model PP-LiteSeg-T] [--size 256] [--runs 32] [--rounds 3]

The ways take turns within one process, so that other load on the machine meets them all alike. The
weights are random: speed does not hang on them. Memory is what the process holds after eight
threads ran the model for the first time in this way, less what it held before; turns come first.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

THREADS = (1, 2, 8)
Run = Callable[[np.ndarray], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="PP-LiteSeg-T")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--runs", type=int, default=32, help="images in each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    image = np.random.default_rng(0).normal(size=(1, 3, options.size, options.size))
    with TemporaryDirectory() as folder:
        ways = load_ways(options.model, Path(folder))
        image = image.astype(np.float32)
        memory = {name: growth(run, image) for name, run in ways.items()}
        speeds: dict[tuple[str, int], list[float]] = {}
        for _ in range(options.rounds):
            for threads in THREADS:
                for name, run in ways.items():
                    speed = measure(run, image, threads, options.runs)
                    speeds.setdefault((name, threads), []).append(speed)
        print(f"{options.model}, {options.size} x {options.size}: images per second, median")
        for name in ways:
            shown = "  ".join(f"{k} threads {show(speeds[name, k])}" for k in THREADS)
            print(f"  {name:15} {shown}  {memory[name] / 1e6:+.0f} MB")


def show(speeds: list[float]) -> str:
    return f"{statistics.median(speeds):.1f} ({min(speeds):.1f} to {max(speeds):.1f})"


def load_ways(model: str, folder: Path) -> dict[str, Run]:
    """Load the model in both runtimes; give each way to run it by its name."""
    from segcore.devices.cpu import CPU
    from segcore.inference.eager import Eager
    from segcore.inference.paddle import PaddleInference
    from segcore.inference.source import find_model
    from segcore.testing.runtime import untrained_run

    source = find_model(untrained_run(model, folder / "run", 19)).source
    exported, network = (load().load(source, CPU(), 0) for load in (PaddleInference, Eager))
    exported.run({"x": np.zeros((1, 3, 64, 64), np.float32)})
    own, lock = threading.local(), threading.Lock()

    def run_clone(image: np.ndarray) -> object:
        if not hasattr(own, "predictor"):
            with lock:
                own.predictor = exported.session._predictor.clone()  # noqa: SLF001
        predictor = own.predictor
        handle = predictor.get_input_handle(predictor.get_input_names()[0])
        handle.reshape(image.shape)
        handle.copy_from_cpu(image)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()

    return {
        "paddle, turns": lambda image: exported.run({"x": image}),
        "paddle, clones": run_clone,
        "eager, turns": lambda image: network.run({"x": image}),
        "eager, at once": lambda image: network.session.run({"x": image}),
    }


def measure(run: Run, image: np.ndarray, threads: int, runs: int) -> float:
    """Give the images per second; what the first run of each thread sets up is not counted."""
    start = threading.Barrier(threads)

    def warm_up(_: int) -> None:
        start.wait()
        run(image)

    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(warm_up, range(threads)))
        begun = time.perf_counter()
        list(executor.map(run, [image] * runs))
        return runs / (time.perf_counter() - begun)


def growth(run: Run, image: np.ndarray) -> int:
    """Give the bytes that the process gains by eight threads that run for the first time."""
    before = resident()
    measure(run, image, THREADS[-1], THREADS[-1])
    return resident() - before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
