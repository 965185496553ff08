"""Training, measuring and predicting instances end to end, with a tiny network."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from segcore import create_model
from segcore.checkpoint.store import CheckpointStore
from segcore.cli.main import run as main
from segcore.config.schema import Component
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


@pytest.fixture
def renumbered(objects, tmp_path):
    """The annotations of the held-out images, with ids unlike those that counting gives."""
    content = json.loads((objects / "annotations/instance_val.json").read_text())
    for image in content["images"]:
        image["id"] = 1000 - 7 * image["id"]
    for category in content["categories"]:
        category["id"] = 10 + 3 * category["id"]
    for annotation in content["annotations"]:
        annotation["image_id"] = 1000 - 7 * annotation["image_id"]
        annotation["category_id"] = 10 + 3 * annotation["category_id"]
    path = tmp_path / "renumbered.json"
    path.write_text(json.dumps(content))
    return path


def found_dataset(run, objects, renumbered, folder):
    """Make a dataset in which most objects lie near what the model of `run` finds."""
    shutil.copytree(objects / "images", folder / "images")
    content = json.loads(renumbered.read_text())
    names = {category["name"]: category["id"] for category in content["categories"]}
    content["images"], content["annotations"] = [], []
    model = create_model(model_dir=run, device="cpu", score_threshold=0.0)
    for place, result in enumerate(model.predict(folder / "images")):
        # many scores of the toy are equal, so the order of the ids counts
        image = {
            "id": 500 + 7 * place,
            "file_name": f"{result.name}.jpg",
            "width": 64,
            "height": 64,
        }
        content["images"].append(image)
        for number, found in enumerate(result.json["instances"]):
            x, y, width, height = found["bbox"]
            left, top = x + (number + place) % 3, y + place % 2
            content["annotations"].append(
                {
                    "id": 10 * place + number + 1,
                    "image_id": image["id"],
                    "category_id": names[found["name"]] if (place + number) % 4 else 13,
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "segmentation": [corners(left, top, left + width, top + height)],
                    "iscrowd": 0,
                }
            )
    (folder / "annotations").mkdir()
    for split in ("train", "val"):
        (folder / f"annotations/instance_{split}.json").write_text(json.dumps(content))
    return folder


def corners(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def predict_by(run, annotations, images, output):
    command = ["predict", str(run), *map(str, images), "--annotations", str(annotations)]
    return main([*command, "--score-threshold", "0", "--output", str(output), "--device", "cpu"])


def test_results_with_the_ids_of_a_file_score_as_the_evaluation_says(
    run, objects, renumbered, tmp_path
):
    pytest.importorskip("segcore_maskrcnn")
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    data = found_dataset(run, objects, renumbered, tmp_path / "data")
    truth = pycocotools.COCO(str(data / "annotations/instance_val.json"))
    annotations = data / "annotations/instance_val.json"
    assert predict_by(run, annotations, [data / "images"], tmp_path / "out") == 0
    found = truth.loadRes(str(tmp_path / "out/coco_results.json"))
    component = Component(type="COCOMetrics")
    scored = evaluate_model(
        run,
        data,
        device="cpu",
        num_workers=0,
        changes={"metrics": (component,), "best": "mask_ap"},
    )
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert 0.1 < evaluation.stats[0] < 0.9
        # files round scores to six digits and boxes to three
        assert scored["metrics"][f"{name}_ap"] == pytest.approx(evaluation.stats[0], abs=1e-6)
        assert scored["metrics"][f"{name}_ap50"] == pytest.approx(evaluation.stats[1], abs=1e-6)


def test_images_that_a_file_does_not_list_are_left_out_and_told(
    run, objects, renumbered, tmp_path, capsys
):
    assert predict_by(run, renumbered, [objects / "images"], tmp_path / "out") == 0
    assert "12 of 15 images are not in" in capsys.readouterr().err
    rows = json.loads((tmp_path / "out/coco_results.json").read_text())
    known = {image["id"] for image in json.loads(renumbered.read_text())["images"]}
    assert {row["image_id"] for row in rows} == known
    assert len(list((tmp_path / "out").glob("*_overlay.jpg"))) == 15


def test_images_of_a_file_that_are_not_predicted_are_told(
    run, objects, renumbered, tmp_path, capsys
):
    first = json.loads(renumbered.read_text())["images"][0]["file_name"]
    assert predict_by(run, renumbered, [objects / "images" / first], tmp_path / "out") == 0
    assert "2 images of" in capsys.readouterr().err


def test_results_that_a_file_has_no_ids_for_are_refused(run, objects, renumbered, tmp_path, capsys):
    renumbered.write_text(renumbered.read_text().replace('"circle"', '"disc"'))
    assert predict_by(run, renumbered, [objects / "images"], tmp_path / "out") == 2
    assert "has no category 'circle'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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


def test_classes_in_another_order_than_the_models_are_refused(run, objects, tmp_path):
    data = shutil.copytree(objects, tmp_path / "data")
    path = data / "annotations/instance_val.json"
    content = json.loads(path.read_text())
    for record, key in ((content["categories"], "id"), (content["annotations"], "category_id")):
        for entry in record:
            entry[key] = 90 - entry[key]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"star is 0 here and 3 there.*order of the model: circle"):
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
