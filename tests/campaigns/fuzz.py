"""Damaged files of every kind, for as long as you like: read, or refused by name, and nothing else.

A worker process (`tests/fuzz/worker.py`) feeds each reader mutations of sound files, with 1 GiB of
address space and 10 seconds for each; one that it kills is an error of its reader.

    python -m tests.campaigns.fuzz --minutes 10 [--reader coco]...

Negative controls: the planted readers of `tests/fuzz/targets.py` (what raises, recurses, allocates,
crashes, warns and hangs), and two readers without their guard.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.test_mutations import READERS, fuzz

BATCH = 500
CONTROLS = {
    "raises": 1, "recurses": 1, "allocates": 1, "warns": 1, "crashes": 1, "hangs": 1,
    "unguarded-json": 100, "unguarded-pillow": 100,
}  # fmt: skip
"""What has to be noticed, and how many inputs it takes."""


def fuzz_reader(reader: str, seconds: float, folder: Path) -> tuple[str, int]:
    """Feed a reader for so much computing; give a line about it, and the number of its errors."""
    begun = _computed_s()
    counts: Counter[str] = Counter()
    slowest, peak, first = 0.0, 0, 0
    errors: list[tuple[str, int, str]] = []
    while _computed_s() - begun < seconds and not errors:
        place = folder / f"{reader}-{first}"
        _, errors = fuzz([reader], first + BATCH, place, first=first)
        for line in (place / "outcomes.jsonl").read_text().splitlines():
            _, _, kind, _, took_s = json.loads(line)
            counts[kind] += 1
            slowest = max(slowest, took_s)
        if (place / "peak").exists():
            peak = max(peak, int((place / "peak").read_text()))
        first += BATCH
    tried = sum(counts.values())
    for _, number, reason in errors:
        print(f"{reader}, input {number}: {reason}")
    return (
        f"{reader}: {tried} inputs, {counts['refused']} refused, {counts['read']} accepted, "
        f"{len(errors)} foreign errors or deaths, slowest {slowest:.2f} s, "
        f"{peak / 2**20:.0f} MiB in all at most",
        len(errors),
    )


def _computed_s() -> float:
    """Return the processor time of all ended children, so that a busy machine tries as much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def control(folder: Path) -> list[str]:
    """Name the controls that were noticed."""
    noticed = []
    for name, count in CONTROLS.items():
        _, errors = fuzz([name], count, folder / f"control-{name}", seconds=0.5)
        if errors:
            noticed.append(name)
    return noticed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of computing for each reader")
    parser.add_argument("--reader", choices=READERS, action="append")
    options = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for reader in options.reader or READERS:
            line, errors = fuzz_reader(reader, 60 * options.minutes, Path(folder))
            failed += errors
            print(line, flush=True)
        noticed = control(Path(folder))
    print(
        f"{len(options.reader or READERS)} readers: {failed} foreign errors or deaths; negative "
        f"control: {len(noticed)} of {len(CONTROLS)} noticed"
    )
    return int(failed > 0 or len(noticed) != len(CONTROLS))


if __name__ == "__main__":
    sys.exit(main())
