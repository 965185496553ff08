"""Models as objects train by the engine, and measure and predict what it trained."""

import copy
import inspect
import json
import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segcore.config.load import read_yaml
from segcore.config.schema import Config
from segcore.engine.evaluate import evaluate_model
from segcore.engine.train import train
from segcore.errors import ConfigError, DataError, OutputError, RequestError
from segcore.trainable import (
    SegDataset,
    SemanticModel,
    load_model,
    loss_settings,
    seg,
    transforms,
)

METHODS = {
    "train": {
        "num_epochs": inspect.Parameter.empty,
        "train_dataset": inspect.Parameter.empty,
        "train_batch_size": 2,
        "eval_dataset": None,
        "save_interval_epochs": 1,
        "log_interval_steps": 2,
        "save_dir": "output",
        "pretrain_weights": "IMAGENET",
        "optimizer": None,
        "learning_rate": 0.01,
        "lr_decay_power": 0.9,
        "use_vdl": False,
        "sensitivities_file": None,
        "eval_metric_loss": 0.05,
        "early_stop": False,
        "early_stop_patience": 5,
        "resume_checkpoint": None,
    },
    "evaluate": {
        "eval_dataset": inspect.Parameter.empty,
        "batch_size": 1,
        "epoch_id": None,
        "return_details": False,
    },
    "predict": {"img_file": inspect.Parameter.empty, "transforms": None},
    "batch_predict": {"img_file_list": inspect.Parameter.empty, "transforms": None},
    "overlap_tile_predict": {
        "img_file": inspect.Parameter.empty,
        "tile_size": [512, 512],
        "pad_size": [64, 64],
        "batch_size": 32,
        "transforms": None,
    },
}
LOSS = {
    "use_bce_loss": False,
    "use_dice_loss": False,
    "class_weight": None,
    "ignore_index": 255,
    "input_channel": 3,
}


def toy():
    model = SemanticModel("Toy", 5, loss_settings(5, **LOSS))
    model.device = "cpu"
    model.settings = {"train.num_workers": 0}
    return model


def steps(crop):
    return transforms.Compose(
        [transforms.RandomPaddingCrop(crop_size=crop), transforms.Normalize()]
    )


@pytest.fixture
def data(shapes):
    def split(name, composed):
        return SegDataset(shapes, shapes / f"{name}.txt", shapes / "labels.txt", composed)

    return split("train", steps(48)), split("val", transforms.Compose([transforms.Normalize()]))


@pytest.fixture
def trained(toys, data, tmp_path):
    model = toy()
    model.train(2, data[0], 8, data[1], save_dir=tmp_path / "run", pretrain_weights=None)
    return model


@pytest.fixture
def colour_model(colour_run):
    return load_model(colour_run, device="cpu")


@pytest.mark.parametrize("name", METHODS)
def test_parameters_and_defaults_are_those_of_paddlex(name):
    parameters = dict(inspect.signature(getattr(SemanticModel, name)).parameters)
    del parameters["self"]
    assert {key: parameter.default for key, parameter in parameters.items()} == METHODS[name]


# -- training ------------------------------------------------------------------------------------


def test_arguments_become_the_configuration(trained, tmp_path):
    config = read_yaml(tmp_path / "run" / "config.yaml")
    train = config["train"]
    assert (train["epochs"], train["iters"], train["batch_size"]) == (2, None, 8)
    assert (train["eval_interval"], train["save_interval"], train["log_interval"]) == (2, 2, 2)
    assert train["schedule"]["type"] == "poly"
    assert train["optimizer"]["weight_decay"] == 4e-5
    assert [step["type"] for step in train["transforms"]] == ["RandomPaddingCrop", "Normalize"]
    assert [step["type"] for step in config["eval"]["transforms"]] == ["Normalize"]
    assert train["patience"] is None


def test_intervals_count_epochs(toys, data, tmp_path):
    arguments = {"save_interval_epochs": 3, "early_stop": True, "early_stop_patience": 7}
    model = toy()
    result = model.train(
        3, data[0], 8, data[1], save_dir=tmp_path / "run", pretrain_weights=None, **arguments
    )
    train = read_yaml(tmp_path / "run" / "config.yaml")["train"]
    assert (train["eval_interval"], train["patience"], result["steps"]) == (6, 7, 6)


