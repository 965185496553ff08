"""Results of instance models: what is drawn, printed and written."""

import copy
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import PredictConfig
from segcore.inference.inputs import expand_inputs
from segcore.inference.instance_result import InstanceResult
from segcore.tasks.instances import Detections
from segcore.tasks.result import Predicted
from segcore.tasks.rle import decode_mask, encode_mask, read_rle


@pytest.fixture
def detections():
    """A square above a circle that it covers in part, and one object of a low score."""
    y, x = np.mgrid[:90, :120]
    circle = ((x - 70) ** 2 + (y - 45) ** 2 < 30**2).astype(np.uint8)
    square = np.zeros((90, 120), np.uint8)
    square[20:60, 20:60] = 1
    return Detections(
        (90, 120),
        np.array([[20, 20, 60, 60], [40, 15, 100, 75], [0, 0, 5, 5]], np.float32),
        np.array([0.9, 0.7, 0.3], np.float32),
        np.array([1, 0, 1]),
        (encode_mask(square), encode_mask(circle), encode_mask(square)),
    )


@pytest.fixture
def result(detections):
    image = np.full((90, 120, 3), 90, np.uint8)
    settings = PredictConfig(overlay_alpha=0.5, score_threshold=0.5)
    predicted = Predicted("sub/a", "in/a.jpg", image, settings, ("round", "square"), 2)
    return InstanceResult.of(detections, predicted)


def test_the_json_form_holds_each_object_above_the_threshold(result, detections):
    content = json.loads(json.dumps(result.json))
    assert (content["source"], content["width"], content["height"]) == ("in/a.jpg", 120, 90)
    first, second = content["instances"]
    assert (first["name"], first["id"], first["bbox"]) == ("square", 1, [20, 20, 40, 40])
    assert first["score"] == pytest.approx(0.9, abs=1e-6)
    assert second["area"] == decode_mask(detections.masks[1]).sum()
    np.testing.assert_array_equal(
        decode_mask(read_rle(second["segmentation"])), decode_mask(detections.masks[1])
    )


@pytest.mark.parametrize(
    "travel", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))]
)
def test_a_result_travels_to_another_process(result, travel):
    for again in (travel(result), travel(result)):  # the second one with what was drawn
        assert again.json == result.json
        assert again.pictures() == result.pictures()


def test_the_drawing_tints_masks_and_leaves_the_rest(result):
    picture = np.asarray(result.img).astype(int)
    assert picture.shape == (90, 120, 3)
    assert (picture[80:, :] == 90).all()
    square, circle = picture[40, 40], picture[45, 85]
    assert abs(square - 90).max() > 20
    assert abs(circle - 90).max() > 20
    assert abs(square - circle).max() > 20


def test_classes_have_the_colours_of_a_palette(result, detections):
    palette = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    own = InstanceResult("a", "a", result.image, detections, overlay_alpha=1.0, palette=palette)
    picture = np.asarray(own.img)
    assert picture[50, 85].tolist() == [255, 0, 0]
    assert picture[50, 30].tolist() == [0, 0, 255]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_any_channels_are_drawn(detections, channels):
    image = np.full((90, 120, channels), 90, np.uint8)
    picture = np.asarray(InstanceResult("a", "a", image, detections).img)
    assert picture.shape == (90, 120, 3)
    assert (picture[80:] == 90).all()


def test_files_are_the_drawing_and_the_json_form(result, tmp_path):
    (path,) = result.save_to_img(tmp_path)
    assert path == tmp_path / "sub/a_overlay.jpg"
    with Image.open(path) as picture:
        assert picture.size == (120, 90)
    assert result.save_to_json(tmp_path) == tmp_path / "sub/a.json"
    assert result.save_to_img(tmp_path / "b.png") == [tmp_path / "b.png"]
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    # drawings know themselves and are no images to predict
    assert [image.name for image in expand_inputs(tmp_path)] == ["photo"]


def test_nothing_found_is_a_result_as_well(result, capsys):
    none = InstanceResult("a", "a", result.image, result.detections.above(1.0))
    assert (np.asarray(none.img) == 90).all()
    none.print()
    assert json.loads(capsys.readouterr().out)["instances"] == []


def test_names_that_the_font_does_not_know_are_drawn_all_the_same(result, detections):
    strange = InstanceResult("a", "a", result.image, detections, ("圆" * 60, "a\nb"))
    assert strange.img.size == (120, 90)
