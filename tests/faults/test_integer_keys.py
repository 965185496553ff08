"""Whole numbers whose hashes are all the same: refused before they are hashed.

Were they not, each of these tests would take minutes instead of a moment.
"""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from segcore.checkpoint.pdparams import decode, encode
from segcore.config.load import parse_document
from segcore.config.schema import ClassMap
from segcore.data.coco import read_coco
from segcore.data.coco_ids import read_coco_ids
from segcore.data.convert.labelme import LabelMe
from segcore.data.split_source import CocoSource
from segcore.errors import ConfigError, DataError, WeightsError
from segcore.integer_key import KEY_LIMIT

from ..data.convert import conftest as drawing  # noqa: TID252 - tests are no installed package

PRIME = 2**61 - 1
COUNT = 40_000
COLLIDING = [i * PRIME for i in range(1, COUNT)]


def pickled(number):
    size = number.bit_length() // 8 + 1
    return bytes([0x8A, size]) + number.to_bytes(size, "little", signed=True)


def test_the_numbers_do_collide():
    assert len({hash(number) for number in COLLIDING}) == 1


def test_weights():
    items = b"".join(pickled(number) + b"N" for number in COLLIDING)
    with pytest.raises(WeightsError, match="as a key"):
        decode(b"\x80\x04}(" + items + b"u.")


def test_weights_are_not_written_that_could_not_be_read():
    with pytest.raises(WeightsError, match="neither text nor a number below"):
        encode({KEY_LIMIT: 1})
    assert decode(encode({KEY_LIMIT - 1: 1})).tree == {KEY_LIMIT - 1: 1}


def test_configuration():
    text = "data:\n  label_map:\n" + "".join(f"    {number}: 0\n" for number in COLLIDING[:30_000])
    with pytest.raises(ConfigError, match=r"a\.yaml:3: the number .* is too large for a key"):
        parse_document(text, "a.yaml")


def test_numbers_in_quotes():
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(ClassMap).validate_python({str(number): 0 for number in COLLIDING[:30_000]})
    assert {fault["type"] for fault in caught.value.errors()} == {"less_than_equal"}


def coco(tmp_path, images=(1,), objects=(1,), categories=(1,), owners=(1,)):
    content = {
        "images": [{"id": n, "file_name": f"{i}.jpg"} for i, n in enumerate(images)],
        "categories": [{"id": n, "name": f"c{i}"} for i, n in enumerate(categories)],
        "annotations": [
            {"id": n, "image_id": owner, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}
            for n, owner in zip(objects, owners, strict=True)
        ],
    }
    path = tmp_path / "annotations" / "instance_train.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("section", ["images", "categories"])
def test_ids_of_coco(tmp_path, section):
    path = coco(tmp_path, **{section: [1, *COLLIDING]})
    found = read_coco(path)
    assert [record.id for record in getattr(found, section)] == [1]
    assert sum(problem.kind == "malformed" for problem in found.problems) == len(COLLIDING)
    with pytest.raises(DataError, match="lacks id"):
        CocoSource(tmp_path)


def test_ids_of_annotations_of_coco_and_of_their_images(tmp_path):
    path = coco(
        tmp_path, objects=[1, *COLLIDING, *range(2, COUNT + 1)], owners=[1] * COUNT + COLLIDING
    )
    found = read_coco(path)
    assert [record.id for record in found.annotations] == [1]
    malformed = [problem for problem in found.problems if problem.kind == "malformed"]
    assert len(malformed) == 2 * len(COLLIDING)
    assert f"is not a whole number below {KEY_LIMIT}" in malformed[0].message


def test_many_images_of_one_name(tmp_path):
    path = coco(tmp_path, images=range(1, COUNT))
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = "a.jpg"
    path.write_text(json.dumps(content))
    assert len(read_coco_ids(path).images["a.jpg"]) == COUNT - 1


def test_groups_of_labelme(tmp_path):
    drawing.write(tmp_path / "a.png", drawing.encode(drawing.photo()))
    square = [[5, 5], [6, 5], [6, 6], [5, 6]]
    shapes = [drawing.shape("x", "polygon", square, number) for number in COLLIDING[:2000]]
    drawing.write(tmp_path / "a.json", drawing.labelme(shapes, "a.png"))
    regions = LabelMe().read(tmp_path).load(0).regions
    assert {region.instance for region in regions} == {None}