def test_a_folder_is_trained_on_and_measured_by_its_lists(toys, shapes, tmp_path):
    model = toy()
    model.settings["train.transforms"] = steps(32).components()
    result = model.train(
        1, str(shapes), 8, shapes, save_dir=tmp_path / "run", pretrain_weights=None
    )
    assert result["models"]["best"]["score"] is not None
    assert model.labels == (shapes / "labels.txt").read_text().splitlines()


def test_without_data_to_measure_on_the_newest_weights_are_the_best(toys, data, tmp_path):
    model = toy()
    result = model.train(2, data[0], 8, save_dir=tmp_path / "run", pretrain_weights=None)
    assert (result["models"]["best"]["step"], result["models"]["best"]["score"]) == (4, None)
    steps_before = read_yaml(tmp_path / "run" / "config.yaml")["eval"]["transforms"]
    assert [step["type"] for step in steps_before] == ["Normalize"]
    assert model.evaluate(data[1])["miou"] > 0


def test_training_goes_on_from_its_newest_checkpoint(trained, data, tmp_path):
    run = tmp_path / "run"
    again = toy()
    for checkpoint in (run, run / "checkpoints" / "step-4"):
        result = again.train(
            2,
            *(data[0], 8, data[1]),
            save_dir=run,
            pretrain_weights=None,
            resume_checkpoint=checkpoint,
        )
        assert result["steps"] == 4
    for wrong in (run / "checkpoints" / "step-2", tmp_path, run / "missing"):
        with pytest.raises(RequestError, match="resume_checkpoint"):
            again.train(2, data[0], 8, data[1], save_dir=run, resume_checkpoint=wrong)
    with pytest.raises(OutputError, match="holds a run already"):
        again.train(2, data[0], 8, data[1], save_dir=run, pretrain_weights=None)


def test_default_weights_that_do_not_exist_are_told_of(toys, data, tmp_path, caplog):
    toy().train(1, data[0], 8, data[1], save_dir=tmp_path / "run")
    assert "no weights called IMAGENET" in caplog.text


def test_weights_that_were_asked_for_must_exist(toys, data, tmp_path):
    with pytest.raises(RequestError, match="IMAGENET"):
        toy().train(1, data[0], 8, data[1], save_dir=tmp_path, pretrain_weights="IMAGENET")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"use_vdl": True}, "use_vdl"),
        ({"sensitivities_file": "DEFAULT"}, "sensitivities_file"),
        ({"eval_metric_loss": 0.1}, "eval_metric_loss"),
        ({"optimizer": object()}, "optimizer"),
        ({"optimizer": "lamb"}, "train.optimizer.type"),
        ({"save_interval_epochs": 0}, "save_interval_epochs"),
        ({"learning_rate": -1.0}, "train.learning_rate"),
        ({"early_stop": True, "eval_dataset": None}, "eval_dataset"),
        ({"train_dataset": 3}, "is no dataset"),
        ({"learning_rate": -1.0}, r"^train\.learning_rate = -1\.0: must be greater than 0$"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(toys, data, tmp_path, argument, said):
    arguments = {
        "train_dataset": data[0],
        "eval_dataset": data[1],
        "pretrain_weights": None,
        **argument,
    }
    with pytest.raises(RequestError, match=said):
        toy().train(1, save_dir=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("optimizer", ["adamw", {"type": "adamw", "weight_decay": 0.01}])
def test_optimisers_are_named_or_described(toys, data, tmp_path, optimizer):
    run = tmp_path / "run"
    toy().train(1, data[0], 8, save_dir=run, pretrain_weights=None, optimizer=optimizer)
    assert read_yaml(run / "config.yaml")["train"]["optimizer"]["type"] == "adamw"


def test_images_that_were_learnt_are_not_measured_on(toys, data, tmp_path):
    with pytest.raises(DataError, match="16 images are in train_dataset and in eval_dataset"):
        toy().train(1, data[0], 8, data[0], save_dir=tmp_path / "run", pretrain_weights=None)


def test_another_number_of_classes_is_refused(toys, data, tmp_path):
    model = SemanticModel("Toy", 3, loss_settings(3, **LOSS))
    with pytest.raises(DataError, match=r"5 classes|names 5"):
        model.train(1, data[0], 8, data[1], save_dir=tmp_path / "run", pretrain_weights=None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"use_bce_loss": True}, "two classes"),
        ({"class_weight": [1.0, 2.0]}, "one a class"),
        ({"class_weight": "static"}, "dynamic"),
        ({"class_weight": 3}, "dynamic"),
    ],
)
def test_losses_that_do_not_fit_are_refused(changed, said):
    with pytest.raises(ConfigError, match=said):
        loss_settings(4, **{**LOSS, **changed})


