"""The command that a finding offers mends it: the next check does not have it any more."""

import shlex
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from segcore.cli.data import data_command
from segcore.config.schema import DataConfig
from segcore.data.check import check_dataset


def load_corpus():
    spec = spec_from_file_location("remedy_corpus", Path(__file__).with_name("corpus.py"))
    module = sys.modules[spec.name] = module_from_spec(spec)  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


corpus = load_corpus()
OFFERED = {"SEG001", "SEG002", "SEG005", "SEG021", "SEG022", "SEG121", "SEG203", "SEG204", "SEG208",
           "SEG212", "SEG214", "SEG216"}  # fmt: skip


def run(command):
    """Run an offered command, and give the folder with the outcome."""
    words = shlex.split(command)
    assert words[:2] == ["segcore", "data"]
    result = CliRunner().invoke(data_command, words[2:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Path(words[words.index("--output") + 1] if "--output" in words else words[3])


def check(root, plant):
    return check_dataset(root, config=DataConfig(**plant.settings), workers=0).findings


def test_offered_commands_mend_what_they_are_offered_for(tmp_path):
    mended = set()
    for number, plant in enumerate(corpus.PLANTS):
        root = corpus.draw_clean(tmp_path / f"set {number}")
        plant.plant(root)
        for code, command in {f.code: f.fix for f in check(root, plant) if f.fix}.items():
            fixed = run(command)
            assert code not in {finding.code for finding in check(fixed, plant)}, str(plant)
            mended.add(code)
    assert mended >= OFFERED


def test_gaps_between_classes_are_closed(tmp_path):
    plant = corpus.PLANTS[0]
    root = corpus.draw_clean(tmp_path / "set")
    (root / "labels.txt").unlink()
    for path in (root / "annotations").iterdir():
        label = corpus.label(int(path.stem))
        path.write_bytes(corpus.encode(np.array([0, 3, 7], np.uint8)[label]))
    gaps = {finding.code: finding for finding in check(root, plant)}
    fixed = run(gaps["SEG302"].fix)
    assert "SEG302" not in {finding.code for finding in check(fixed, plant)}


def test_classes_in_three_channels_keep_their_numbers(tmp_path):
    plant = corpus.PLANTS[0]
    root = corpus.draw_clean(tmp_path / "set")
    path = root / "annotations/03.png"
    path.write_bytes(corpus.encode(np.dstack([corpus.label(3)] * 3)))
    fixes = {finding.code: finding.fix for finding in check(root, plant)}
    run(fixes["SEG203"])
    assert check(root, plant) == ()
