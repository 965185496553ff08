import json
import os

import pytest

from segcore.cli.main import run

SHORT = (
    *("-o", "train.iters=2", "-o", "train.batch_size=4", "-o", "train.crop_size=[48, 48]"),
    *("-o", "train.num_workers=0", "--device", "cpu"),
)


def train(shapes, output, *more):
    return run(["train", "Toy", "--data", str(shapes), "--output", str(output), *SHORT, *more])


@pytest.fixture
def trained(toys, shapes, tmp_path, capsys):
    assert train(shapes, tmp_path / "run") == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_stdout_is_only_json_when_asked(toys, shapes, tmp_path, capsys):
    assert train(shapes, tmp_path / "run", "--json") == 0
    answer = capsys.readouterr()
    assert json.loads(answer.out) == json.loads((tmp_path / "run/train_result.json").read_text())
    assert "training Toy" in answer.err


def test_the_settings_of_a_run_need_no_model_on_the_command_line(trained, tmp_path, capsys):
    again = tmp_path / "again"
    assert run(["train", "-c", str(trained / "config.yaml"), "--output", str(again)]) == 0
    weights = "best_model/model.pdparams"
    assert (again / weights).read_bytes() == (trained / weights).read_bytes()


def test_a_training_of_no_model_is_told_how_to_name_one(toys, shapes, tmp_path, capsys):
    assert run(["train", "--data", str(shapes), "--output", str(tmp_path / "run")]) == 2
    assert "segcore models" in capsys.readouterr().err


def test_a_second_training_into_the_folder_ends_with_code_2(trained, shapes, capsys):
    assert train(shapes, trained) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_measurement_is_printed_and_written(trained, shapes, capsys):
    assert run(["eval", str(trained), "--data", str(shapes), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((trained / "evaluate_result.json").read_text())
    assert printed == written
    assert 0 <= written["metrics"]["miou"] <= 1
    assert (written["done_flag"], written["images"], written["split"]) == (True, 4, "val")


@pytest.mark.parametrize("runtime", ["eager", "paddle"])
def test_weights_and_exports_measure_alike(trained, shapes, runtime, capsys):
    best = json.loads((trained / "train_result.json").read_text())["models"]["best"]["score"]
    run(["eval", str(trained), "--data", str(shapes), "--runtime", runtime, "--json"])
    assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(best, abs=1e-3)


def test_the_table_shows_every_class(trained, shapes, capsys):
    assert run(["eval", str(trained), "--data", str(shapes)]) == 0
    shown = capsys.readouterr().out
    for name in (shapes / "labels.txt").read_text().split():
        assert name in shown


def test_a_score_below_the_bar_ends_with_code_1(trained, shapes, capsys):
    assert run(["eval", str(trained), "--data", str(shapes), "--fail-under", "0.999"]) == 1
    assert "is below 0.999" in capsys.readouterr().err


def test_the_convention_changes_what_absent_classes_count(trained, shapes, capsys):
    run(["eval", str(trained), "--data", str(shapes), "--convention", "paddlex1", "--json"])
    assert json.loads(capsys.readouterr().out)["metrics"]["convention"] == "paddlex1"


def test_a_dataset_of_other_classes_is_refused(trained, shapes, tmp_path, capsys):
    from segcore.data.demo import draw_dataset

    other = draw_dataset(tmp_path / "eyes", "optic-disc", images=5, size=64)
    assert run(["eval", str(trained), "--data", str(other)]) == 2
    assert "was trained on 5" in capsys.readouterr().err


def test_unknown_weights_end_with_code_2_and_the_names_there_are(toys, shapes, tmp_path, capsys):
    assert train(shapes, tmp_path / "run", "--weights", "COCO") == 2
    assert "there are TOY_TOWN. Or give the path" in capsys.readouterr().err


def test_offline_fetches_nothing_and_ends_with_code_3(toys, shapes, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEGCORE_OFFLINE", raising=False)
    assert train(shapes, tmp_path / "run", "--weights", "TOY_TOWN", "--offline") == 3
    assert f"Put the file at {tmp_path / 'cache'}" in capsys.readouterr().err
    assert "SEGCORE_OFFLINE" not in os.environ  # it held for that command only
