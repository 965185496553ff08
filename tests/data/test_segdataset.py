import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from segcore.config.schema import Config, DataConfig, ModelConfig
from segcore.data.segdataset import SegDataset, SegDatasetFormat
from segcore.errors import DataError, LabelError, ListFileError
from segcore.protocols import Dataset, DatasetFormat


def png(array):
    done, data = cv2.imencode(".png", array)
    assert done
    return data.tobytes()


@pytest.fixture
def root(tmp_path):
    """Write three images for training and one for validation, with classes 0 to 2."""
    rng = np.random.default_rng(5)
    for folder in ("images", "annotations"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        image = rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)
        label = rng.integers(0, 3, (10, 14), dtype=np.uint8)
        (tmp_path / f"images/{number}.png").write_bytes(png(image))
        (tmp_path / f"annotations/{number}.png").write_bytes(png(label))
    rows = [f"images/{n}.png annotations/{n}.png\n" for n in range(4)]
    (tmp_path / "train.txt").write_text("".join(rows[:3]))
    (tmp_path / "val.txt").write_text(rows[3])
    return tmp_path


def read(path, flags=cv2.IMREAD_UNCHANGED):
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)


def test_a_sample_holds_image_and_label_and_says_where_they_are_from(root):
    sample = SegDataset(root, "train").load(1)
    assert np.array_equal(sample.image, read(root / "images/1.png")[..., ::-1])
    assert np.array_equal(sample.label, read(root / "annotations/1.png"))
    assert sample.index == 1
    assert sample.source == "images/1.png (train.txt, line 2)"


def test_the_format_opens_what_it_detects(root):
    config = Config(model=ModelConfig(name="any"), data=DataConfig(num_classes=3))
    assert SegDatasetFormat().detects(root)
    assert len(SegDatasetFormat().open(root, "val", config)) == 1
    assert not SegDatasetFormat().detects(root / "images")


def test_format_and_dataset_follow_the_protocols(root):
    assert isinstance(SegDatasetFormat(), DatasetFormat)
    assert isinstance(SegDataset(root, "train"), Dataset)


def test_a_pickled_dataset_loads_the_same(root):
    dataset = SegDataset(root, "train")
    copy = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copy.load(2).image, dataset.load(2).image)
    assert copy.fingerprint() == dataset.fingerprint()


def test_classes_are_counted_in_the_labels_of_all_lists_without_labels_txt(root):
    (root / "annotations/3.png").write_bytes(png(np.full((10, 14), 4, np.uint8)))
    assert SegDataset(root, "train").class_names == tuple(f"class {i}" for i in range(5))


def test_ignored_pixels_are_no_class(root):
    label = np.zeros((10, 14), np.uint8)
    label[0] = 255
    (root / "annotations/0.png").write_bytes(png(label))
    assert SegDataset(root, "train").num_classes == 3


def test_a_mask_of_0_and_255_is_refused_without_a_class_count(root):
    for number in range(4):
        (root / f"annotations/{number}.png").write_bytes(png(np.eye(10, 14, dtype=np.uint8) * 255))
    with pytest.raises(LabelError, match=r"data\.label_map=\{255: 1\}"):
        SegDataset(root, "train")


def test_classes_come_from_labels_txt(root):
    (root / "labels.txt").write_text("ground\nroad #102030\nsky\n")
    dataset = SegDataset(root, "train")
    assert dataset.class_names == ("ground", "road", "sky")
    assert dataset.class_colours == (None, (16, 32, 48), None)


def test_another_count_than_that_of_labels_txt_is_refused(root):
    (root / "labels.txt").write_text("ground\nroad\n")
    with pytest.raises(DataError, match=r"names 2 classes, but data\.num_classes is 3"):
        SegDataset(root, "train", DataConfig(num_classes=3))


def test_a_missing_list_is_refused_with_those_that_exist(root):
    with pytest.raises(DataError, match=r"has no test\.txt \(found: train\.txt, val\.txt\)"):
        SegDataset(root, "test")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        SegDataset(tmp_path / "nowhere", "train")


