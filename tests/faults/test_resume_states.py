"""A resume from whatever state a run folder is in: the same end, or a refusal that changes nothing.

`python -m tests.campaigns.resume` tries the whole table, and pairs of faults at random.
"""

import json
import shutil
import subprocess
import sys

import pytest

from segcore.checkpoint.manifest import MANIFEST, read_manifest
from segcore.engine import train as engine
from segcore.errors import CheckpointError, OutputError
from tests.campaigns.resume import (
    SETTINGS,
    STATES,
    Report,
    best_score,
    careless,
    digest_run,
    newest,
    picture,
    run,
    train_runs,
    try_pairs,
    try_table,
)

_benches = {}


@pytest.fixture
def bench(configure, tmp_path_factory):
    """Runs to spoil, trained once, and their settings."""
    if not _benches:
        folder = tmp_path_factory.mktemp("bench")
        _benches["toy"] = train_runs(folder, configure(*SETTINGS))
    return _benches["toy"]


@pytest.fixture
def stopped(bench, tmp_path):
    """A training that was stopped after a checkpoint, an evaluation and some more steps."""
    return shutil.copytree(bench.runs["stopped"], tmp_path / "run")


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.slow)])
def test_a_spoilt_file_is_refused_or_makes_no_difference(bench, every):
    report = Report()
    try_table(bench, report, every=every)
    assert report.faults == []
    assert report.counts["refused"] > 2 < report.counts["same end"]


@pytest.mark.parametrize("every", [53, pytest.param(1, marks=pytest.mark.slow)])
def test_what_is_taken_on_keeps_the_best_model_and_the_order_of_the_history(bench, every):
    report = Report()
    try_table(bench, report, accept=True, every=every)
    assert report.faults == []


@pytest.mark.slow
def test_two_faults_are_no_worse_than_one(bench):
    report = Report()
    try_pairs(bench, report, 100, seed=0)
    assert report.faults == []


def test_the_table_notices_a_training_that_asks_no_questions(bench):
    report = Report()
    with careless():
        try_table(bench, report, every=31, without=["make_pipe"])
    assert len(report.faults) > 1


@pytest.mark.parametrize("name", ["model.pdparams", "state.json", MANIFEST])
def test_what_is_wrong_with_each_checkpoint_is_said(bench, stopped, name):
    for path in stopped.glob(f"checkpoints/*/{name}"):
        path.write_bytes(path.read_bytes()[:-1])
    before = picture(stopped)
    with pytest.raises(CheckpointError) as caught:
        run(bench.config, stopped, resume=True)
    for path in (stopped / "checkpoints").iterdir():
        assert f"{path.name}/{name}" in str(caught.value)
    assert picture(stopped) == before
    with pytest.raises(CheckpointError):
        run(bench.config, stopped, resume=True, accept_changes=True)
    assert picture(stopped) == before


@pytest.mark.parametrize("left", ["best_model", "metrics.jsonl", "run.id", "train_result.json"])
def test_a_new_training_leaves_what_is_left_of_another_alone(bench, tmp_path, left):
    source = shutil.copytree(bench.runs["finished"], tmp_path / "run")
    STATES[f"only {left}"](source, source)
    before = picture(source)
    for resume in (False, True):
        with pytest.raises((OutputError, CheckpointError), match="holds a run"):
            run(bench.config, source, resume=resume)
    assert picture(source) == before


def test_a_training_that_is_killed_before_its_first_checkpoint_leaves_no_run(bench, tmp_path):
    (tmp_path / "run" / "checkpoints" / ".tmp-step-0-1-0123abcd").mkdir(parents=True)
    run(bench.config, tmp_path / "run")
    assert digest_run(tmp_path / "run") == bench.straight


def test_all_differences_are_listed_at_once_and_nothing_changes(bench, stopped):
    shutil.rmtree(stopped / "best_model")
    (stopped / "metrics.jsonl").write_text("")
    train = bench.config.train.model_copy(update={"seed": 3, "learning_rate": 0.5})
    before = picture(stopped)
    with pytest.raises(CheckpointError) as caught:
        run(bench.config.model_copy(update={"train": train}), stopped, resume=True)
    for what in ("train.seed", "train.learning_rate", "best_model: ", "metrics.jsonl: "):
        assert what in str(caught.value)
    assert picture(stopped) == before


