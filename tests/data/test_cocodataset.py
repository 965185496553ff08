import json
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import Config, DataConfig, ModelConfig
from segcore.data.cocodataset import CocoDataset
from segcore.data.dataset import open_dataset
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError, DataError, LabelError

SQUARE = [[2, 2, 12, 2, 12, 10, 2, 10]]


@pytest.fixture
def root(tmp_path):
    """Three images of 20 x 16 pixels: a square and a crowd, nothing, and two objects."""
    for folder in ("images", "annotations"):
        (tmp_path / folder).mkdir()
    for number in (1, 2, 3):
        picture = np.full((16, 20, 3), 40 * number, np.uint8)
        (tmp_path / f"images/{number}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    for split in ("train", "val"):
        write(tmp_path, content(), split)
    return tmp_path


def content():
    crowd = {"size": [16, 20], "counts": [16, 32, 272]}
    return {
        "images": [
            {"id": n * 10, "file_name": f"{n}.png", "width": 20, "height": 16} for n in (1, 2, 3)
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            annotation(1, 10, 7, SQUARE),
            annotation(2, 10, 3, crowd, iscrowd=1, bbox=[1, 0, 2, 16]),
            annotation(3, 30, 3, SQUARE),
            annotation(4, 30, 7, [*SQUARE, [14, 1, 18, 1, 18, 5]]),
        ],
    }


def annotation(number, image, category, segmentation, **more):
    return {
        "id": number, "image_id": image, "category_id": category, "segmentation": segmentation,
        "bbox": [2, 2, 10, 8], "area": 80, "iscrowd": 0, **more,
    }  # fmt: skip


def write(root, value, split="train"):
    (root / f"annotations/instance_{split}.json").write_text(json.dumps(value))


def test_objects_have_classes_in_the_order_of_the_ids(root):
    dataset = CocoDataset(root, "val")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (3, 7)
    first, second, third = (dataset.load(index) for index in range(3))
    assert first.image.shape == (16, 20, 3)
    assert first.instances.classes.tolist() == [1, 0]
    assert first.instances.is_crowd.tolist() == [False, True]
    assert first.instances.boxes.tolist() == [[2, 2, 12, 10], [1, 0, 3, 16]]
    assert len(second.instances) == 0
    assert [len(polygon) for polygon in third.instances.masks[1]] == [4, 3]
    assert third.instances.masks[0][0].reshape(-1).tolist() == SQUARE[0]


def test_training_leaves_out_images_without_objects_and_says_so(root):
    value = content()
    value["annotations"].pop(0)  # only the crowd is left on the first image
    write(root, value)
    dataset = CocoDataset(root, "train")
    assert dataset.image_ids == [30]
    assert any("2 images without objects are not trained on" in line for line in dataset.warnings)
    kept = CocoDataset(root, "train", DataConfig(keep_unlabelled=True))
    assert kept.image_ids == [10, 20, 30]


def test_a_flaw_costs_one_object_and_a_warning(root):
    value = content()
    value["annotations"][0]["segmentation"] = [[1, 1, 2, 2]]
    write(root, value, "val")
    dataset = CocoDataset(root, "val")
    assert len(dataset.load(0).instances) == 1
    assert any(
        "1 x few-points (first: 1.png" in line or "few-points" in line for line in dataset.warnings
    )


def test_it_pickles_and_loads_the_same(root):
    dataset = CocoDataset(root, "train")
    copy = pickle.loads(pickle.dumps(dataset))
    for index in range(len(dataset)):
        ours, theirs = dataset.load(index).instances, copy.load(index).instances
        assert ours.boxes.tobytes() == theirs.boxes.tobytes()
        assert len(ours.masks) == len(theirs.masks)


def test_the_fingerprint_knows_every_point(root):
    before = CocoDataset(root, "val").fingerprint()
    assert before == CocoDataset(root, "val").fingerprint()
    value = content()
    value["annotations"][3]["segmentation"][1][0] = 14.5
    write(root, value, "val")
    assert CocoDataset(root, "val").fingerprint() != before


@pytest.mark.parametrize("orientation", [6, 8])
def test_an_image_that_exif_turns_needs_annotations_that_are_turned(root, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (20, 16)).save(root / "images/1.png", exif=exif)
    dataset = CocoDataset(root, "val")
    for read in (dataset.load, dataset.check):
        with pytest.raises(LabelError, match=r"16 x 20 pixels.*20 x 16.*EXIF.*image 10"):
            read(0)
    dataset.check(1)
    value = content()
    value["images"][0].update(width=16, height=20)
    value["annotations"] = value["annotations"][2:]
    write(root, value, "val")
    assert CocoDataset(root, "val").load(0).size == (20, 16)


def test_files_that_cannot_be_used_are_listed_together(root):
    value = content()
    for image, name in zip(value["images"], ("gone.png", "../out.png", "3.png"), strict=True):
        image["file_name"] = name
    write(root, value, "val")
    with pytest.raises(
        DataError, match=r"2 images cannot be used:\n.*gone.*\n.*leaves the dataset"
    ):
        CocoDataset(root, "val")


def test_any_coco_file_and_folder_can_be_named(root):
    (root / "annotations/instance_val.json").rename(root / "mine.json")
    (root / "images").rename(root / "pictures")
    data = DataConfig(
        path=str(root),
        annotation_files={"val": "mine.json"},
        image_folders={"val": "pictures"},
    )
    config = Config(model=ModelConfig(name="any"), data=data)
    dataset = open_dataset(config, "val", get_catalogue(), "instance")
    assert len(dataset) == 3


def test_each_task_finds_the_layouts_that_it_learns_from(root, shapes):
    config = Config(model=ModelConfig(name="Any-Net"), data=DataConfig(path=str(root)))
    assert len(open_dataset(config, "val", get_catalogue(), "instance")) == 3
    with pytest.raises(DataError, match=r"is a COCO, for instance models, but Any-Net is semantic"):
        open_dataset(config, "val", get_catalogue(), "semantic")
    other = config.model_copy(update={"data": DataConfig(path=str(shapes))})
    with pytest.raises(DataError, match=r"is a SegDataset, for semantic models"):
        open_dataset(other, "val", get_catalogue(), "instance")
    named = config.model_copy(update={"data": DataConfig(path=str(root), format="COCO")})
    with pytest.raises(ConfigError, match=r"data\.format = 'COCO': is for instance models"):
        open_dataset(named, "val", get_catalogue(), "semantic")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"categories": []}, "has no categories"),
        ({"images": []}, "lists no images"),
    ],
)
def test_a_file_with_nothing_to_use_is_refused(root, change, says):
    write(root, {**content(), **change}, "val")
    with pytest.raises(DataError, match=says):
        CocoDataset(root, "val")
