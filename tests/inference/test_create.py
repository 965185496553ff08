"""Models come from wherever users point, and what does not fit is refused."""

import json
import os
import shutil

import numpy as np
import pytest

from segcore import create_model
from segcore.errors import (
    ConfigError,
    DeviceMissingError,
    ExportError,
    OutputError,
    RequestError,
    UnknownNameError,
    WeightsError,
)

PLACES = ("", "best_model", "best_model/inference", "best_model/model.pdparams", "config.yaml")


@pytest.mark.parametrize("place", PLACES)
def test_every_part_of_a_run_is_a_model(colour_run, stripes, stripe_classes, place):
    model = create_model("Strongest-Colour", colour_run / place, device="cpu")
    (result,) = model.predict(stripes)
    np.testing.assert_array_equal(result.label_map, stripe_classes)
    assert result.label_map.dtype == np.uint8


@pytest.mark.parametrize("runtime", ["paddle", "eager", "auto"])
def test_runtimes_agree_and_results_name_theirs(colour_run, stripes, stripe_classes, runtime):
    model = create_model(model_dir=colour_run, device="cpu", runtime=runtime)
    (result,) = model.predict(stripes)
    np.testing.assert_array_equal(result.label_map, stripe_classes)
    assert result.json["runtime"] == ("paddle" if runtime == "auto" else runtime)
    assert result.json["model"] == "Strongest-Colour"


def test_an_export_runs_alone_and_without_its_plugin(colour_run, stripes, tmp_path, monkeypatch):
    from segcore.discovery import catalogue as catalogues

    export = shutil.copytree(colour_run / "best_model/inference", tmp_path / "inference")
    monkeypatch.setenv("SEGCORE_DISABLE_PLUGINS", "strongest_colour")
    monkeypatch.setattr(catalogues, "_catalogues", {})
    (result,) = create_model(model_dir=export, device="cpu").predict(stripes)
    assert [entry["name"] for entry in result.json["classes"]] == ["red", "green", "blue"]


def test_a_folder_that_paddlex_wrote_runs(colour_run, stripes, stripe_classes, tmp_path):
    export = shutil.copytree(colour_run / "best_model/inference", tmp_path / "inference")
    (export / "MANIFEST.json").unlink()
    (export / "inference.yml").write_text(
        "Deploy:\n  model: inference.pdmodel\n  transforms:\n  - type: Normalize\n"
        "Global:\n  model_name: SegFormer-B0\n"
    )
    (result,) = create_model("SegFormer-B0", export, device="cpu").predict(stripes)
    np.testing.assert_array_equal(result.label_map, stripe_classes)
    assert result.label_map.dtype == np.uint8
    assert [entry["name"] for entry in result.json["classes"]] == ["0", "1", "2"]


def test_another_model_than_the_one_named_is_refused(colour_run):
    with pytest.raises(RequestError, match="holds Strongest-Colour, not PP-LiteSeg-T"):
        create_model("PP-LiteSeg-T", colour_run, device="cpu")


@pytest.mark.parametrize(
    "given",
    [
        {"score_threshold": 0.4},
        {"score_threshold": 0.5},  # as by default
        {"settings": ["predict.score_threshold=0.4"]},
    ],
)
def test_a_lowest_score_is_refused_where_nothing_has_a_score(colour_run, given):
    with pytest.raises(
        RequestError, match=r"score_threshold=0\.[45]: semantic models find nothing"
    ):
        create_model(model_dir=colour_run, device="cpu", **given)


def test_spellings_of_the_name_do_not_matter(colour_run):
    create_model("strongest colour", colour_run, device="cpu")


def test_a_folder_without_a_model_says_what_is_looked_for(colours, tmp_path):
    with pytest.raises(RequestError, match="holds no model"):
        create_model(model_dir=tmp_path, device="cpu")


def test_a_folder_of_an_earlier_paddlex_is_known(colours, tmp_path):
    for name in ("model.yml", "model.pdmodel", "model.pdiparams"):
        (tmp_path / name).write_text("Model: UNet\n")
    with pytest.raises(RequestError, match=r"of PaddleX 1\.x or 2\.x"):
        create_model(model_dir=tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("text", "told"), [("", "is empty"), ("Global: {}\n", "has neither Deploy nor Preprocess")]
)
def test_a_description_that_is_none_is_told(colour_run, tmp_path, text, told):
    export = shutil.copytree(colour_run / "best_model/inference", tmp_path / "inference")
    (export / "MANIFEST.json").unlink()
    (export / "inference.yml").write_text(text)
    with pytest.raises(RequestError) as caught:
        create_model(model_dir=export, device="cpu")
    assert told in str(caught.value)
    assert "train:" not in str(caught.value)


