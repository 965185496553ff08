"""Measure how far rounding moves what networks are compared by, and write the tolerances.

    python -m tests.campaigns.sensitivity [--draws 4] [-k EXPRESSION] [PATH...]

Each agreement with a reference (tests marked `parity`) is computed in double precision with weights
and inputs of layers that are off as by rounding to float32. Ten times the root mean square of the
movement is its tolerance. Printed is, for each, the largest share of its tolerance that the
reference itself takes: above 1, rounding does not explain how far it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import pytest

from segcore.testing.parity import Agreement

PARITY = ("-q", "--no-header", "--tb=short", "-m", "parity", "-p", "no:cacheprovider")
PLACES = ("plugins", "tests/testing")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Let the agreements be chosen as pytest chooses tests."""
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="as pytest takes it")
    parser.add_argument("paths", nargs="*", default=list(PLACES))


def run_parity(options: argparse.Namespace, check: Callable[[Agreement], dict[str, float]]) -> int:
    """Run the chosen tests with `check` for `Agreement.check`; return what pytest ends with."""

    def checked(agreement: Agreement) -> dict[str, float]:
        return check(agreement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agreement, "check", checked)
        return int(pytest.main([*PARITY, "-s", "-k", options.k, *options.paths]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4)
    add_selection(parser)
    options = parser.parse_args()
    measured: list[str] = []
    beyond: list[str] = []

    def measure(agreement: Agreement) -> dict[str, float]:
        distances = agreement.write_tolerances(options.draws)
        tolerances = agreement.tolerances()
        shares = {
            name: distance / tolerances[name] if distance else 0.0
            for name, distance in distances.items()
        }
        worst = max(shares, key=shares.__getitem__)
        print(f"\n{agreement.name}: {worst} takes {shares[worst]:.2f} of {tolerances[worst]:.1e}")
        measured.append(agreement.name)
        if shares[worst] > 1:
            beyond.append(agreement.name)
        return distances

    code = run_parity(options, measure)
    print(
        f"{len(measured)} agreements measured; the reference is beyond tolerance in "
        f"{len(beyond)}: {', '.join(beyond) or 'none'}"
    )
    return int(code != 0 or bool(beyond))


if __name__ == "__main__":
    sys.exit(main())
