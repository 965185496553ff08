"""Training, measuring and predicting instances end to end, with a tiny network."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from segcore import create_model
from segcore.checkpoint.store import CheckpointStore
from segcore.cli.main import run as main
from segcore.data.cocodataset import CocoDataset
from segcore.engine.evaluate import evaluate_model
from segcore.engine.train import train
from segcore.errors import ConfigError, DataError
from segcore.inference.instance_result import InstanceResult
from segcore.tasks.rle import decode_mask, read_rle


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("instances") / "run"


@pytest.fixture
def run(run_folder, configure_instances):
    """The folder of a finished training."""
    if not run_folder.exists():
        train(
            configure_instances(
                "train.iters=40", "train.learning_rate=0.1", "train.eval_interval=20"
            ),
            run_folder,
            device="cpu",
        )
    return run_folder


def records(run, event):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def test_a_training_learns_and_says_each_loss(run):
    first, last = (records(run, "train")[place] for place in (0, -1))
    assert {"loss", "loss_score", "loss_class", "loss_box"} <= set(first)
    assert first["loss"] == pytest.approx(
        sum(first[name] for name in ("loss_score", "loss_class", "loss_box")), rel=1e-5
    )
    assert last["loss"] < 0.8 * first["loss"]
    assert (
        json.loads((run / "train_result.json").read_text())["models"]["best"]["metric"]
        == "best_overlap"
    )


@pytest.mark.parametrize("runtime", ["eager", "paddle"])
def test_an_evaluation_repeats_the_score_of_the_training(run, objects, runtime):
    best = json.loads((run / "train_result.json").read_text())["models"]["best"]["score"]
    result = evaluate_model(run, objects, runtime=runtime, device="cpu", num_workers=0)
    assert result["score"] == pytest.approx(best, abs=1e-4)
    assert result["images"] == 3


@pytest.mark.parametrize("runtime", ["eager", "paddle"])
def test_predictions_are_in_pixels_of_the_original_image(run, objects, runtime):
    model = create_model(model_dir=run, device="cpu", runtime=runtime, score_threshold=0.0)
    wide = np.asarray(Image.open(objects / "images/objects_0004.jpg").resize((150, 70)))
    (result,) = model.predict([wide])
    assert isinstance(result, InstanceResult)
    assert (result.json["width"], result.json["height"]) == (150, 70)
    assert result.json["instances"]
    for found in result.json["instances"]:
        mask = decode_mask(read_rle(found["segmentation"]))
        x, _, width, height = found["bbox"]
        assert mask.shape == (70, 150)
        assert found["area"] == mask.sum()
        # the toy's masks are its boxes
        assert mask.sum() == pytest.approx(width * height, abs=1.1 * (width + height) + 1)
        assert found["name"] in ("circle", "rectangle", "triangle", "star")
        assert 0 <= x <= x + width <= 150.001


def test_a_folder_of_results_has_one_file_of_all_objects(run, objects, tmp_path, capsys):
    command = ["predict", str(run), str(objects / "images"), "--score-threshold", "0"]
    command += ["--output", str(tmp_path / "out"), "--device", "cpu", "--batch-size", "4", "--json"]
    assert main(command) == 0
    results = json.loads(capsys.readouterr().out)
    assert len(results) == 15
    rows = json.loads((tmp_path / "out/coco_results.json").read_text())
    assert len(rows) == sum(len(result["instances"]) for result in results) > 15
    for row in rows:
        assert row["file_name"] == results[row["image_id"] - 1]["source"]
        assert 1 <= row["category_id"] <= 4
        assert set(row) >= {"bbox", "score", "segmentation"}
    assert len(list((tmp_path / "out").glob("*_overlay.jpg"))) == 15
    assert not list((tmp_path / "out").glob("*.png"))


def test_a_batch_of_images_of_many_sizes_gives_what_each_alone_gives(run):
    model = create_model(model_dir=run, device="cpu", runtime="eager")
    generator = np.random.default_rng(0)
    images = [
        generator.integers(0, 255, (*size, 3), np.uint8)
        for size in ((50, 70), (50, 70), (64, 33), (70, 50), (50, 70))
    ]
    together = [result.detections for result in model.predict(images, batch_size=5)]
    alone = [next(iter(model.predict(image))).detections for image in images]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        assert one.classes.tolist() == other.classes.tolist()


def test_classes_of_the_dataset_must_be_those_of_the_model(run, objects, tmp_path):
    data = shutil.copytree(objects, tmp_path / "data")
    path = data / "annotations/instance_val.json"
    content = json.loads(path.read_text())
    content["categories"].append({"id": 9, "name": "hexagon"})
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="has 5 classes"):
        evaluate_model(run, data, device="cpu", num_workers=0)


def test_splits_of_different_classes_are_refused(configure_instances, objects, tmp_path):
    data = shutil.copytree(objects, tmp_path / "data")
    path = data / "annotations/instance_val.json"
    path.write_text(path.read_text().replace('"star"', '"sun"'))
    with pytest.raises(DataError, match=r"classes of val .*sun.* are not those of train .*star"):
        train(configure_instances(data=data), tmp_path / "run", device="cpu", check=False)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            "eval.metrics=[{type: SegmentationMetrics}]",
            "measures semantic models, but Toy-Boxes is instance",
        ),
        ("train.losses=[{type: CrossEntropyLoss}]", "bring their own losses"),
        ("eval.sliding={crop: [32, 32]}", "windows cut objects apart"),
    ],
)
def test_settings_of_other_tasks_are_refused(setting, says, configure_instances, tmp_path):
    with pytest.raises(ConfigError, match=says):
        train(configure_instances(setting), tmp_path / "run", device="cpu")


def test_workers_read_what_the_loop_would_read(configure_instances, tmp_path, digests):
    for name, workers in (("without", 0), ("with", 2)):
        config = configure_instances("train.iters=4", f"train.num_workers={workers}")
        train(config, tmp_path / name, device="cpu")
    assert digests(tmp_path / "with") == digests(tmp_path / "without")


def test_images_without_objects_are_trained_on_when_asked_for(
    configure_instances, objects, tmp_path
):
    data = shutil.copytree(objects, tmp_path / "data")
    path = data / "annotations/instance_train.json"
    content = json.loads(path.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] % 2]
    path.write_text(json.dumps(content))
    config = configure_instances("data.keep_unlabelled=true", "train.iters=6", data=data)
    assert len(CocoDataset(data, "train", config.data)) == 12
    assert train(config, tmp_path / "run", device="cpu")["steps"] == 6
    assert CheckpointStore(tmp_path / "run").load().step == 6
