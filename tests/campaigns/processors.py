"""Compare networks with their references as other processors and libraries would compute them.

    python -m tests.campaigns.processors [-k EXPRESSION] [PATH...]

Runs the tests marked `parity` with other numbers of threads, instruction sets and orders of
summation, each in a process of its own; none may fail. What a setting changes can be seen in the
last column: the digest of what a small network gives in float32.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tests.campaigns.sensitivity import PARITY, add_selection

SETTINGS: tuple[dict[str, str], ...] = (
    {},
    *({"OMP_NUM_THREADS": count} for count in ("1", "2", "3", "4")),
    *({"ONEDNN_MAX_CPU_ISA": isa} for isa in ("SSE41", "AVX", "AVX2", "AVX512_CORE")),
    *({"MKL_CBWR": mode} for mode in ("COMPATIBLE", "SSE4_2", "AVX2", "AVX512")),
    # what the library with Paddle's wheels takes for the processor: SSE 4.2, AVX, AVX2
    *({"MKL_DEBUG_CPU_TYPE": number} for number in ("3", "4", "5")),
    {"OMP_NUM_THREADS": "4", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_DEBUG_CPU_TYPE": "3"},
)
FINGERPRINT = """
import hashlib, paddle
paddle.seed(0)
from paddle.nn import Conv2D, Flatten, Linear, Sequential
net = Sequential(Conv2D(64, 64, 3), Flatten(), Linear(64 * 36, 50))
net.eval()
print(hashlib.sha256(net(paddle.randn([4, 64, 8, 8])).numpy().tobytes()).hexdigest()[:12])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_selection(parser)
    options = parser.parse_args()
    failed = 0
    for setting in SETTINGS:
        environment = {**os.environ, **setting}
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *PARITY, "-k", options.k, *options.paths],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seen = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FINGERPRINT],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        failed += done.returncode != 0
        name = " ".join(f"{key}={value}" for key, value in setting.items()) or "as it is"
        last = done.stdout.strip().splitlines()[-1]
        print(
            f"{name}: {last} ({time.monotonic() - begun:.0f} s); {seen.stdout.strip()}", flush=True
        )
        if done.returncode != 0:
            print(done.stdout[-5000:], flush=True)
    print(f"{len(SETTINGS)} settings: parity fails under {failed} of them")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
