"""Time of commands that only list, as a ratio to an interpreter that imports what they build on.

    python benchmarks/startup.py [--rounds 15] [--plugins 100]

Every command is a fresh process, all are interleaved, and the median of the rounds counts. The time
is the processor's (user and system, of a single thread), so that other work on the machine does not
count. Three yardsticks, because `import pydantic` alone is lazy and loads next to nothing of it:
just the three imports; the same and `pydantic.BaseModel`; the same and one model of one field.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from segcore.testing.site import Site

YARDSTICKS = {
    "imports": "import click, pluggy, pydantic",
    "BaseModel": "import click, pluggy\nfrom pydantic import BaseModel",
    "one model": "import click, pluggy\nfrom pydantic import BaseModel\n"
    "class One(BaseModel):\n    field: int = 1",
}

COMMANDS = {
    "segcore --help": ["--help"],
    "segcore models": ["models"],
    "segcore config check": ["config", "check", "CONFIG"],
}

PLUGIN = """
from segcore.plugin import ModelSpec, hookimpl


@hookimpl
def segcore_models():
    return [
        ModelSpec(name="Generated-{n}-" + size, target="generated_{n}_network:Net")
        for size in ("small", "large")
    ]
"""


def seconds(code_or_arguments, environment):
    child = subprocess.Popen(
        [sys.executable, *code_or_arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode != 0:
        raise SystemExit(f"{code_or_arguments} ended with {child.returncode}: {said.decode()}")
    return usage.ru_utime + usage.ru_stime


def measure(cases, rounds):
    times = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, (arguments, environment) in cases.items():
            took = seconds(arguments, environment)
            if number > 0:  # the first round writes the byte code
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--plugins", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(options, Path(folder))


def report(options, folder):
    config = folder / "config.yaml"
    config.write_text("model:\n  name: PP-LiteSeg-T\n", encoding="utf-8")
    few, many = Site(folder / "few"), Site(folder / "many")
    for number in range(options.plugins):
        many.install(f"generated_{number}", PLUGIN.format(n=number))
    # as after a normal installation: byte code of all modules is there
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    plain["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    cases = {name: (["-c", code], plain) for name, code in YARDSTICKS.items()}
    for name, words in COMMANDS.items():
        arguments = [
            "-m",
            "segcore",
            *(str(config) if word == "CONFIG" else word for word in words),
        ]
        cases[name] = (arguments, plain | {"PYTHONPATH": str(few.folder)})
        crowded = f"{name} (+{options.plugins} plugins)"
        cases[crowded] = (arguments, plain | {"PYTHONPATH": str(many.folder)})
    medians = measure(cases, options.rounds)
    print(f"{'':38} {'ms':>6}", *(f"{'/ ' + name:>12}" for name in YARDSTICKS))
    for name, median in medians.items():
        ratios = (f"{median / medians[yardstick]:12.2f}" for yardstick in YARDSTICKS)
        print(f"{name:38} {1000 * median:6.0f}", *ratios)


if __name__ == "__main__":
    main()
