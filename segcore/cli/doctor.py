"""`segcore doctor`: look at the installation and say what is wrong with it."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import click

from segcore import __version__
from segcore.cli.table import print_json, print_table
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import CheckFailed, SegcoreError

__all__ = ["doctor_command"]

_PADDLE_BUILDS = ("paddlepaddle", "paddlepaddle-gpu")
_OPENCV_BUILDS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_OPTIONAL = {"safetensors": "weights in .safetensors files"}


@dataclass(frozen=True)
class Observation:
    """One thing that was looked at; "bad" is to be mended, "note" is worth knowing."""

    subject: str
    verdict: Literal["good", "note", "bad"]
    text: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(as_json: bool) -> None:
    """Look at the installation and say what is wrong with it; end with code 1 if anything is."""
    observations = [
        Observation("python", "good", f"{platform.python_version()} ({sys.executable})"),
        Observation("segcore", "good", __version__),
        _one_build("paddle", _PADDLE_BUILDS, 'pip install "segcore[cpu]"'),
        _one_build("opencv", _OPENCV_BUILDS, "pip install opencv-python-headless"),
        *_devices(),
        *_plugins(),
        *_optional(),
    ]
    if as_json:
        print_json([vars(observation) for observation in observations])
    else:
        print_table(("", "", ""), [(o.verdict, o.subject, o.text) for o in observations])
    bad = [observation.subject for observation in observations if observation.verdict == "bad"]
    if bad:
        raise CheckFailed(f"doctor: {', '.join(dict.fromkeys(bad))} to be mended")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _one_build(subject: str, builds: tuple[str, ...], remedy: str) -> Observation:
    """Look which builds of one package are installed; two of them overwrite each other's files."""
    found = [f"{name} {version}" for name in builds if (version := _version(name))]
    if not found:
        return Observation(subject, "bad", f"not installed; run: {remedy}")
    if len(found) > 1:
        names = " ".join(line.split()[0] for line in found)
        return Observation(
            subject,
            "bad",
            f"{' and '.join(found)} overwrite each other; "
            f"run: pip uninstall -y {names}, then: {remedy}",
        )
    return Observation(subject, "good", found[0])


def _devices() -> list[Observation]:
    observations = []
    for entry in get_catalogue().devices:
        subject = f"device {entry.name}"
        try:
            device: Any = entry.load_target()()
            reason = device.unavailable_reason()
            count = 0 if reason else device.count()
        except SegcoreError as error:
            reason, count = str(error), 0
        if reason:
            observations.append(Observation(subject, "note", f"not usable: {reason}"))
        else:
            observations.append(Observation(subject, "good", f"{count} found"))
    return observations


def _plugins() -> list[Observation]:
    catalogue = get_catalogue()
    observations = []
    for plugin in catalogue.plugins:
        problem = plugin.problem() or catalogue.clash(plugin)
        text = problem or f"{plugin.distribution} {plugin.version}"
        if plugin.status == "disabled":
            text = f"{text}: {plugin.reason}"
        verdict: Literal["good", "bad"] = "bad" if problem else "good"
        observations.append(Observation(f"plugin {plugin.name}", verdict, text))
    return observations


def _optional() -> list[Observation]:
    return [
        Observation(name, "good", version)
        if (version := _version(name))
        else Observation(name, "note", f"not installed; needed for {purpose}")
        for name, purpose in _OPTIONAL.items()
    ]