def test_losses_are_those_of_paddlex():
    def types(**changed):
        return [term["type"] for term in loss_settings(2, **{**LOSS, **changed})["train.losses"]]

    assert types() == ["CrossEntropyLoss"]
    assert types(use_bce_loss=True) == ["BCELoss"]
    assert types(use_bce_loss=True, use_dice_loss=True) == ["DiceLoss", "BCELoss"]
    dynamic = loss_settings(2, **{**LOSS, "class_weight": "Dynamic"})["train.losses"]
    assert dynamic == [{"type": "CrossEntropyLoss", "weight": "dynamic"}]
    with pytest.raises(ConfigError, match="replace"):
        types(use_dice_loss=True, class_weight="dynamic")


def test_the_saved_configuration_finds_lists_of_other_names(toys, shapes, tmp_path):
    root = Path(shutil.copytree(shapes, tmp_path / "data"))
    for name in ("train", "val", "labels"):
        (root / f"{name}.txt").rename(root / f"{name}_list.txt")
    plain = transforms.Compose([transforms.Normalize()])
    first, second = (
        SegDataset(root, root / f"{name}_list.txt", root / "labels_list.txt", composed)
        for name, composed in (("train", steps(48)), ("val", plain))
    )
    toy().train(1, first, 8, second, save_dir=tmp_path / "run", pretrain_weights=None)
    config = Config.model_validate(read_yaml(tmp_path / "run" / "config.yaml"))
    assert config.data.list_files == {"train": "train_list.txt", "val": "val_list.txt"}
    assert config.data.class_file == "labels_list.txt"
    again = train(config, tmp_path / "again", device="cpu", catalogue=toys)
    result = json.loads((tmp_path / "run" / "train_result.json").read_text())
    assert again["models"]["best"]["score"] == result["models"]["best"]["score"]
    saved = [tmp_path / name / "best_model" / "model.pdparams" for name in ("run", "again")]
    assert saved[0].read_bytes() == saved[1].read_bytes()


# -- measuring -----------------------------------------------------------------------------------


def test_metrics_are_those_of_the_engine(trained, data, shapes, tmp_path):
    metrics, details = trained.evaluate(data[1], batch_size=3, return_details=True)
    wanted = evaluate_model(
        tmp_path / "run", shapes, output=tmp_path / "eval", runtime="eager", num_workers=0
    )["metrics"]
    assert list(metrics) == [
        *("miou", "category_iou", "macc", "oacc", "category_acc", "kappa", "category_F1-score")
    ]
    assert [metrics[key] for key in ("miou", "macc", "oacc", "kappa")] == [
        wanted[key] for key in ("miou", "macc", "oacc", "kappa")
    ]
    np.testing.assert_array_equal(
        metrics["category_F1-score"], np.array(wanted["category_f1"], float)
    )
    assert details == {"confusion_matrix": wanted["confusion_matrix"]}
    assert trained.evaluate(data[1]).keys() == metrics.keys()


def test_a_model_without_weights_says_what_to_do(toys, data):
    for use in (
        lambda m: m.evaluate(data[1]),
        lambda m: m.predict("a.png"),
        lambda m: m.export("a"),
    ):
        with pytest.raises(RequestError, match="call train"):
            use(toy())


# -- predicting ----------------------------------------------------------------------------------


