"""Objects numbered as a COCO file numbers them."""

import json

import pytest

from segcore.data.coco_ids import read_coco_ids
from segcore.errors import RequestError


@pytest.fixture
def ids(tmp_path):
    names = ["a.jpg", "sub/a.jpg", ".\\b\\c.jpg", "twice.jpg", "twice.jpg"]
    content = {
        "images": [
            {"id": 10 + place, "file_name": name, "width": 8, "height": 8}
            for place, name in enumerate(names)
        ],
        "annotations": [],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(content))
    return read_coco_ids(path)


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("a.jpg", 10),
        ("data/images/a.jpg", 10),
        ("data/sub/a.jpg", 11),  # the longest name that fits
        ("data\\sub\\a.jpg", 11),
        ("https://example.com/b/c.jpg", 12),
    ],
)
def test_images_are_found_by_the_end_of_their_path(ids, source, number):
    assert ids.image(source) == number


@pytest.mark.parametrize("source", ["c.jpg", "data/xa.jpg", "a.jpg/b", ""])
def test_images_of_other_names_are_not_listed(ids, source):
    assert ids.image(source) is None
    assert ids.unlisted(["a.jpg", source]) == [source]
    with pytest.raises(RequestError, match=r"ids\.json lists none .*a\.jpg, sub/a\.jpg"):
        ids.unlisted([source])


def test_a_name_that_stands_for_two_images_is_refused(ids):
    with pytest.raises(RequestError, match=r"has 2 times the image 'x/twice\.jpg'"):
        ids.image("x/twice.jpg")


def test_two_inputs_that_are_one_image_are_refused(ids):
    assert ids.unlisted(["x/a.jpg", "x/sub/a.jpg"]) == []
    with pytest.raises(RequestError, match=r"x/a\.jpg and y/a\.jpg are one image"):
        ids.unlisted(["x/a.jpg", "y/a.jpg"])


def test_categories_are_found_by_name(ids):
    assert (ids.category("cat"), ids.category("dog")) == (7, 3)
    with pytest.raises(RequestError, match=r"no category 'cow'.*cat, dog"):
        ids.category("cow")
