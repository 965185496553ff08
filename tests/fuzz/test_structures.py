"""Files of the right form with any content: read as written, or refused by name, never else."""

import io
import json
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segcore.data.coco import PROBLEM_KINDS, read_coco
from segcore.data.convert.labelme import LabelMe
from segcore.data.label import decode_label
from segcore.data.listfile import format_row, parse_rows, read_class_list, read_rows
from segcore.errors import DataError, LabelError, ListFileError

quick = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
thorough = settings(quick, max_examples=2000)

HEIGHT, WIDTH = 9, 13


def outcome(read, kind=DataError):
    """Give what `read` gives, or None, and what it says when it refuses."""
    try:
        return read(), ""
    except kind as error:
        return None, str(error)


# -- lists ---------------------------------------------------------------------------------------

# what a file system can hold: any bytes but 0, as Python shows them
names = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)


def check_list_text(tmp_path, data):
    (tmp_path / "train.txt").write_bytes(data)
    rows, refusal = outcome(lambda: list(read_rows(tmp_path / "train.txt")), ListFileError)
    if rows is None:
        assert refusal.startswith(f"{tmp_path}/train.txt")
        return
    again = "".join(f"{format_row(row.image, row.label)}\n" for row in rows)
    assert [row[:2] for row in parse_rows(again, "again")] == [row[:2] for row in rows]


def check_names(rows):
    text = "".join(f"{format_row(image, label)}\n" for image, label in rows)
    assert [tuple(row[:2]) for row in parse_rows(text, "a.txt")] == rows


def check_class_list(tmp_path, data):
    (tmp_path / "labels.txt").write_bytes(data)
    classes, refusal = outcome(lambda: read_class_list(tmp_path / "labels.txt"), ListFileError)
    if classes is None:
        assert refusal.startswith(f"{tmp_path}/labels.txt")
        return
    assert len(classes.names) == len(classes.colours) == len(set(classes.names))


list_bytes = st.lists(
    st.sampled_from(
        [b"a.jpg", b"b.png", b" ", b"\t", b"\n", b"\r\n", b'"', b"\\", b"#", b"\xff", b"\0"]
    )
    | st.binary(max_size=6),
    max_size=30,
).map(b"".join)


@quick
@given(data=list_bytes)
def test_a_list_of_any_bytes_is_read_or_refused(tmp_path, data):
    check_list_text(tmp_path, data)


@pytest.mark.slow
@thorough
@given(data=list_bytes)
def test_many_lists_of_any_bytes_are_read_or_refused(tmp_path, data):
    check_list_text(tmp_path, data)


@quick
@given(rows=st.lists(st.tuples(names, names), max_size=6))
def test_every_file_name_survives_a_list(rows):
    check_names(rows)


@pytest.mark.slow
@thorough
@given(rows=st.lists(st.tuples(names, names), max_size=6))
def test_many_file_names_survive_a_list(rows):
    check_names(rows)


@quick
@given(data=list_bytes)
def test_class_lists_of_any_bytes_are_read_or_refused(tmp_path, data):
    check_class_list(tmp_path, data)


# -- labels --------------------------------------------------------------------------------------

modes = st.sampled_from(["1", "L", "P", "RGB", "RGBA", "LA", "I", "I;16", "F", "CMYK"])
formats = st.sampled_from(["PNG", "BMP", "TIFF", "JPEG", "WebP", "GIF"])