def picture(height=20, width=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_results_hold_classes_and_their_probabilities(colour_model, tmp_path):
    bgr = picture()
    result = colour_model.predict(bgr)
    assert set(result) == {"label_map", "score_map"}
    # the model takes the strongest of red, green and blue: the order of the array matters
    assert np.array_equal(result["label_map"], bgr[..., ::-1].argmax(axis=-1))
    logits = np.exp(bgr[..., ::-1] / 255.0 * 2 - 1)
    wanted = logits / logits.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(result["score_map"], wanted, atol=1e-6)
    assert (result["label_map"].dtype, result["score_map"].dtype) == (np.uint8, np.float32)


def test_paths_bytes_and_floats_give_the_same(colour_model, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    results = colour_model.batch_predict(
        [str(tmp_path / "a.png"), tmp_path / "a.png", picture(), picture().astype(np.float32)]
    )
    for result in results:
        assert np.array_equal(result.label_map, results[0].label_map)
        assert np.array_equal(result.image, picture()[..., ::-1])


def test_a_batch_keeps_its_order_whatever_the_sizes(colour_model):
    images = [picture(8, 9, 1), picture(5, 7, 2), picture(5, 7, 3), picture(8, 9, 4)]
    for image, result in zip(images, colour_model.batch_predict(images), strict=True):
        assert np.array_equal(result["label_map"], image[..., ::-1].argmax(axis=-1))


def test_transforms_of_a_call_win(colour_model):
    halved = transforms.Compose([transforms.Resize([15, 10]), transforms.Normalize()])
    result = colour_model.predict(picture(), halved)
    assert result["score_map"].shape == (20, 30, 3)
    assert not np.array_equal(result["label_map"], colour_model.predict(picture())["label_map"])


@settings(
    deadline=None,
    database=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.tuples(st.integers(3, 45), st.integers(3, 45)),
    pad=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    batch=st.integers(1, 40),
)
def test_tiles_say_what_the_whole_image_does(colour_model, size, tile, pad, batch):
    # a network that looks at single pixels does not see where tiles end
    image = picture(*size)
    result = colour_model.overlap_tile_predict(image, list(tile), list(pad), batch)
    whole = colour_model.predict(image)
    assert np.array_equal(result["label_map"], whole["label_map"])
    np.testing.assert_allclose(result["score_map"], whole["score_map"], atol=1e-6)


def test_the_network_sees_the_margin_of_tiles(trained):
    image = picture(64, 64)
    whole = trained.predict(image)["score_map"]
    # the toy looks one pixel around: with a margin only the mirrored border differs
    padded = trained.overlap_tile_predict(image, [16, 16], [2, 2])["score_map"]
    np.testing.assert_allclose(padded[1:-1, 1:-1], whole[1:-1, 1:-1], atol=1e-5)
    bare = trained.overlap_tile_predict(image, [16, 16], [0, 0])["score_map"]
    assert np.abs(bare - whole)[15:17, 1:-1].max() > 1e-3


def test_few_tiles_are_in_memory_at_once(colour_model, monkeypatch):
    sizes = []
    task = type(colour_model._model.task)
    run = task.probabilities
    monkeypatch.setattr(
        task, "probabilities", lambda *given: sizes.append(len(given[2])) or run(*given)
    )
    colour_model.overlap_tile_predict(picture(40, 40), [10, 10], [0, 0], batch_size=3)
    assert sizes == [3, 3, 3, 3, 3, 1]


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.full((4, 4, 3), 300.0), DataError),
        (np.full((4, 4, 3), np.nan, np.float32), DataError),
        (7, RequestError),
        ("missing.png", DataError),
        (".", RequestError),
    ],
)
def test_what_is_no_image_is_refused(colour_model, image, error):
    with pytest.raises(error):
        colour_model.predict(image)


def test_results_are_drawn_and_saved_as_others_are(colour_model, tmp_path):
    result = colour_model.predict(picture())
    assert [path.name for path in result.save_to_img(tmp_path)] == [
        "array_0.png",
        "array_0_overlay.jpg",
    ]
    assert result.json["classes"][0]["name"] == "red"