def test_a_path_that_is_not_there_is_refused(colours, tmp_path):
    with pytest.raises(RequestError, match="no such file or folder"):
        create_model(model_dir=tmp_path / "nothing")


def test_a_name_alone_asks_for_weights(colours):
    with pytest.raises(RequestError, match="segcore train Strongest-Colour"):
        create_model("strongest_colour")


@pytest.mark.parametrize("name", ["runs/mine", "requests/best_model"])
def test_a_mistyped_path_is_no_plugin_to_install(colours, name):
    with pytest.raises(RequestError, match=f"^{name}: there is no such file or folder") as caught:
        create_model(name)
    assert "pip" not in str(caught.value)


def test_an_unknown_name_alone_is_told_with_the_nearest(colours):
    with pytest.raises(UnknownNameError, match="did you mean 'Strongest-Colour'"):
        create_model("Strongest-Color")


def test_weights_without_a_configuration_are_refused(colour_run, tmp_path):
    weights = shutil.copy(colour_run / "best_model/model.pdparams", tmp_path)
    with pytest.raises(ConfigError, match=r"no config\.yaml beside or above"):
        create_model(model_dir=weights, device="cpu")


def test_weights_of_another_number_of_classes_are_refused(colour_run, tmp_path):
    _, _, text = (colour_run / "config.yaml").read_text().partition("\n")
    assert "num_classes: 3" in text
    (tmp_path / "config.yaml").write_text(text.replace("num_classes: 3", "num_classes: 4"))
    weights = shutil.copy(colour_run / "best_model/model.pdparams", tmp_path)
    with pytest.raises(WeightsError, match="4 classes"):
        create_model(model_dir=weights, device="cpu")


def test_a_broken_configuration_is_told_by_file_and_key(colour_run, tmp_path):
    _, _, text = (colour_run / "config.yaml").read_text().partition("\n")
    (tmp_path / "config.yaml").write_text(text.replace("num_classes: 3", "num_classes: many"))
    weights = shutil.copy(colour_run / "best_model/model.pdparams", tmp_path)
    with pytest.raises(ConfigError, match=r"config\.yaml: data\.num_classes"):
        create_model(model_dir=weights, device="cpu")


def test_a_gpu_on_a_cpu_build_is_refused_and_not_replaced(colour_run):
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this PaddlePaddle is a GPU build")
    with pytest.raises(DeviceMissingError, match="CPU build"):
        create_model(model_dir=colour_run, device="gpu:0")


def test_two_devices_are_refused(colour_run):
    with pytest.raises((RequestError, DeviceMissingError)):
        create_model(model_dir=colour_run, device="cpu:0,1")


def test_high_performance_asks_for_an_export(colour_run):
    weights = colour_run / "best_model/model.pdparams"
    with pytest.raises(RequestError, match="segcore export"):
        create_model(model_dir=weights, device="cpu", use_hpip=True)
    create_model(model_dir=colour_run, device="cpu", use_hpip=True)


def test_a_runtime_that_cannot_run_the_model_says_why(colour_run):
    weights = colour_run / "best_model/model.pdparams"
    with pytest.raises(ExportError, match="runs exported graphs, and there is none"):
        create_model(model_dir=weights, device="cpu", runtime="paddle")


def test_an_unknown_runtime_is_refused(colour_run):
    with pytest.raises(UnknownNameError, match="padle"):
        create_model(model_dir=colour_run, device="cpu", runtime="padle")


@pytest.fixture
def sliding_run(colour_run, tmp_path):
    """A run whose configuration asks for sliding windows; the export has that of `colour_run`."""
    run = shutil.copytree(colour_run, tmp_path / "run")
    _, _, text = (run / "config.yaml").read_text().partition("\n")  # the edit is meant
    assert "sliding: null" in text
    windows = "sliding: {crop: [10, 10], stride: [6, 6]}"
    (run / "config.yaml").write_text(text.replace("sliding: null", windows))
    description = run / "best_model/inference/inference.yml"
    text = description.read_text()
    assert "sliding: null" in text
    description.write_text(text.replace("sliding: null", windows))
    (description.parent / "MANIFEST.json").unlink()
    return run


def test_windows_average_logits_where_the_weights_are_at_hand(sliding_run, stripes, stripe_classes):
    (result,) = create_model(model_dir=sliding_run, device="cpu").predict(stripes)
    np.testing.assert_array_equal(result.label_map, stripe_classes)
    assert result.json["runtime"] == "eager"
    assert result.json["sliding"] == {"crop": [10, 10], "stride": [6, 6]}


def test_windows_slide_over_exported_graphs_too(sliding_run, stripes, stripe_classes):
    model = create_model(model_dir=sliding_run, device="cpu", runtime="paddle")
    (result,) = model.predict(stripes)
    np.testing.assert_array_equal(result.label_map, stripe_classes)
    assert result.json["runtime"] == "paddle"


