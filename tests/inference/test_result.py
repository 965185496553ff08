"""Results as JSON, as pictures and as files."""

import json

import numpy as np
import pytest
from PIL import Image

from segcore.errors import OutputError
from segcore.inference.result import SegmentationResult


@pytest.fixture
def result(stripes, stripe_classes):
    names = ("red", "green", "blue")
    return SegmentationResult("sub/a", "in/sub/a.jpg", stripes, stripe_classes, names)


def test_the_json_form_says_how_much_each_class_covers(result):
    assert result.json == {
        "written_by": "segcore predict",
        "source": "in/sub/a.jpg",
        "width": 24,
        "height": 16,
        "classes": [
            {"id": 0, "name": "red", "pixels": 128, "share": 0.333333},
            {"id": 1, "name": "green", "pixels": 128, "share": 0.333333},
            {"id": 2, "name": "blue", "pixels": 128, "share": 0.333333},
        ],
    }


def test_classes_without_a_name_are_called_by_their_number(stripes, stripe_classes):
    labels = stripe_classes.astype(np.uint16) + 300
    result = SegmentationResult("a", "a", stripes, labels, ("only",))
    assert [entry["name"] for entry in result.json["classes"]] == ["300", "301", "302"]


@pytest.mark.parametrize("save", ["save_to_img", "save_to_json"])
def test_an_empty_path_is_not_the_current_folder(result, save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="empty text"):
        getattr(result, save)("")
    assert list(tmp_path.iterdir()) == []


def test_print_writes_the_json_form(result, capsys):
    result.print()
    assert json.loads(capsys.readouterr().out) == result.json


def test_a_folder_gets_the_label_map_and_the_overlay_in_the_tree(result, tmp_path):
    written = result.save_to_img(tmp_path / "out")
    assert written == [tmp_path / "out/sub/a.png", tmp_path / "out/sub/a_overlay.jpg"]
    assert result.save_to_json(tmp_path / "out") == tmp_path / "out/sub/a.json"
    assert json.loads((tmp_path / "out/sub/a.json").read_text()) == result.json


def test_a_file_name_gets_the_overlay_alone(result, tmp_path):
    assert result.save_to_img(str(tmp_path / "p.png")) == [tmp_path / "p.png"]
    np.testing.assert_array_equal(Image.open(tmp_path / "p.png"), result.img)
    assert result.save_to_json(tmp_path / "r.json") == tmp_path / "r.json"


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 254), (np.uint16, 40_000)])
def test_the_label_map_is_read_back_as_it_was(stripes, stripe_classes, tmp_path, dtype, highest):
    import cv2

    labels = stripe_classes.astype(dtype)
    labels[0, 0] = highest
    path, _ = SegmentationResult("a", "a", stripes, labels).save_to_img(tmp_path)
    stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, labels)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), labels)


def test_the_overlay_leaves_black_classes_and_colours_the_others(result, stripes):
    picture = np.asarray(result.img)
    np.testing.assert_array_equal(picture[:, :7], stripes[:, :7])  # class 0; column 7 is a border
    half = stripes[4, 12].astype(float) / 2 + np.array([128, 0, 0]) / 2
    np.testing.assert_allclose(picture[4, 12], half, atol=1)


def test_borders_are_drawn_in_full_colour(result):
    picture = np.asarray(result.img)
    assert tuple(picture[4, 8]) == (128, 0, 0)
    assert tuple(picture[4, 15]) == (128, 0, 0)
    assert tuple(picture[4, 16]) == (0, 128, 0)


def test_grey_images_get_coloured_overlays(stripe_classes):
    grey = np.full((16, 24, 1), 100, np.uint8)
    picture = np.asarray(SegmentationResult("a", "a", grey, stripe_classes).img)
    assert picture.shape == (16, 24, 3)
    assert tuple(picture[4, 0]) == (100, 100, 100)


def test_a_palette_of_the_dataset_is_used(stripes, stripe_classes):
    palette = np.array([[9, 9, 9], [10, 20, 30], [0, 0, 0]], np.uint8)
    result = SegmentationResult("a", "a", stripes, stripe_classes, palette=palette, overlay_alpha=1)
    assert tuple(np.asarray(result.img)[4, 12]) == (10, 20, 30)


def test_a_file_where_a_folder_should_be_is_told(result, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out"):
        result.save_to_img(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
