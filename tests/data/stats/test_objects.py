"""Statistics and pictures of datasets whose labels are objects."""

import json

import cv2
import numpy as np
import pytest

from segcore.data.classmap import class_map_of, void_value
from segcore.data.report.page import render_report
from segcore.data.stats.survey import dataset_stats
from segcore.data.view.look import look_at
from segcore.errors import DataError
from segcore.tasks.sample import Sample


def box(left, top, side):
    right, bottom = left + side, top + side
    return [left, top, right, top, right, bottom, left, bottom]


@pytest.fixture
def annotated(tmp_path):
    """Two images of 32 x 32: cats of 100 and 16 pixels, a dog of 64 over the first, a crowd."""
    objects = [
        (1, 7, box(2, 2, 10), 0),
        (1, 9, box(6, 6, 8), 0),
        (1, 7, box(20, 20, 4), 0),
        (2, 9, box(0, 0, 20), 0),
    ]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "segmentation": [corners],
            "bbox": [corners[0], corners[1], corners[2] - corners[0], corners[5] - corners[1]],
            "area": (corners[2] - corners[0]) ** 2,
            "iscrowd": crowd,
        }
        for number, (image, category, corners, crowd) in enumerate(objects, 1)
    ]
    runs = {"size": [32, 32], "counts": [0, 32 * 4, 32 * 28]}
    annotations.append(
        {
            "id": 9, "image_id": 1, "category_id": 9, "segmentation": runs,
            "bbox": [0, 0, 4, 32], "area": 128, "iscrowd": 1,
        }
    )  # fmt: skip
    images = [
        {"id": number, "file_name": f"{number}.png", "width": 32, "height": 32} for number in (1, 2)
    ]
    categories = [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    for image in images:
        pixels = np.full((32, 32, 3), 50 * image["id"], np.uint8)
        path = tmp_path / "images" / image["file_name"]
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "annotations/instance_train.json").write_text(json.dumps(content))
    return tmp_path


def test_objects_are_those_annotated_and_crowds_are_none(annotated):
    stats = dataset_stats(annotated)
    cat, dog = stats.total.classes
    assert stats.has_instances
    assert (cat.name, cat.objects, cat.images, cat.tiny_objects) == ("cat", 2, 1, 1)
    assert (dog.name, dog.objects, dog.images) == ("dog", 2, 2)
    assert (cat.object_area.minimum, cat.object_area.maximum) == (16, 100)
    assert stats.total.cooccurrence == ((1, 1), (1, 2))


def test_smaller_objects_lie_over_larger_ones(annotated):
    cat, dog = dataset_stats(annotated).total.classes
    # of the first cat, 36 pixels are under the dog, and none under the larger crowd
    assert cat.pixels == 100 - 36 + 16
    assert dog.pixels == 400 + 64 + 128 - 20


def test_shares_are_those_of_the_objects(annotated):
    total = dataset_stats(annotated).total
    assert sum(found.share for found in total.classes) == pytest.approx(1)
    assert total.pixels == 2 * 32 * 32
    objects = sum(found.pixels for found in total.classes)
    assert total.ignored_share == pytest.approx(1 - objects / total.pixels)


def test_what_is_no_object_is_called_so_and_has_no_colour(annotated):
    view = look_at(annotated)
    void = view.stats.ignore_index
    assert view.palette[void].tolist() == [0, 0, 0]
    assert view.palette[0].any()  # the first class is an object
    page = render_report(view.report()).decode()
    assert "no object" in page
    assert "ignored" not in page


def test_no_class_has_the_value_of_no_class():
    assert void_value(20, 255) == 255
    assert void_value(1203, 255) == 1203


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(DataError, match="neither a label nor objects"):
        class_map_of(Sample(np.zeros((4, 4, 3), np.uint8), source="a.png"), 255)
