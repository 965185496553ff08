import numpy as np
import pytest

from segcore.data.coco import read_coco
from segcore.data.cocodataset import CocoDataset
from segcore.data.demo import draw_dataset, draw_sample
from segcore.tasks.rle import decode_mask


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("objects"), "instances", images=6, size=96)


def test_it_is_a_sound_coco_dataset(objects):
    for split, count in (("train", 5), ("val", 1)):
        file = read_coco(objects / f"annotations/instance_{split}.json", objects / "images")
        assert file.problems == ()
        assert len(file.images) == count
    dataset = CocoDataset(objects, "train")
    assert dataset.class_names == ("circle", "rectangle", "triangle", "star")
    assert dataset.warnings == []


def test_masks_are_the_visible_parts(objects):
    """Together they are the label of the same drawing, and no pixel has two objects."""
    sample = CocoDataset(objects, "train").load(2)
    _, label = draw_sample("shapes", 96, 42, 2)
    seen = np.zeros((96, 96), int)
    classes = np.zeros((96, 96), int)
    for mask, number in zip(sample.instances.masks, sample.instances.classes, strict=True):
        seen += decode_mask(mask)
        classes += decode_mask(mask).astype(int) * (number + 1)
    assert seen.max() == 1
    assert (classes != label).sum() < 12 * 4  # slivers are left out


def test_a_larger_set_begins_with_the_smaller(objects, tmp_path):
    more = draw_dataset(tmp_path / "more", "instances", images=7, size=96)
    name = "images/objects_0003.jpg"
    assert (more / name).read_bytes() == (objects / name).read_bytes()