def test_the_label_map_applies_before_the_check(root):
    dataset = SegDataset(root, "train", DataConfig(num_classes=2, label_map={2: 1}))
    assert set(np.unique(dataset.load(0).label)) == {0, 1}


def test_images_may_be_read_as_grey(root):
    for number in range(4):
        (root / f"images/{number}.png").write_bytes(png(np.full((10, 14), number, np.uint8)))
    assert SegDataset(root, "train", DataConfig(channels=1)).load(2).image.shape == (10, 14, 1)


@pytest.mark.parametrize("change", ["row", "order", "content"])
def test_the_fingerprint_changes_with_the_dataset(root, change):
    before = SegDataset(root, "train").fingerprint()
    lines = (root / "train.txt").read_text().splitlines(keepends=True)
    if change == "content":
        (root / "images/0.png").write_bytes((root / "images/0.png").read_bytes() + b"\0")
    else:
        changed = lines[:2] if change == "row" else lines[::-1]
        (root / "train.txt").write_text("".join(changed))
    assert SegDataset(root, "train").fingerprint() != before


def test_the_fingerprint_stays_when_the_folder_moves(root, tmp_path_factory):
    before = SegDataset(root, "train").fingerprint()
    moved = root.rename(tmp_path_factory.mktemp("moved") / "set")
    assert SegDataset(moved, "train").fingerprint() == before


def test_comments_and_blank_lines_do_not_change_the_fingerprint(root):
    before = SegDataset(root, "train").fingerprint()
    (root / "train.txt").write_text("# three images\n\n" + (root / "train.txt").read_text())
    assert SegDataset(root, "train").fingerprint() == before


def test_errors_of_rows_name_the_list_and_the_line(root):
    (root / "images/1.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"images/1\.png: not an image .*\(train\.txt, line 2\)"):
        SegDataset(root, "train").load(1)


def test_a_damaged_label_is_found_while_counting_classes(root):
    (root / "annotations/2.png").write_bytes(b"")
    with pytest.raises(LabelError, match=r"annotations/2\.png: empty file"):
        SegDataset(root, "train")


def test_val_and_test_may_share_images(root):
    (root / "test.txt").write_text((root / "val.txt").read_text())
    assert len(SegDataset(root, "test")) == 1


def test_one_label_for_two_images_is_allowed(root):
    (root / "train.txt").write_text(
        "images/0.png annotations/0.png\nimages/1.png annotations/0.png\n"
    )
    assert len(SegDataset(root, "train")) == 2


def test_a_broken_row_of_another_list_is_reported_when_opened(root):
    (root / "val.txt").write_text("images/3.png\n")
    with pytest.raises(ListFileError, match=r"val\.txt, line 1"):
        SegDataset(root, "train", DataConfig(num_classes=3))


def test_lists_and_classes_of_other_names_are_named_by_settings(root):
    config = DataConfig(list_files={"train": "mine.txt"}, class_file="names.txt")
    (root / "mine.txt").write_text((root / "train.txt").read_text())
    with pytest.raises(ListFileError, match=r"names\.txt"):
        SegDataset(root, "train", config)
    (root / "names.txt").write_text("a\nb\nc\nd\ne\nf\n")
    dataset = SegDataset(root, "train", config)
    assert dataset.class_names == tuple("abcdef")
    assert dataset.fingerprint() == SegDataset(root, "train").fingerprint()
    whole = Config.model_validate({"model": {"name": "any"}, "data": config.model_dump()})
    layout = SegDatasetFormat()
    files = [*layout.files(root, whole.data, ["train"])]
    assert [Path(name).name for name in files[:2]] == ["names.txt", "mine.txt"]
    (root / "train.txt").unlink()
    assert "train" in layout.splits(root, whole)
    with pytest.raises(DataError, match=r"has no other\.txt"):
        SegDataset(root, "train", DataConfig(list_files={"train": "other.txt"}))