def check_label(mode, name, orientation, seed, size):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(pixels[..., :3])
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 3)
    elif mode in ("I", "F"):
        image = image.convert("L").convert(mode)
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            image.save(file, name, **({} if orientation is None else {"exif": exif}))
    except (OSError, ValueError, KeyError):
        return  # no such files
    label, refusal = outcome(lambda: decode_label(file.getvalue(), "a.bin"), LabelError)
    if label is None:
        assert refusal.startswith("a.bin: ")
        return
    assert label.shape == (size[1], size[0])
    stored = np.asarray(Image.open(file))
    factor = 255 // max(1, int(stored.max())) if mode == "1" and stored.dtype != np.bool_ else 1
    assert np.array_equal(label, stored // factor)


label_files = {
    "mode": modes,
    "name": formats,
    "orientation": st.none() | st.integers(0, 9),
    "seed": st.integers(0, 999),
    "size": st.tuples(st.integers(1, 20), st.integers(1, 20)),
}


@quick
@given(**label_files)
def test_a_label_of_any_kind_gives_its_stored_values_or_is_refused(**file):
    check_label(**file)


@pytest.mark.slow
@thorough
@given(**label_files)
def test_many_labels_of_any_kind_give_their_stored_values_or_are_refused(**file):
    check_label(**file)


# -- JSON ----------------------------------------------------------------------------------------

numbers = st.integers(-3, 20) | st.floats(-5, 20) | st.floats() | st.integers() | st.just(10**400)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


def mostly(usual):
    """Give a field that is as it should be nine times in ten."""
    return st.integers(0, 9).flatmap(lambda n: anything if n == 0 else usual)


ids = st.integers(1, 4)
points = st.lists(numbers, max_size=10)
coco_files = st.fixed_dictionaries(
    {
        "images": mostly(st.lists(st.fixed_dictionaries({
            "id": mostly(ids), "file_name": mostly(st.sampled_from(["a.jpg", "b.jpg", "../c.jpg"])),
            "width": mostly(st.just(WIDTH)), "height": mostly(st.just(HEIGHT)),
        }), max_size=4)),
        "categories": mostly(st.lists(st.fixed_dictionaries({
            "id": mostly(ids), "name": mostly(st.text(min_size=1, max_size=3)),
        }), max_size=3)),
        "annotations": mostly(st.lists(st.fixed_dictionaries({
            "id": mostly(st.integers(1, 9)), "image_id": mostly(ids), "category_id": mostly(ids),
            "bbox": mostly(st.lists(numbers, min_size=4, max_size=4)), "area": mostly(numbers),
            "iscrowd": mostly(st.sampled_from([0, 1])),
            "segmentation": mostly(
                st.lists(mostly(points), max_size=3)
                | st.fixed_dictionaries({
                    "size": mostly(st.just([HEIGHT, WIDTH])),
                    "counts": mostly(st.lists(st.integers(0, 60)) | st.text(max_size=8)),
                })
            ),
        }), max_size=6)),
    }
)  # fmt: skip


def check_coco(tmp_path, content):
    path = tmp_path / "instance_train.json"
    path.write_text(json.dumps(content))
    found, refusal = outcome(lambda: read_coco(path, tmp_path))
    if found is None:
        assert refusal.startswith(str(path))
        return
    assert {problem.kind for problem in found.problems} <= set(PROBLEM_KINDS)
    images = {image.id for image in found.images}
    categories = {category.id for category in found.categories}
    for annotation in found.annotations:
        assert annotation.image_id in images
        assert annotation.category_id in categories
        assert np.isfinite([*annotation.bbox, annotation.area]).all()
    listed = content["annotations"]
    told = {problem.annotation_id for problem in found.problems}
    for record in listed:
        if isinstance(record, dict) and type(record.get("id")) is int:
            known = record["id"] in {annotation.id for annotation in found.annotations}
            # a number that other programs cannot hold is no id
            shown = record["id"] if abs(record["id"]) < 2**53 else None
            assert known or shown in told


@quick
@given(content=coco_files)
def test_coco_files_of_any_content_give_sound_objects_and_tell_of_the_others(tmp_path, content):
    check_coco(tmp_path, content)


@pytest.mark.slow
@thorough
@given(content=coco_files)
def test_many_coco_files_give_sound_objects_and_tell_of_the_others(tmp_path, content):
    check_coco(tmp_path, content)


shape_kinds = st.sampled_from(
    ["polygon", "rectangle", "circle", "line", "linestrip", "point", "points", "mask", "ellipse"]
)
pairs = st.lists(numbers, min_size=2, max_size=2)
labelme_files = st.fixed_dictionaries(
    {
        "shapes": mostly(st.lists(mostly(st.fixed_dictionaries({
            "label": mostly(st.text(min_size=1, max_size=4)),
            "points": mostly(st.lists(mostly(pairs), max_size=5)),
            "shape_type": mostly(shape_kinds),
            "group_id": mostly(st.none() | st.integers(0, 2)),
        })), max_size=5)),
        "imagePath": mostly(st.just("a.png")),
        "imageData": mostly(st.none()),
        "imageHeight": mostly(st.just(HEIGHT)),
        "imageWidth": mostly(st.just(WIDTH)),
    }
)  # fmt: skip


def check_labelme(tmp_path, content):
    if not (tmp_path / "a.png").exists():
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps(content))
    dataset, refusal = outcome(lambda: LabelMe().read(tmp_path))
    image, refusal = outcome(lambda: dataset.load(0)) if dataset else (None, refusal)
    if image is None:
        assert refusal
        return
    assert (image.height, image.width) == (HEIGHT, WIDTH)
    shapes = [shape for shape in content["shapes"] if isinstance(shape, dict)]
    labels = {shape["label"] for shape in shapes if isinstance(shape.get("label"), str)}
    for region in image.regions:
        assert region.label in labels
    assert labels - {""} <= set(dataset.classes.names)


@quick
@given(content=labelme_files)
def test_labelme_files_of_any_content_are_drawn_or_refused(tmp_path, content):
    check_labelme(tmp_path, content)


@pytest.mark.slow
@thorough
@given(content=labelme_files)
def test_many_labelme_files_of_any_content_are_drawn_or_refused(tmp_path, content):
    check_labelme(tmp_path, content)
