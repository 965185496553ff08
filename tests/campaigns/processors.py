"""Compare networks with their references as other processors and libraries would compute them.

    python -m tests.campaigns.processors [-k EXPRESSION] [PATH...]

Runs the tests marked `parity` with other numbers of threads, instruction sets and orders of
summation, each in a process of its own; none may fail. What a setting changes can be seen in the
last column: the digest of what a small network gives in float32. Where Paddle itself dies of a
setting (kernels of the MKL in its wheels that processors of AMD do not run), it says so.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

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
paddle.ones([64, 64], "float64") @ paddle.ones([64, 64], "float64")
print(hashlib.sha256(net(paddle.randn([4, 64, 8, 8])).numpy().tobytes()).hexdigest()[:12])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_selection(parser)
    options = parser.parse_args()
    failed = died = 0
    for setting in SETTINGS:
        name = " ".join(f"{key}={value}" for key, value in setting.items()) or "as it is"
        seen = _run(["-W", "ignore", "-c", FINGERPRINT], setting)
        if seen.returncode < 0:
            died += 1
            print(f"{name}: Paddle dies of {signal.Signals(-seen.returncode).name}", flush=True)
            continue
        done = _run(["-m", "pytest", *PARITY, "-k", options.k, *options.paths], setting)
        failed += done.returncode != 0
        last = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]
        print(f"{name}: {last}; {seen.stdout.strip()}", flush=True)
        if done.returncode != 0:
            print(done.stdout[-5000:], flush=True)
    print(
        f"{len(SETTINGS)} settings: parity fails under {failed} of them; Paddle does not run under "
        f"{died}"
    )
    return int(failed > 0)


def _run(arguments: list[str], setting: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
