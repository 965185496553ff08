import json
import shutil

import numpy as np
import pytest
from PIL import Image

from segcore.checkpoint.weights import read_weights
from segcore.config.load import read_yaml
from segcore.config.schema import Config
from segcore.engine.train import train
from segcore.errors import (
    ConfigError,
    DataError,
    OutputError,
    RunLockedError,
    WeightsError,
)


@pytest.fixture(scope="module")
def best_file(tmp_path_factory):
    """A place for the run that several tests look at."""
    return tmp_path_factory.mktemp("runs") / "run"


@pytest.fixture
def finished(best_file, configure):
    """A finished training of eight steps."""
    if not best_file.exists():
        train(configure(), best_file, device="cpu")
    return best_file


def test_a_training_leaves_the_documented_files(finished):
    for name in (
        "config.yaml",
        "train.log",
        "metrics.jsonl",
        "train_result.json",
        "checkpoints/step-8/MANIFEST.json",
        "best_model/model.pdparams",
        "best_model/model.pdopt",
        "best_model/model.pdstates",
        "best_model/inference/inference.yml",
        "best_model/inference/inference.pdiparams",
    ):
        assert (finished / name).is_file(), name


def test_the_result_names_files_that_are_there(finished):
    result = json.loads((finished / "train_result.json").read_text())
    best = result["models"]["best"]
    assert result["done_flag"] is True
    assert 0 < best["score"] < 1
    for key in ("pdparams", "pdopt", "pdstates", "pdmodel", "pdiparams", "inference_config"):
        assert (finished / best[key]).is_file(), key


def test_the_history_has_every_logged_step_and_every_evaluation(finished):
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["event"] == "train"]
    evaluated = [record["step"] for record in records if record["event"] == "eval"]
    assert steps == list(range(1, 9))
    assert evaluated == [4, 8]


def test_the_saved_configuration_reruns_the_training_exactly(finished, toys, tmp_path, digests):
    config = Config.model_validate(read_yaml(finished / "config.yaml"))
    train(config, tmp_path / "again", device="cpu", catalogue=toys)
    assert digests(tmp_path / "again") == digests(finished)


def test_workers_change_nothing(finished, configure, tmp_path, digests):
    train(configure("train.num_workers=2"), tmp_path / "run", device="cpu")
    assert digests(tmp_path / "run") == digests(finished)


def test_another_seed_gives_other_weights(finished, configure, tmp_path, digests):
    train(configure("train.seed=7"), tmp_path / "run", device="cpu")
    assert digests(tmp_path / "run") != digests(finished)


def test_the_loss_falls(configure, tmp_path):
    train(
        configure("train.iters=60", "train.schedule.type=constant", "train.eval_interval=60"),
        tmp_path / "run",
        device="cpu",
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines if '"train"' in line]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_the_best_weights_are_those_of_the_best_evaluation(configure, tmp_path):
    result = train(configure("train.eval_interval=2"), tmp_path / "run", device="cpu")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    scores = {r["step"]: r["miou"] for r in map(json.loads, lines) if r["event"] == "eval"}
    best = result["models"]["best"]
    assert best["score"] == max(scores.values())
    assert scores[best["step"]] == best["score"]


def test_a_folder_with_a_run_is_not_trained_into(finished, configure):
    with pytest.raises(OutputError, match="--resume"):
        train(configure(), finished, device="cpu")


def test_resuming_a_finished_training_changes_nothing(finished, configure, digests):
    before = digests(finished)
    train(configure(), finished, device="cpu", resume=True)
    assert digests(finished) == before


def test_what_a_user_put_beside_the_export_stands_in_no_training_s_way(
    finished, configure, tmp_path, digests
):
    output = shutil.copytree(finished, tmp_path / "run")
    (output / "best_model/inference/notes.txt").write_text("mine")
    train(configure(), output, resume=True)
    assert (output / "best_model.bak/inference/notes.txt").read_text() == "mine"
    assert digests(output) == digests(finished)


