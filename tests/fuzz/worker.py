"""Feed damaged files to readers: python worker.py TARGET,TARGET,... FIRST COUNT SECONDS FOLDER.

Inputs are counted over all targets, COUNT to each, and this process begins with FIRST. The number
of the input in work stands in FOLDER/current, so that whoever started this process knows which one
ended it; the outcomes of the others are added to FOLDER/outcomes.jsonl.
"""

import json
import os
import resource
import signal
import sys
import time
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from mutation import mutated
from targets import PLANTED, TARGETS

from segcore.errors import SegcoreError

MEMORY_BYTES = 2**30


def main(names, first, count, seconds, folder):
    known = {**TARGETS, **PLANTED}
    work = folder / "work"
    work.mkdir(exist_ok=True)
    current = os.open(folder / "current", os.O_WRONLY | os.O_CREAT)
    for name in TARGETS.keys() & set(names):
        for seed in TARGETS[name].seeds:
            # what a first call imports and allocates is not the doing of an input
            with suppress(SegcoreError):
                TARGETS[name].read(seed, work)
    warnings.simplefilter("error", RuntimeWarning)  # NumPy's way to say that a number is nonsense
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    outcomes = (folder / "outcomes.jsonl").open("a", buffering=1)
    for number in range(first, len(names) * count):
        os.pwrite(current, f"{number:12}".encode(), 0)
        name = names[number // count]
        data = make(name, known[name].seeds, number % count)
        signal.setitimer(signal.ITIMER_REAL, seconds)  # SIGALRM ends the process
        begun = time.perf_counter()
        outcome = read(known[name], data, work)
        took_s = round(time.perf_counter() - begun, 4)
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcomes.write(json.dumps([name, number % count, *outcome, took_s]) + "\n")
    outcomes.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (folder / "peak").write_text(str(peak))


def read(target, data, work):
    """Give what became of an input, and what came out of it where that is nothing of segcore's."""
    try:
        target.read(data, work)
    except SegcoreError:
        return "refused", ""
    except BaseException as error:
        return "foreign", f"{type(error).__name__}: {error!s:.200}"
    return "read", ""


def make(name, seeds, number):
    """Give input `number` of a target, the same in every process."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), number])
    seed, other = seeds[int(rng.integers(len(seeds)))], seeds[int(rng.integers(len(seeds)))]
    return mutated(seed, rng, other)


if __name__ == "__main__":
    first, count = int(sys.argv[2]), int(sys.argv[3])
    main(sys.argv[1].split(","), first, count, float(sys.argv[4]), Path(sys.argv[5]))
