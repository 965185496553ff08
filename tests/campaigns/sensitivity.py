"""Measure how far rounding moves what networks are compared by, and write the tolerances.

    python -m tests.campaigns.sensitivity [--draws 4] [-k EXPRESSION] [PATH...]

Each agreement with a reference (tests marked `parity`) is computed in double precision with weights
and inputs of layers that are off as by rounding to float32. Ten times the root mean square of the
movement is its tolerance. Printed is, for each, the largest share of its tolerance that the
reference itself takes: above 1, rounding does not explain how far it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from segcore.testing.parity import (
    MARGIN,
    TOLERANCES,
    Agreement,
    double_precision,
    relative_distances,
)

PARITY = ("-q", "--no-header", "--tb=short", "-m", "parity", "-p", "no:cacheprovider")
PLACES = ("plugins", "tests/testing")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Let the agreements be chosen as pytest chooses tests."""
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="as pytest takes it")
    parser.add_argument("paths", nargs="*", default=list(PLACES))


class Measuring:
    """What `Agreement.check` is replaced by."""

    def __init__(self, draws: int) -> None:
        self.draws = draws
        self.found: dict[Path, dict[str, dict[str, float]]] = defaultdict(dict)
        self.beyond: list[str] = []

    def check(self, agreement: Agreement) -> dict[str, float]:
        """Measure the tolerances of an agreement, and keep them."""
        tolerances = {
            name: float(f"{MARGIN * moved:.2g}")
            for name, moved in agreement.sensitivity(self.draws).items()
        }
        with double_precision(agreement.network):
            distances = relative_distances(agreement.compute(), agreement.expected)
        self.found[agreement.folder / TOLERANCES][agreement.name] = tolerances
        shares = {
            name: distance / tolerances[name] if distance else 0.0
            for name, distance in distances.items()
        }
        worst = max(shares, key=shares.__getitem__)
        print(f"\n{agreement.name}: {worst} takes {shares[worst]:.2f} of {tolerances[worst]:.1e}")
        if shares[worst] > 1:
            self.beyond.append(agreement.name)
        return distances

    def write(self) -> None:
        """Write what was measured into the files beside the references, in order of names."""
        for path, measured in self.found.items():
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            text = json.dumps(dict(sorted({**known, **measured}.items())), indent=1)
            path.write_text(text + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4)
    add_selection(parser)
    options = parser.parse_args()
    measuring = Measuring(options.draws)

    def check(agreement: Agreement) -> dict[str, float]:
        return measuring.check(agreement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agreement, "check", check)
        code = pytest.main([*PARITY, "-s", "-k", options.k, *options.paths])
    measuring.write()
    print(
        f"{sum(map(len, measuring.found.values()))} agreements measured; the reference is beyond "
        f"tolerance in {len(measuring.beyond)}: {', '.join(measuring.beyond) or 'none'}"
    )
    return int(code != 0 or bool(measuring.beyond))


if __name__ == "__main__":
    sys.exit(main())