def test_an_edited_configuration_is_kept_where_it_is_written_anew(
    finished, configure, tmp_path, caplog
):
    output = shutil.copytree(finished, tmp_path / "run")
    config = output / "config.yaml"
    written = config.read_text()
    for number, name in enumerate(("config.yaml.bak", "config.yaml.bak.1")):
        config.write_text(f"{written}# mine {number}\n")
        train(configure(), output, device="cpu", resume=True)
        assert (output / name).read_text() == f"{written}# mine {number}\n"
        assert config.read_text() == written
        assert f"is in {output / name}" in caplog.text


def test_a_run_needs_a_length(configure, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.iters or train\.epochs"):
        train(configure("train.iters=null"), tmp_path / "run", device="cpu")


def test_epochs_count_passes_over_the_data(configure, tmp_path):
    result = train(configure("train.iters=null", "train.epochs=2"), tmp_path / "run", device="cpu")
    assert result["steps"] == 2 * (16 // 4)


def test_training_stops_when_nothing_gets_better(configure, tmp_path):
    config = configure(
        "train.iters=40", "train.eval_interval=2", "train.patience=2", "train.min_delta=1.0"
    )
    result = train(config, tmp_path / "run", device="cpu")
    assert result["steps"] == 6


def test_pretrained_weights_are_where_training_begins(finished, configure, tmp_path):
    weights = finished / "best_model" / "model.pdparams"
    config = configure(f"train.pretrained={weights}", "train.iters=1", "train.learning_rate=1e-30")
    train(config, tmp_path / "run", device="cpu")
    found = read_weights(tmp_path / "run" / "best_model" / "model.pdparams")
    np.testing.assert_array_equal(found["conv.weight"], read_weights(weights)["conv.weight"])


def test_weights_of_another_model_are_refused(finished, configure, tmp_path):
    weights = finished / "best_model" / "model.pdparams"
    config = configure(f"train.pretrained={weights}", model="PP-LiteSeg-T")
    with pytest.raises(WeightsError, match="does not fit"):
        train(config, tmp_path / "run", device="cpu")


def test_one_folder_takes_one_training_at_a_time(configure, tmp_path):
    from segcore.checkpoint.lock import RunLock

    with RunLock(tmp_path / "run"), pytest.raises(RunLockedError, match="process"):
        train(configure(), tmp_path / "run", device="cpu")


def test_a_missing_dataset_is_named(configure, tmp_path):
    config = configure()
    data = config.data.model_copy(update={"path": str(tmp_path / "nowhere")})
    with pytest.raises(DataError, match="nowhere"):
        train(config.model_copy(update={"data": data}), tmp_path / "run", device="cpu")


def test_a_failing_observer_is_left_out_and_the_training_goes_on(configure, tmp_path, caplog):
    result = train(configure("train.observers=[{type: Failing}]"), tmp_path / "run", device="cpu")
    assert result["steps"] == 8
    assert sum("tracker is unreachable" in line for line in caplog.messages) == 3
    assert any("is left out" in line for line in caplog.messages)


def test_the_csv_observer_writes_a_row_an_evaluation(configure, tmp_path):
    train(configure("train.observers=[{type: CSVLog}]"), tmp_path / "run", device="cpu")
    rows = (tmp_path / "run" / "evaluations.csv").read_text().splitlines()
    assert rows[0].startswith("event,step,miou")
    assert [row.split(",")[1] for row in rows[1:]] == ["4", "8"]


def test_a_bad_sample_is_refused_before_the_first_step(configure, tmp_path, shapes):
    data = shutil.copytree(shapes, tmp_path / "data")
    label = data / (data / "train.txt").read_text().splitlines()[-1].split()[1]
    Image.fromarray(np.full((64, 64), 21, np.uint8)).save(label)
    config = configure("train.iters=1", data=data)
    with pytest.raises(DataError, match=r"train\.txt, line 16"):
        train(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_qualified_name_stays_qualified_in_the_saved_configuration(configure, tmp_path):
    config = configure("train.iters=1", model="segcore-toy-plugin/Toy")
    train(config, tmp_path / "run", device="cpu")
    assert read_yaml(tmp_path / "run" / "config.yaml")["model"]["name"] == config.model.name
    assert "/" in config.model.name
