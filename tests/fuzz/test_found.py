"""What fuzzing has found, each in its smallest form."""

import json
import struct

import pytest

from segcore.config.schema import DataConfig
from segcore.data.coco import read_coco
from segcore.data.label import decode_label
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError, LabelError


def tiff_of(value):
    """Write a TIFF of one pixel of 32 unsigned bits."""
    tags = [
        (256, 3, 1), (257, 3, 1), (258, 3, 32), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
        (278, 3, 1), (279, 4, 4), (339, 3, 1),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    return (
        b"II*\0" + struct.pack("<I", 12) + struct.pack("<I", value)
        + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    )  # fmt: skip


def test_a_value_of_32_bits_is_not_wrapped_into_a_class():
    # OpenCV 4 refuses such files, OpenCV 5 reads them
    with pytest.raises(LabelError, match=r"holds the value 4294967295|the data is damaged"):
        decode_label(tiff_of(2**32 - 1), "a.tif")


def test_a_name_with_half_a_surrogate_pair_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text('"\\ud800.jpg" "a.png"\n')
    with pytest.raises(DataError, match="half of a surrogate pair") as caught:
        SegDataset(tmp_path, "train", DataConfig(num_classes=2))
    str(caught.value).encode()  # the message itself can be printed


@pytest.mark.parametrize("far", [1e308, -1e200, 1e155])
def test_a_coordinate_far_away_makes_no_area_infinite(tmp_path, far):
    polygon = [0, 0, far, 0, far, far, 0, 5]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [polygon]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_coco(tmp_path / "a.json")
    assert found.annotations == ()
    assert "outside-image" in {problem.kind for problem in found.problems}
