"""Measuring and predicting follow the same settings, and compare the same classes."""

import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from segcore import create_model
from segcore.engine.evaluate import evaluate_model
from segcore.errors import ConfigError, DataError

SLIDING = "sliding: {crop: [16, 12], stride: [8, 12]}"
RESIZE = "[{type: Resize, target_size: [20, 24], interp: NEAREST}, {type: Normalize}]"


@pytest.fixture
def data(tmp_path):
    """A dataset of coloured noise, labelled at random, for the model Strongest-Colour."""
    generator = np.random.default_rng(0)
    root, rows = tmp_path / "data", []
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        image = generator.integers(0, 256, (24 + 8 * (number % 2), 40, 3), dtype=np.uint8)
        label = generator.choice([0, 1, 2, 255], image.shape[:2]).astype(np.uint8)
        Image.fromarray(image).save(root / f"images/{number}.png")
        Image.fromarray(label).save(root / f"annotations/{number}.png")
        rows.append(f"images/{number}.png annotations/{number}.png\n")
    (root / "val.txt").write_text("".join(rows))
    (root / "labels.txt").write_text("red\ngreen\nblue\n")
    return root


@pytest.fixture
def run(colour_run, tmp_path):
    """A copy of the run, whose files a test may change."""
    return shutil.copytree(colour_run, tmp_path / "run")


def measure(model, data, **options):
    return evaluate_model(model, data, device="cpu", num_workers=0, **options)


def count(predictor, data):
    """Count pixels by label and prediction of what `predictor` gives for the images of `data`."""
    matrix = np.zeros((3, 3), int)
    for row in (data / "val.txt").read_text().splitlines():
        image, label = (data / part for part in row.split())
        (result,) = predictor.predict(image)
        truth = np.asarray(Image.open(label))
        np.add.at(matrix, (truth[truth != 255], result.label_map[truth != 255]), 1)
    return matrix.tolist()


@pytest.mark.parametrize("runtime", ["auto", "paddle", "eager"])
@pytest.mark.parametrize("place", ["", "best_model", "best_model/inference"])
@pytest.mark.parametrize(
    "settings", [[], [f"eval.{SLIDING.replace(': {', '={', 1)}"], [f"eval.transforms={RESIZE}"]]
)
def test_predictions_are_what_is_measured(colour_run, data, tmp_path, place, runtime, settings):
    model, options = colour_run / place, {"runtime": runtime, "settings": settings}
    result = measure(model, data, output=tmp_path / "result", **options)
    predictor = create_model(model_dir=model, device="cpu", **options)
    assert count(predictor, data) == result["metrics"]["confusion_matrix"]
    assert predictor.facts["runtime"] == result["runtime"]


@pytest.mark.parametrize("place", ["", "best_model", "best_model/inference"])
def test_windows_in_a_file_count_for_both_or_are_said_to_be_ignored(run, data, place, caplog):
    edit(run / "config.yaml", "sliding: null", SLIDING)
    for act in (lambda: measure(run / place, data)["sliding"], lambda: sliding_of(run / place)):
        caplog.clear()
        windows = act()
        assert "do not agree on eval.sliding" in caplog.text
        if place == "best_model/inference":
            assert windows is None
            assert "inference is followed; name the folder of the run" in caplog.text
        else:
            assert windows == {"crop": [16, 12], "stride": [8, 12]}


def edit(file, old, new):
    """Change a value as users do: without the first line, which holds the digest of the rest."""
    _, content = file.read_text().split("\n", 1)
    assert old in content
    file.write_text(content.replace(old, new))


def sliding_of(place):
    image = np.zeros((24, 40, 3), np.uint8)
    (result,) = create_model(model_dir=place, device="cpu").predict(image)
    return result.json["sliding"]


def test_a_size_for_predictions_alone_is_told(run, data, caplog):
    measure(run, data, settings={"eval.batch_size": 2})
    assert "predict.target_size" not in caplog.text
    edit(run / "config.yaml", "target_size: null", "target_size: 32")
    measure(run, data)
    assert "predict.target_size=32 counts in predictions only" in caplog.text


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("train.iters=3", r"train.iters: means nothing to an evaluation.*\(-o train.iters=3\)"),
        ("data.num_classes=2", "data.num_classes: means nothing"),
        ("predict.target_size=3", "predict.target_size: means nothing"),
        ("eval.windows=3", "eval.windows: unknown key"),
        ("eval.batch_size=many", "eval.batch_size = 'many'"),
        ("eval.transforms=[{type: Resizes}]", "did you mean 'Resize'"),
        ("eval", "must be dotted.key=value"),
    ],
)
def test_settings_that_are_wrong_or_would_be_ignored_are_refused(colour_run, data, setting, says):
    with pytest.raises(ConfigError, match=says):
        measure(colour_run, data, settings=[setting])


def test_a_class_at_another_number_is_refused_before_anything_is_written(run, data, tmp_path):
    (data / "labels.txt").write_text("red\nblue\ngreen\n")
    with pytest.raises(DataError, match="blue is 1 here and 2 there"):
        measure(run, data, output=tmp_path / "result")
    assert not (tmp_path / "result/evaluate_result.json").exists()


def test_other_names_are_a_warning_that_lists_them(run, data, caplog):
    with caplog.at_level(logging.WARNING):
        measure(run, data)
    assert caplog.text == ""
    (data / "labels.txt").write_text("red\nmoss\nblue\n")
    measure(run, data)
    assert "1 of 3 classes have other names" in caplog.text
    assert "1 moss (green)" in caplog.text


def test_nothing_is_said_where_all_is_well(colour_site, run, data):
    done = colour_site.segcore("eval", str(run), "--data", str(data), "--device", "cpu")
    assert done.returncode == 0
    noted = [line for line in done.stderr.splitlines() if "integrity unknown" not in line]
    assert noted == []


def test_classes_without_names_are_compared_by_number(run, data, caplog):
    (data / "labels.txt").unlink()
    result = measure(run, data)
    assert json.loads((run / "evaluate_result.json").read_text()) == result
    assert "other names" not in caplog.text
