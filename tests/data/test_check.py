import shutil

import numpy as np
import pytest
from PIL import Image

from segcore.data.check import find_faults, require_sound
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError


@pytest.fixture
def data(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / "data")


def label_of(data, row):
    return data / (data / "train.txt").read_text().splitlines()[row].split()[1]


def change_label(path, change):
    label = np.array(Image.open(path))
    Image.fromarray(change(label)).save(path)


def set_corner(label):
    label[0, :3] = 21
    return label


def test_a_clean_dataset_has_no_faults(data):
    assert find_faults(SegDataset(data, "train")) == []


def test_a_value_that_no_class_has_is_found_with_its_line(data):
    change_label(label_of(data, 4), set_corner)
    with pytest.raises(DataError, match=r"3 pixels have .*21.* \(train\.txt, line 5\)"):
        require_sound({"train": SegDataset(data, "train")})


def test_a_label_of_another_size_is_found(data):
    change_label(label_of(data, 7), lambda label: label[:, :60])
    (fault,) = find_faults(SegDataset(data, "train"))
    assert "60 x 64 pixels" in fault


def test_all_faults_are_told_at_once(data):
    for row in (1, 2, 3):
        change_label(label_of(data, row), set_corner)
    with pytest.raises(DataError, match="3 samples cannot be used") as caught:
        require_sound({"train": SegDataset(data, "train"), "val": SegDataset(data, "val")})
    assert str(caught.value).count("train.txt, line") == 3


def test_a_cut_image_is_found(data):
    image = data / (data / "val.txt").read_text().split()[0]
    image.write_bytes(image.read_bytes()[:-400])
    (fault,) = find_faults(SegDataset(data, "val"))
    assert "truncated" in fault


def test_a_dataset_that_cannot_check_is_taken_as_it_is():
    assert find_faults(["no", "check", "here"]) == []