def test_results_say_that_no_windows_were_used(colour_run, stripes):
    (result,) = create_model(model_dir=colour_run, device="cpu").predict(stripes)
    assert result.json["sliding"] is None


# -- published weights -----------------------------------------------------------------------------


def test_published_weights_predict_by_name(secure, webserver, toys, caplog):
    from segcore.checkpoint import pdparams

    network = toys.build_model(toys.models.find("Toy"), 4)
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    secure.pages["/toy.pdparams"] = webserver.page(pdparams.encode(arrays))
    model = create_model("toy", weights="toy-town", device="cpu")
    (result,) = model.predict(np.zeros((8, 12, 3), np.uint8))
    assert result.label_map.shape == (8, 12)
    assert "integrity unknown" not in caplog.text  # the cache knows their digest


def test_published_weights_that_do_not_exist_are_refused_with_those_that_do(toys):
    with pytest.raises(UnknownNameError, match="called 'ADE20K'; there are TOY_TOWN"):
        create_model("Toy", weights="ADE20K")
    with pytest.raises(UnknownNameError, match="there are none by name"):
        create_model("Backed", weights="IMAGENET")  # a backbone alone predicts nothing


def test_a_name_alone_is_answered_with_the_weights_there_are(toys):
    with pytest.raises(RequestError, match=r"or weights \(--weights\): TOY_TOWN"):
        create_model("Toy")


def test_weights_by_name_want_the_name_of_a_model(toys, tmp_path):
    with pytest.raises(RequestError, match="give that, and no folder"):
        create_model("Toy", tmp_path, weights="TOY_TOWN")


def test_results_know_their_image_wherever_the_process_goes(
    colour_run, save_image, stripes, tmp_path, monkeypatch
):
    model = create_model(model_dir=colour_run, device="cpu")
    results = []
    for folder in ("x", "y"):
        save_image(stripes, tmp_path / folder / "photo.png")
        monkeypatch.chdir(tmp_path / folder)
        results += model.predict("photo.png")
    before = (tmp_path / "x/photo.png").read_bytes()
    for force in (False, True):
        with pytest.raises(OutputError, match="an input of this command"):
            results[0].save_to_img(tmp_path / "x", force=force)
    assert (tmp_path / "x/photo.png").read_bytes() == before
    results[0].save_to_img(tmp_path / "out")
    with pytest.raises(OutputError, match="another image of that name"):
        results[1].save_to_img(tmp_path / "out")
    assert results[0].json["source"] == "photo.png"


class _FailsOnce:
    """A predictor of Paddle whose graph does not run with the settings that it has."""

    def get_input_names(self):
        raise RuntimeError("(Unimplemented)")


def test_a_graph_that_is_built_again_is_the_same_one(colour_run, stripes, tmp_path, monkeypatch):
    run = shutil.copytree(colour_run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    model = create_model(model_dir="run", device="cpu", runtime="paddle")
    (expected,) = model.predict(stripes)
    session = model.session.session
    session._has_run, session._predictor = False, _FailsOnce()
    monkeypatch.chdir(run)
    (result,) = model.predict(stripes)
    np.testing.assert_array_equal(result.label_map, expected.label_map)

    session._has_run, session._attempt, session._predictor = False, 0, _FailsOnce()
    os.utime(run / "best_model/inference/inference.pdiparams", ns=(1, 1))
    with pytest.raises(RequestError, match="no longer those that it was loaded from"):
        list(model.predict(stripes))


@pytest.mark.parametrize(
    "given",
    [
        {"target_size": True},
        {"target_size": 3.5},
        {"target_size": [64, None]},
        {"batch_size": "2"},
        {"batch_size": 2.0},
        {"batch_size": True},
        {"score_threshold": 2},
        {"score_threshold": "a"},
        {"score_threshold": float("nan")},
        {"device": None},
        {"runtime": None},
        {"model_name": 3},
        {"settings": 3},
        {"settings": "predict.batch_size"},
    ],
    ids=str,
)
def test_an_argument_of_a_wrong_kind_is_named(colour_run, given):
    (name,) = given
    with pytest.raises(RequestError, match="predict.batch_size" if name == "settings" else name):
        create_model(**{"model_dir": colour_run, "device": "cpu", **given})


def test_numbers_may_be_those_of_numpy(colour_run, stripes):
    model = create_model(
        model_dir=colour_run, device="cpu", target_size=np.array([16, 8]), batch_size=np.int64(2)
    )
    (result,) = model.predict(stripes, target_size=np.int32(16))
    assert result.json["target_size"] == 16
    (result,) = model.predict(stripes)
    assert json.loads(json.dumps(result.json))["target_size"] == [16, 8]