def test_results_are_drawn_as_paddlex_does(colour_model, tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture())
    result = colour_model.predict(path)
    # red is class 0, which is black, and leaves the image as it is
    colours = [0, 0, 0, *(0, 255, 0), *(255, 0, 0)]
    assert seg.visualize(path, result, weight=0.0, save_dir=tmp_path / "out", color=colours) is None
    saved = cv2.imread(str(tmp_path / "out" / "visualize_a.png"))
    given = seg.visualize(picture(), result, weight=0.0, save_dir=None, color=colours)
    assert np.array_equal(saved, given)
    labels = result["label_map"]
    assert np.array_equal(given[labels == 0], picture()[labels == 0])
    assert (given[labels == 1] == (0, 255, 0)).all()
    assert (given[labels == 2] == (255, 0, 0)).all()


# -- exporting and opening -----------------------------------------------------------------------


def test_an_export_predicts_the_same(trained, tmp_path):
    from segcore import create_model

    files = trained.export(tmp_path / "exported")
    assert {path.name for path in files} >= {"inference.yml", "inference.pdiparams"}
    image = picture(32, 32)
    (result,) = create_model(model_dir=tmp_path / "exported", device="cpu").predict(
        image[..., ::-1]
    )
    assert np.array_equal(result.label_map, trained.predict(image)["label_map"])


def test_what_was_trained_before_is_opened(trained, data, tmp_path):
    run = tmp_path / "run"
    wanted = trained.evaluate(data[1])["miou"]
    for place in (run, run / "best_model", run / "best_model" / "model.pdparams"):
        model = load_model(place, device="cpu")
        assert (model.num_classes, model.labels) == (5, trained.labels)
        assert model.evaluate(data[1])["miou"] == wanted


def test_a_copy_and_a_pickle_have_the_weights_and_not_those_that_follow(trained, data, tmp_path):
    image = picture(32, 32)
    wanted = trained.predict(image)["score_map"]
    written = pickle.dumps(trained)
    for model in (copy.deepcopy(trained), pickle.loads(written)):
        assert np.array_equal(model.predict(image)["score_map"], wanted)
        assert model.labels == trained.labels
    result = pickle.loads(pickle.dumps(trained.predict(image)))
    assert np.array_equal(result["score_map"], wanted)
    assert result.json == trained.predict(image).json
    os.utime(tmp_path / "run/best_model/model.pdparams", ns=(1, 1))
    with pytest.raises(RequestError, match="load it anew"):
        pickle.loads(written)


def test_classes_of_another_order_are_not_measured(trained, data, caplog):
    class Moved:
        def __init__(self, dataset, names):
            self.dataset, self.class_names = dataset, names

        def __getattr__(self, name):
            return getattr(self.dataset, name)

        def __len__(self):
            return len(self.dataset)

    config = trained._resolve(trained._own)
    dataset = trained._open_dataset(data[1], "val", config)
    names = dataset.class_names
    with pytest.raises(DataError, match="in another order than the model"):
        trained.evaluate(Moved(dataset, (*names[1:], names[0])))
    trained.evaluate(Moved(dataset, (*names[:-1], "hexagon")))
    assert "hexagon (" in caplog.text


def test_an_opened_model_is_trained_anew_as_it_was_made(toys, trained, data, tmp_path):
    model = load_model(tmp_path / "run", device="cpu")
    model.settings = {"train.num_workers": 0}
    model.train(
        1,
        *(data[0], 8, data[1]),
        save_dir=tmp_path / "next",
        pretrain_weights=tmp_path / "run",
    )
    first, second = (read_yaml(tmp_path / run / "config.yaml") for run in ("run", "next"))
    # the head goes on where it has the same classes
    assert second["train"]["reset_head"] == "auto"
    assert second["model"] == first["model"]
    assert second["train"]["losses"] == first["train"]["losses"]


def test_weights_for_another_number_of_classes_leave_the_head_anew(toys, trained, tmp_path, caplog):
    from segcore.data.demo import draw_dataset

    discs = draw_dataset(tmp_path / "discs", "optic-disc", images=10, size=64)
    model = SemanticModel("Toy", 2, loss_settings(2, **LOSS))
    model.settings = {"train.num_workers": 0, "train.transforms": steps(32).components()}
    model.device = "cpu"
    with caplog.at_level("WARNING"):
        model.train(1, discs, 8, discs, save_dir=tmp_path / "b", pretrain_weights=tmp_path / "run")
    assert "head.weight" in caplog.text


