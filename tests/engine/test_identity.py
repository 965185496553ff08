"""The identity of a run: what counts as another training, and what an old run does not tell."""

import copy
import os
import shutil

import pytest

from segcore.config.schema import Config
from segcore.engine.identity import changes_scores, differences, run_identity, unknown_facts
from segcore.engine.train import train
from segcore.engine.trainer import Trainer


def identity(config=None, **changed):
    config = config or Config.model_validate({"model": {"name": "Any"}})
    facts = {
        "datasets": {"train": "a" * 64, "val": "b" * 64},
        "contents": {"train": "c" * 64, "val": "d" * 64},
        "components": {"model Any": "segcore-any", "loss Own": "their-losses"},
        "versions": {"segcore": "1.0", "segcore-any": "1.0", "their-losses": "2.0"},
        "threads": {"OMP_NUM_THREADS": 1},
        "device": "cpu",
    }
    return run_identity(config, **{**facts, **changed})


def old(state):
    """Leave what versions before this wrote."""
    known = {key: state[key] for key in ("config", "datasets", "device")}
    return {**known, "versions": {"segcore": "1.0", "segcore-any": "1.0"}}


CHANGES = {
    "lists": ({"datasets": {"train": "a" * 64, "val": "9" * 64}}, "datasets: list of val: was bbb"),
    "bytes": ({"contents": {"train": "9" * 64, "val": "d" * 64}}, "datasets: content of train: "),
    "another plugin": (
        {"components": {"model Any": "segcore-any", "loss Own": "our-losses"}},
        "components: loss Own: was 'their-losses', is 'our-losses'",
    ),
    "a version of a stranger": (
        {"versions": {"segcore": "1.0", "segcore-any": "1.0", "their-losses": "2.1"}},
        "versions: their-losses: was '2.0', is '2.1'",
    ),
    "a version that is new": (
        {"versions": {**identity()["versions"], "more": "1"}},
        "versions: more: was not there, is '1'",
    ),
    "threads": ({"threads": {"OMP_NUM_THREADS": 2}}, "threads: OMP_NUM_THREADS: was 1, is 2"),
    "device": ({"device": "gpu"}, "device: was 'cpu', is 'gpu'"),
}


@pytest.mark.parametrize(("changed", "line"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_one_line(changed, line):
    (found,) = differences(identity(), identity(**changed))
    assert found.startswith(line)


def test_all_changes_are_listed_at_once():
    changed = [change for change, _ in CHANGES.values()]
    merged = {key: value for change in changed for key, value in change.items()}
    assert len(differences(identity(), identity(**merged))) == len(merged)


def test_the_same_facts_are_no_difference():
    assert differences(identity(), copy.deepcopy(identity())) == []


def test_an_old_run_tells_less_and_is_no_other_training():
    assert differences(old(identity()), identity()) == []
    assert len(unknown_facts(old(identity()))) == 3
    assert unknown_facts(identity()) == []


def test_what_an_old_run_does_tell_is_compared():
    versions = {**identity()["versions"], "segcore-any": "1.1"}
    assert differences(old(identity()), identity(versions=versions)) == [
        "versions: segcore-any: was '1.0', is '1.1'"
    ]


@pytest.mark.parametrize(("seed", "count"), [(42, 0), (7, 1)])
def test_a_setting_that_an_older_version_did_not_know_counts_unless_it_has_its_default(seed, count):
    values = {"model": {"name": "Any"}, "train": {"seed": seed}}
    saved, now = (identity(Config.model_validate(values)) for _ in range(2))
    del saved["config"]["train.seed"]
    assert len(differences(saved, now)) == count


def test_options_that_were_not_given_are_a_difference():
    given = Config.model_validate({"model": {"name": "Any", "options": {"depth": 3}}})
    lines = differences(identity(), identity(given))
    assert "config: model.options.depth: was not there, is 3" in lines


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("config: train.iters: was 1, is 2", False),
        ("threads: OMP_NUM_THREADS: was 1, is 2", False),
        ("config: eval.best: was 'miou', is 'macc'", True),
        ("datasets: content of val: was a..., is b...", True),
        ("versions: segcore: was '1', is '2'", True),
    ],
)
def test_scores_are_compared_only_where_they_are_measured_alike(line, answer):
    assert changes_scores([line]) is answer


@pytest.mark.parametrize("change", ["other", "gone", "touched", "none"])
def test_data_that_change_while_a_training_runs_are_told(
    configure, shapes, tmp_path, monkeypatch, caplog, change
):
    data = shutil.copytree(shapes, tmp_path / "data")
    label = min((data / "annotations").iterdir())

    def run(trainer):
        state = whole_run(trainer)
        if change == "other":
            label.write_bytes(max((data / "annotations").iterdir()).read_bytes())
        elif change == "gone":
            label.unlink()
        elif change == "touched":
            os.utime(label)
        return state

    whole_run = Trainer.run
    monkeypatch.setattr(Trainer, "run", run)
    train(configure("train.iters=1", data=data), tmp_path / "run", device="cpu")
    assert ("have changed while the training ran" in caplog.text) == (change in ("other", "gone"))
