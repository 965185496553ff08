"""Pictures that say little and hold much: judged by what they say, before anything is decoded."""

import base64
import struct
import zlib

import numpy as np
import pytest

from segcore.config.schema import DataConfig
from segcore.data.convert.canvas import Canvas, UnusableShape
from segcore.data.convert.labelme import LabelMe
from segcore.data.convert.source import cut_values
from segcore.data.convert.supervisely import _place_bitmap
from segcore.data.inspection.sample import look_at
from segcore.data.listfile import Row
from segcore.data.rowfile import RowFiles
from segcore.data.split_source import ListSource
from segcore.errors import LabelError

from ..data.convert import conftest as drawing  # noqa: TID252 - tests are no installed package


def png_header(width, height):
    """Give a PNG whose pixels are nonsense: whoever decodes it complains of that."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"nonsense") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "points", "reason"),
    [
        ((12_000, 12_000), [[0, 0], [47, 39]], "a mask of another size than its box"),
        ((12_000, 12_000), [[0, 0], [11_999, 11_999]], "a mask far larger than its image"),
        ((48, 40), [[0, 0], [47, 39]], "a mask that cannot be decoded"),
    ],
)
def test_masks_of_labelme_are_bounded_by_their_box_and_their_image(tmp_path, size, points, reason):
    mask = base64.b64encode(png_header(*size)).decode()
    shape = {"label": "x", "points": points, "shape_type": "mask", "mask": mask}
    drawing.write(tmp_path / "a.png", drawing.encode(drawing.photo()))
    drawing.write(tmp_path / "a.json", drawing.labelme([shape], "a.png"))
    image = LabelMe().read(tmp_path).load(0)
    assert image.regions == ()
    assert [note.reason.startswith(reason) for note in image.notes] == [True]


def test_bitmaps_of_supervisely_do_not_unpack_to_more_than_their_image_could_hold():
    picture = drawing.encode(np.ones((4, 4), np.uint8)) + bytes(2**22)
    packed = base64.b64encode(zlib.compress(picture, 9)).decode()
    with pytest.raises(UnusableShape, match="far too large"):
        _place_bitmap({"origin": [0, 0], "data": packed}, Canvas(16, 16))


def test_of_many_tiny_classes_not_each_is_looked_at(tmp_path):
    values = np.zeros((60, 60), np.uint16)
    values[1::3, 1::3] = np.arange(300, 700).reshape(20, 20)
    drawing.write(tmp_path / "a.png", drawing.encode(np.zeros((60, 60, 3), np.uint8)))
    drawing.write(tmp_path / "b.png", drawing.encode(values))
    files = RowFiles(tmp_path, DataConfig())
    look = look_at(Row("a.png", "b.png", 1), files, DataConfig(), None)
    told = [message for kind, _, message in look.problems if kind == "tiny-objects"]
    assert told[-1] == "b.png: 400 classes have fewer than 9 pixels."
    assert len(told) <= 65


def test_objects_whose_boxes_multiply_are_refused():
    numbers = np.arange(2**14, dtype=np.int32).reshape(128, 128)
    assert len(list(cut_values(numbers, "a.png"))) == 2**14
    # each value in two opposite corners: boxes as large as the label
    numbers = np.concatenate([numbers, numbers]).repeat(4, axis=1)
    with pytest.raises(LabelError, match=r"a\.png: its objects have more than \d+ pixels together"):
        list(cut_values(np.tile(numbers, (1, 16)), "a.png"))


def test_cut_values_are_the_pixels_of_each_value():
    label = np.random.default_rng(0).integers(0, 5, (7, 9)).astype(np.uint8)
    seen = np.full(label.shape, 99)
    for cut in cut_values(label, "a.png"):
        height, width = cut.mask.shape
        seen[cut.top : cut.top + height, cut.left : cut.left + width][cut.mask] = cut.value
        assert cut.mask.sum() == (label == cut.value).sum()
    assert (seen == label).all()


def test_values_of_a_label_that_no_class_has_are_refused_before_a_split(tmp_path):
    for folder, pixels in (
        ("images", np.zeros((4, 4, 3), np.uint8)),
        ("annotations", np.full((4, 4), 70_000, np.int32)),
    ):
        drawing.write(tmp_path / folder / "a.png", b"")
        (tmp_path / folder / "a.tif").write_bytes(drawing.encode(pixels, "TIFF"))
        (tmp_path / folder / "a.png").unlink()
    source = ListSource(tmp_path, [])
    with pytest.raises(LabelError, match="70000"):
        source.classes(255, lambda items, total: items)