def test_labels_that_were_exchanged_are_other_data_and_a_copy_is_not(bench, stopped, tmp_path):
    data = shutil.copytree(bench.config.data.path, tmp_path / "data")
    config = moved(bench.config, data)
    first, second = sorted((data / "annotations").iterdir())[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    with pytest.raises(CheckpointError, match="datasets: content of train"):
        run(config, stopped, resume=True)
    first.write_bytes(one)
    second.write_bytes(other)
    run(config, stopped, resume=True)
    assert digest_run(stopped) == bench.straight


def moved(config, data):
    """Give the settings for the dataset in another folder."""
    section = config.data.model_copy(update={"path": str(data)})
    return config.model_copy(update={"data": section})


def test_other_threads_are_refused_and_then_taken_on(bench, stopped, monkeypatch, caplog):
    counts = {**engine.thread_counts(), "OMP_NUM_THREADS": 64}
    monkeypatch.setattr(engine, "thread_counts", lambda: counts)
    before = picture(stopped)
    with pytest.raises(CheckpointError, match=r"threads: OMP_NUM_THREADS: was \d+, is 64"):
        run(bench.config, stopped, resume=True)
    assert picture(stopped) == before
    run(bench.config, stopped, resume=True, accept_changes=True)
    assert "taken on: threads: OMP_NUM_THREADS" in caplog.text


@pytest.mark.parametrize("count", ["1", "2"])
def test_threads_are_those_that_compute(count):
    program = "from segcore.engine.provenance import thread_counts; print(thread_counts())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={"PATH": "", "OMP_NUM_THREADS": count},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"'OMP_NUM_THREADS': {count}" in done.stdout


def test_another_version_of_a_plugin_or_another_one_with_its_name_is_refused(
    bench, stopped, monkeypatch
):
    original = engine.Provenance

    def upgraded(*arguments):
        found = original(*arguments)
        found.versions["segcore-toy-plugin"] = "2.0"
        found.components["loss CrossEntropyLoss"] = "their-losses"
        return found

    monkeypatch.setattr(engine, "Provenance", upgraded)
    with pytest.raises(CheckpointError) as caught:
        run(bench.config, stopped, resume=True)
    assert "versions: segcore-toy-plugin: was '1.0', is '2.0'" in str(caught.value)
    assert "loss CrossEntropyLoss: was 'segcore', is 'their-losses'" in str(caught.value)


def rewrite_state(folder, change):
    """Change the state in each checkpoint, and its manifest with it."""
    for place in (folder / "checkpoints").iterdir():
        state = json.loads((place / "state.json").read_bytes())
        change(state)
        data = json.dumps(state).encode()
        (place / "state.json").write_bytes(data)
        manifest = read_manifest(place)
        record = type(manifest.files["state.json"]).of(data)
        files = {**manifest.files, "state.json": record}
        changed = manifest.model_copy(update={"files": files})
        (place / MANIFEST).write_bytes(changed.to_bytes())


def make_old(state):
    """Leave what versions of segcore before this one wrote."""
    for key in ("version", "history_sha256"):
        del state[key]
    for key in ("contents", "components", "threads"):
        del state["identity"][key]
    known = ("segcore", "segcore-toy-plugin", "paddle")
    state["identity"]["versions"] = {k: state["identity"]["versions"][k] for k in known}


def test_a_run_of_an_older_version_goes_on_and_says_once_what_is_unknown(bench, stopped, caplog):
    rewrite_state(stopped, make_old)
    run(bench.config, stopped, resume=True)
    assert sum("not compared" in line for line in caplog.messages) == 1
    assert digest_run(stopped) == bench.straight
    caplog.clear()
    run(bench.config, stopped, resume=True)
    assert not any("not compared" in line for line in caplog.messages)


def test_a_state_of_a_newer_version_is_refused_as_such(bench, stopped):
    rewrite_state(stopped, lambda state: state.update(version=99))
    with pytest.raises(CheckpointError, match="its version is 99"):
        run(bench.config, stopped, resume=True)


def test_a_best_model_measured_by_another_metric_is_measured_again(bench, stopped, caplog):
    evaluation = bench.config.eval.model_copy(update={"best": "oacc"})
    config = bench.config.model_copy(update={"eval": evaluation})
    with pytest.raises(CheckpointError, match=r"eval\.best: was 'miou', is 'oacc'"):
        run(config, stopped, resume=True)
    old = best_score(stopped)
    run(config, stopped, resume=True, accept_changes=True)
    assert any("now has the score" in line for line in caplog.messages)
    records = [json.loads(line) for line in (stopped / "metrics.jsonl").read_text().splitlines()]
    scores = [record["oacc"] for record in records if record["event"] == "eval"]
    assert best_score(stopped) == max(scores)
    assert best_score(stopped) != old


def test_a_better_best_model_from_after_the_checkpoint_stays_until_its_step_comes(bench, tmp_path):
    source = shutil.copytree(bench.runs["finished"], tmp_path / "run")
    score, best = best_score(source), read_manifest(source / "best_model").digest
    shutil.rmtree(newest(source))
    step = bench.config.train.iters - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNAL_STEPS", str(step))
        with pytest.raises(Exception, match=f"step {step}"):
            run(bench.config, source, resume=True)
    assert best_score(source) == score
    run(bench.config, source, resume=True)
    assert digest_run(source) == bench.straight
    assert (
        read_manifest(source / "best_model").files
        == read_manifest(bench.runs["finished"] / "best_model").files
    )
    assert best
