"""The locks say exactly what is installed, and follow the metadata of core and plugins."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
EXTRAS = ("cpu", "safetensors", "tiff", "test")


def _locked(path):
    """Map each name of a lock to its entries: the versions, with markers and digests."""
    entries = {}
    for entry in re.split(r"\n(?=[a-z])", path.read_text(encoding="utf-8")):
        if not entry.startswith("#"):
            pin, *digests = entry.split("\\\n")
            requirement = Requirement(pin.strip())
            entries.setdefault(canonicalize_name(requirement.name), []).append(
                (requirement, [digest.strip() for digest in digests])
            )
    return entries


def _projects():
    for path in (ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))):
        with path.open("rb") as file:
            yield tomllib.load(file)


def _wanted():
    """Give what `make setup` must install: of each project and of what builds it."""
    for project in _projects():
        extras = project["project"].get("optional-dependencies", {})
        texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
        for extra in EXTRAS:
            texts += extras.get(extra, [])
        for requirement in map(Requirement, texts):
            if not requirement.name.startswith("segcore"):
                yield requirement


def test_there_is_a_lock_for_each_paddle_and_for_the_lowest_versions():
    names = {path.stem for path in LOCKS}
    assert {"paddlepaddle-2.6.2", "paddlepaddle-3.1.1", "paddlepaddle-3.3.1", "lowest"} <= names


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_entry_is_one_version_with_digests(lock):
    entries = [entry for several in _locked(lock).values() for entry in several]
    assert entries
    for requirement, digests in entries:
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert digests, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", digest) for digest in digests)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_the_metadata_are_satisfied(lock):
    locked = _locked(lock)
    for wanted in _wanted():
        assert canonicalize_name(wanted.name) in locked, f"{wanted}: renew the locks (make lock)"
        for requirement, _ in locked[canonicalize_name(wanted.name)]:
            (pin,) = requirement.specifier
            assert pin.version in wanted.specifier, f"{wanted}: renew the locks (make lock)"


def test_the_lowest_versions_are_those_of_the_metadata():
    locked = _locked(ROOT / "requirements" / "lowest.txt")
    bounds = {}
    for wanted in _wanted():
        for bound in wanted.specifier:
            assert bound.operator in (">=", "<", "!="), wanted
            if bound.operator == ">=":
                bounds.setdefault(wanted.name, []).append(bound.version)
    for name, versions in bounds.items():
        ((requirement, _),) = locked[canonicalize_name(name)]
        (pin,) = requirement.specifier
        lowest = max(versions, key=Version)
        assert pin.contains(lowest) or Specifier(f"=={lowest}.*").contains(pin.version), (
            f"{name}: the lowest version that is tested is {pin.version}, the metadata say {lowest}"
        )