def test_a_model_exports_what_it_holds_or_refuses(colour_run, tmp_path, monkeypatch):
    run = shutil.copytree(colour_run, tmp_path / "elsewhere/run")
    monkeypatch.chdir(run.parent)
    model = load_model(run.name, device="cpu")
    monkeypatch.chdir(tmp_path)
    model.export("here")
    assert (tmp_path / "here/inference.yml").is_file()
    os.utime(run / "best_model/model.pdparams", ns=(1, 1))
    with pytest.raises(RequestError, match="no longer those that it was loaded from"):
        model.export("there")
    assert not (tmp_path / "there").exists()


def test_drawings_do_not_replace_those_of_other_images(colour_model, tmp_path):
    for level in (10, 200, 10):
        image = np.full((16, 16, 3), level, np.uint8)
        seg.visualize(image, colour_model.predict(image), save_dir=tmp_path)
    names = [f"visualize_array_{number}.jpg" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    paths = [tmp_path / folder / name for folder, name in (("x", "a.png"), ("y", "a.jpg"))]
    for path in paths:
        path.parent.mkdir()
        cv2.imwrite(str(path), image)
    out, (one, other) = tmp_path / "out", paths
    for _ in range(2):
        seg.visualize(one, colour_model.predict(one), save_dir=out)
    with pytest.raises(OutputError, match="visualize_a: another image of that name"):
        seg.visualize(other, colour_model.predict(other), save_dir=out)
    assert [path.name for path in out.iterdir()] == ["visualize_a.png"]


@pytest.mark.parametrize(
    "given",
    [{"weight": w} for w in (-0.1, 2, float("nan"), "a", None)]
    + [{"color": c} for c in ([1, 2], [300, 0, 0], [-1, 0, 0], ["a", "b", "c"], [0.5] * 3)],
    ids=str,
)
def test_drawings_refuse_what_they_cannot_draw(colour_model, given):
    (name,) = given
    image = picture(16, 16)
    with pytest.raises(RequestError, match=f"{name}="):
        seg.visualize(image, colour_model.predict(image), save_dir=None, **given)


@pytest.mark.parametrize(
    ("tile", "pad", "batch_size", "named"),
    [
        ([64, 64], [10**9, 0], 1, "no more than"),
        ([10**9, 10**9], [2**15, 2**15], 1, "no more than"),
        ([64, 64], [0, 0], "1", "batch_size='1'"),
        ([64, 64], [0, 0], 2.5, "batch_size=2.5"),
        ([64.0, 64], [0, 0], 1, "tile_size"),
        ("64", [0, 0], 1, "tile_size"),
    ],
    ids=str,
)
def test_tiles_that_cannot_be_run_are_refused(colour_model, tile, pad, batch_size, named):
    with pytest.raises(RequestError, match=named):
        colour_model.overlap_tile_predict(picture(16, 16), tile, pad, batch_size)


def test_tiles_take_one_side_and_the_numbers_of_numpy(colour_model):
    image = picture(16, 24)
    wanted = colour_model.overlap_tile_predict(image, [8, 8], [2, 2])["label_map"]
    found = colour_model.overlap_tile_predict(image, np.int64(8), 2, np.int32(4))["label_map"]
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("size", [0, -1, "2", 2.5, None, True, 10**9])
def test_measuring_names_a_size_that_is_none(colour_model, shapes, size):
    with pytest.raises(ConfigError, match=r"eval\.batch_size"):
        colour_model.evaluate(shapes, batch_size=size)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"learning_rate": "x"}, r"train\.learning_rate"),
        ({"lr_decay_power": []}, r"train\.schedule\.power"),
        ({"save_interval_epochs": "1"}, "save_interval_epochs='1'"),
        ({"num_epochs": 1.5}, r"train\.epochs"),
        ({"save_dir": ""}, "save_dir is an empty text"),
        ({"pretrain_weights": ""}, "pretrain_weights is an empty text"),
    ],
    ids=str,
)
def test_training_names_an_argument_of_a_wrong_kind(toys, data, tmp_path, given, named):
    arguments = {"num_epochs": 1, "train_dataset": data[0], "pretrain_weights": None}
    with pytest.raises(RequestError, match=named):
        toy().train(**{**arguments, "save_dir": tmp_path / "run", **given})
