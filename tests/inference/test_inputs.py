"""What inputs stand for, and what is refused."""

import os

import numpy as np
import pytest

from segcore.config.schema import DataConfig
from segcore.data.convert.source import walk_files
from segcore.data.split_source import _by_stem
from segcore.errors import DataError, ImageError, PathError, RequestError
from segcore.inference.inputs import expand_inputs
from segcore.inference.result import SegmentationResult


def names(given):
    return [image.name for image in expand_inputs(given)]


def test_a_folder_stands_for_the_images_below_it_in_order(stripes, save_image, tmp_path):
    for name in ("b.png", "a.JPG", "sub/c.webp", "sub/deep/d.bmp"):
        save_image(stripes, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert names(tmp_path) == ["a", "b", "sub/c", "sub/deep/d"]


def test_a_folder_without_images_says_what_counts_as_one(tmp_path):
    with pytest.raises(DataError, match=r"no image in this folder .*\.webp"):
        names(tmp_path)


def test_results_of_earlier_predictions_are_no_inputs(stripes, save_image, tmp_path):
    save_image(stripes, tmp_path / "a.png")
    labels = np.zeros(stripes.shape[:2], np.uint8)
    result = SegmentationResult("a", "a.png", stripes, labels)
    result.save_to_img(tmp_path / "results")
    result.save_to_img(tmp_path / "picture.png")
    result.save_to_json(tmp_path / "results")
    assert names(tmp_path) == ["a"]


def test_a_result_named_by_the_user_is_an_input(stripes, tmp_path):
    labels = np.zeros(stripes.shape[:2], np.uint8)
    SegmentationResult("a", "a.png", stripes, labels).save_to_img(tmp_path)
    assert names(tmp_path / "a_overlay.jpg") == ["a_overlay"]


def test_loops_of_links_are_not_followed(stripes, save_image, tmp_path):
    save_image(stripes, tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.png: there is no such file"):
        names(tmp_path / "nothing.png")


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    first, second = expand_inputs([np.zeros((2, 2, 3), np.uint8), "https://example.invalid/a.png"])
    assert second.name == "a"
    assert first.load(DataConfig()).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/photo.png?x=1", "photo"),
        ("https://host/", "image"),
        ("https://host/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://host/..%5Cup.png", "_up"),
    ],
)
def test_addresses_never_choose_a_folder(url, name):
    assert names(url) == [name]


@pytest.mark.parametrize("scheme", ["file", "ftp", "s3", "data"])
def test_other_schemes_are_refused(scheme):
    (image,) = expand_inputs(f"{scheme}://host/a.png")
    with pytest.raises(RequestError, match=f"{scheme}:// is not fetched"):
        image.load(DataConfig())


@pytest.mark.parametrize("item", [3, None, b"bytes", [["nested"]]])
def test_other_types_are_refused_with_the_good_ones(item):
    with pytest.raises(RequestError, match="give a path, a URL, a folder, an array"):
        names([item])


def load(array, **settings):
    (image,) = expand_inputs(array)
    return image.load(DataConfig(**settings))


def test_a_grey_array_becomes_what_the_model_takes():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert load(grey).shape == (2, 3, 3)
    assert load(grey, channels=1).shape == (2, 3, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "type float32"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \(2, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array, message):
    with pytest.raises(ImageError, match=message):
        load(array)


def test_colour_for_a_grey_model_is_refused():
    with pytest.raises(ImageError, match="takes grey"):
        load(np.zeros((4, 4, 3), np.uint8), channels=1)


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (image,) = expand_inputs(tmp_path / "a.png")
    with pytest.raises(DataError, match="named pipe"):
        image.load(DataConfig())


def test_a_file_that_vanished_is_told_by_name(stripes, save_image, tmp_path):
    path = save_image(stripes, tmp_path / "a.png")
    (image,) = expand_inputs(path)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.png: cannot be read"):
        image.load(DataConfig())


def test_an_array_is_the_one_that_was_given_whatever_is_put_into_it(stripes):
    buffer = np.empty_like(stripes)

    def film():
        for number in range(3):
            buffer[:] = number
            yield buffer

    images = list(expand_inputs(film()))
    buffer[:] = 9
    assert [image.load(DataConfig()).flat[0] for image in images] == [0, 1, 2]


@pytest.mark.parametrize("given", ["", ["a.png", ""]])
def test_an_empty_name_is_not_the_current_folder(given, save_image, stripes, tmp_path, monkeypatch):
    save_image(stripes, tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="was a variable not set"):
        list(expand_inputs(given))


@pytest.mark.parametrize("given", [None, 3, b"a.png"])
def test_what_is_nothing_to_predict_is_told(given):
    with pytest.raises(RequestError, match="is of type"):
        list(expand_inputs(given))


def test_a_folder_is_whole_wherever_the_process_goes(save_image, stripes, tmp_path, monkeypatch):
    for name in ("a/1", "b/2", "c/3"):
        save_image(stripes, tmp_path / f"in/{name}.png")
    monkeypatch.chdir(tmp_path)
    images = []
    for image in expand_inputs("in"):
        images.append(image)
        monkeypatch.chdir("/")
    assert [image.source for image in images] == ["in/a/1.png", "in/b/2.png", "in/c/3.png"]
    assert all(image.load(DataConfig()).shape == stripes.shape for image in images)


def test_a_folder_that_cannot_be_listed_is_told(save_image, stripes, tmp_path, monkeypatch):
    save_image(stripes, tmp_path / "a.png")
    save_image(stripes, tmp_path / "closed" / "b.png")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    for look in (
        lambda: list(expand_inputs(tmp_path)),
        lambda: walk_files(tmp_path, frozenset({".png"})),
        lambda: _by_stem(tmp_path, {".png"}),
    ):
        with pytest.raises(PathError, match=r"closed: Permission denied"):
            look()
