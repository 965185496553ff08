"""LabelMe's shapes are drawn as LabelMe draws them, and nothing odd is taken in silence."""

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from segcore.data.convert.canvas import Canvas, UnusableShape
from segcore.errors import DataError

from .conftest import SIZE, b64, encode, labelme, mask_shape, photo, shape, write

SQUARE = [[5, 5], [25, 5], [25, 25], [5, 25]]
HOLE = [[10, 10], [18, 10], [18, 18], [10, 18]]


def drawn(paint, size=SIZE):
    """What Pillow draws on the whole image, as LabelMe's `shape_to_mask` calls it."""
    image = Image.new("L", size)
    paint(ImageDraw.Draw(image))
    return np.asarray(image, bool)


def reasons(report, action):
    return {reason: entry.count for (a, _, reason), entry in report.notes.items() if a == action}


def circle(draw, centre, edge):
    (x, y), r = centre, math.dist(centre, edge)
    draw.ellipse((x - r, y - r, x + r, y + r), outline=1, fill=1)


KINDS = {
    "polygon": ([[3.2, 4.9], [30.5, 8.1], [20, 33.7]],
                lambda d: d.polygon([(3.2, 4.9), (30.5, 8.1), (20, 33.7)], outline=1, fill=1)),
    "rectangle": ([[30.6, 20.2], [4.5, 8.5]],
                  lambda d: d.rectangle((4.5, 8.5, 30.6, 20.2), outline=1, fill=1)),
    "circle": ([[20.5, 20.5], [28.3, 22]], lambda d: circle(d, (20.5, 20.5), (28.3, 22))),
    "line": ([[5, 5], [30, 31.5]], lambda d: d.line([(5, 5), (30, 31.5)], fill=1, width=10)),
    "linestrip": ([[2, 30], [12, 4], [40.5, 20]],
                  lambda d: d.line([(2, 30), (12, 4), (40.5, 20)], fill=1, width=10)),
    "point": ([[12.7, 9.1]], lambda d: d.ellipse((7.7, 4.1, 17.7, 14.1), outline=1, fill=1)),
    "oriented_rectangle": ([[20, 5], [35, 15], [25, 30], [10, 20]],
                           lambda d: d.polygon([(20, 5), (35, 15), (25, 30), (10, 20)],
                                               outline=1, fill=1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_covers_the_pixels_that_labelme_gives_it(kind, folder, convert):
    points, paint = KINDS[kind]
    _, maps = convert(folder(shape("a", kind, points)))
    assert (maps["photo"] == drawn(paint)).all()


def test_points_are_drawn_one_by_one(folder, convert):
    _, maps = convert(folder(shape("a", "points", [[10, 10], [30, 20]])))
    spots = [
        drawn(lambda d, x=x, y=y: circle(d, (x, y), (x + 5, y))) for x, y in ((10, 10), (30, 20))
    ]
    assert (maps["photo"] == (spots[0] | spots[1])).all()


def test_a_mask_lies_in_its_box(folder, convert):
    mask = np.random.default_rng(1).integers(0, 2, (7, 9)).astype(bool)
    mask[0, 0] = mask[-1, -1] = True
    _, maps = convert(folder(mask_shape("a", mask, 11, 6)))
    expected = np.zeros(SIZE[::-1], bool)
    expected[6:13, 11:20] = mask
    assert (maps["photo"] == expected).all()


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["polygon", "rectangle", "circle", "line", "point"]),
    points=st.lists(st.tuples(*[st.floats(-30, 70)] * 2), min_size=1, max_size=6),
)
def test_drawing_on_a_part_of_the_image_is_drawing_on_the_whole(kind, points):
    count = {"rectangle": 2, "circle": 2, "point": 1}.get(kind, len(points))
    points = np.array(points[:count], np.float64)
    canvas = Canvas(*SIZE)
    whole = Canvas(*SIZE)
    whole.note_edge = lambda low, high: None
    try:
        mask, left, top = canvas.draw(kind, points)
        full = np.zeros(SIZE[::-1], bool)
        full[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    except UnusableShape as error:
        if "fewer" in str(error):
            return
        full = np.zeros(SIZE[::-1], bool)
    flat = points.reshape(-1).tolist()
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    paint = {
        "polygon": lambda d: d.polygon(flat, outline=1, fill=1),
        "rectangle": lambda d: d.rectangle((x0, y0, x1, y1), outline=1, fill=1),
        "circle": lambda d: circle(d, points[0], points[-1]),
        "line": lambda d: d.line(flat, fill=1, width=10),
        "point": lambda d: circle(d, points[0], points[0] + (5, 0)),
    }[kind]
    assert (full == drawn(paint)).all()


def test_large_polygons_are_equal_to_the_last_pixel():
    # drawn on a canvas that begins in another column, one polygon in a hundred differs
    rng = np.random.default_rng(1)
    for _ in range(400):
        points = rng.uniform(0, 150, (rng.integers(3, 9), 2))
        mask, left, top = Canvas(160, 160).draw("polygon", points)
        full = np.zeros((160, 160), bool)
        full[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        flat = points.reshape(-1).tolist()
        assert (full == drawn(lambda d, f=flat: d.polygon(f, outline=1, fill=1), (160, 160))).all()


def test_an_area_inside_another_of_its_group_is_a_hole(folder, convert):
    _, maps = convert(folder(shape("a", "polygon", SQUARE, 1), shape("a", "polygon", HOLE, 1)))
    outer = drawn(lambda d: d.polygon([tuple(p) for p in SQUARE], outline=1, fill=1))
    inner = drawn(lambda d: d.polygon([tuple(p) for p in HOLE], outline=1, fill=1))
    assert (maps["photo"] == (outer & ~inner)).all()


def test_an_island_in_a_hole_is_solid_again(folder, convert):
    island = [[12, 12], [15, 15]]
    parts = [shape("a", "rectangle", island, 1), shape("a", "polygon", HOLE, 1),
             shape("a", "polygon", SQUARE, 1)]  # fmt: skip
    _, maps = convert(folder(*parts))
    assert maps["photo"][11, 11] == 0
    assert (maps["photo"][12:16, 12:16] == 1).all()


def test_without_a_group_or_with_another_label_there_is_no_hole(folder, convert):
    plain = [shape("a", "polygon", SQUARE), shape("a", "polygon", HOLE)]
    _, maps = convert(folder(*plain))
    assert maps["photo"][14, 14] == 1
    others = [shape("a", "polygon", SQUARE, 1), shape("b", "polygon", HOLE, 1)]
    _, maps = convert(folder(*others, name="other"), name="out2")
    assert maps["photo"][14, 14] == 2


def test_a_hole_shows_what_lies_below(folder, convert):
    shapes = [shape("ground", "rectangle", [[0, 0], [47, 39]]), shape("a", "polygon", SQUARE, 1),
              shape("a", "polygon", HOLE, 1)]  # fmt: skip
    _, maps = convert(folder(*shapes))
    assert (maps["photo"][14, 14], maps["photo"][6, 6]) == (1, 2)


@pytest.mark.parametrize(("overlap", "top"), [("last", 2), ("first", 1), ("smallest", 1)])
def test_the_overlap_rule_says_which_shape_wins(overlap, top, folder, convert):
    shapes = [shape("small", "polygon", HOLE), shape("large", "polygon", SQUARE)]
    _, maps = convert(folder(*shapes), overlap=overlap)
    assert maps["photo"][14, 14] == top


def test_classes_come_in_order_of_appearance_with_background_first(folder, convert):
    root = folder(
        shape("dog", "polygon", HOLE),
        shape("__ignore__", "point", [[3, 3]]),
        shape("_background_", "point", [[30, 30]]),
        shape("cat", "point", [[40, 5]]),
    )
    report, maps = convert(root)
    assert report.classes.names == ("_background_", "dog", "cat")
    assert maps["photo"][3, 3] == 255
    labels = (root.parent / "out/labels.txt").read_text()
    assert labels == "_background_\ndog\ncat\n"


def test_a_list_of_classes_decides_the_order(folder, convert):
    root = folder(shape("dog", "polygon", HOLE), shape("cat", "point", [[40, 5]]))
    _, maps = convert(root, classes=["cat", "dog"], background="nothing")
    assert (maps["photo"][5, 40], maps["photo"][14, 14]) == (1, 2)
    assert (root.parent / "out/labels.txt").read_text() == "nothing\ncat\ndog\n"


def test_unknown_labels_are_refused_before_anything_is_written(folder, convert, tmp_path):
    root = folder(shape("dog", "polygon", HOLE), shape("dgo\x1b[2J", "point", [[40, 5]]))
    with pytest.raises(Exception, match=r"1 labels are not among the classes: 'dgo\\x1b\[2J'"):
        convert(root, classes=["dog"])
    assert not (tmp_path / "out").exists()
    _, maps = convert(root, classes=["dog"], ignore_labels=["dgo\x1b[2J"])
    assert maps["photo"][5, 40] == 255


def test_images_without_shapes_are_kept(folder, convert):
    report, maps = convert(folder())
    assert report.empty == 1
    assert (maps["photo"] == 0).all()


BAD = {
    "a polygon of fewer than 3 points": shape("a", "polygon", [[1, 1], [5, 5]]),
    "a coordinate is NaN or infinite": shape("a", "polygon", [[1, math.nan], [5, 5], [9, 1]]),
    "a coordinate is more than a million pixels away": shape("a", "line", [[1, 1e9], [5, 5]]),
    "it lies outside the image": shape("a", "rectangle", [[100, 100], [120, 120]]),
    "its points are no list of [x, y]": shape("a", "polygon", [[1, 2, 3], [5, 5], [9, 1]]),
    "a circle of fewer than 2 points": shape("a", "circle", [[1, 2]]),
    "a rectangle of more than 2 points": shape("a", "rectangle", [[1, 2], [3, 4], [5, 6]]),
    r"a kind that LabelMe does not have: wob\x1bbly": shape("a", "wob\x1bbly", [[1, 2]]),
    "it has no label": {"shape_type": "point", "points": [[1, 1]]},
    "a mask of another size than its box": mask_shape("a", np.ones((3, 3), bool), 1, 1)
    | {"points": [[1, 1], [9, 9]]},
    "a mask without its picture or the two corners of its box": shape("a", "mask", [[1, 1]]),
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_shape_is_left_out_and_counted(reason, folder, convert):
    report, maps = convert(folder(shape("b", "polygon", HOLE), BAD[reason]))
    assert reasons(report, "skipped") == {reason: 1}
    assert set(np.unique(maps["photo"])) == {0, report.classes.names.index("b")}


def test_a_mask_that_is_cut_off_is_left_out(folder, convert):
    torn = mask_shape("a", np.ones((9, 9), bool), 1, 1)
    torn["mask"] = torn["mask"][:41]
    report, _ = convert(folder(shape("b", "polygon", HOLE), torn))
    (reason,) = reasons(report, "skipped")
    assert reason.startswith("a mask that cannot be decoded")


def test_a_shape_beyond_the_image_is_cut_and_counted(folder, convert):
    report, maps = convert(folder(shape("a", "rectangle", [[30, 10], [90, 20]])))
    assert reasons(report, "clipped") == {"it goes beyond the image": 1}
    assert (maps["photo"][10:21, 30:] == 1).all()


@pytest.mark.parametrize(("size", "hint"), [((40, 48), "turned"), ((96, 80), "resized")])
def test_shapes_of_another_size_than_the_image_are_not_used(size, hint, folder, convert):
    root = folder(shape("a", "polygon", HOLE), size=size)
    with pytest.raises(DataError, match=hint):
        convert(root)


def test_shapes_on_a_turned_photograph_stay_where_they_were_drawn(tmp_path, convert):
    exif = Image.Exif()
    exif[274] = 6
    stored = encode(photo(size=(40, 48)), "JPEG", exif=exif)
    write(tmp_path / "set/turned.jpg", stored)
    write(tmp_path / "set/turned.json", labelme([shape("a", "polygon", HOLE)], "turned.jpg"))
    _, maps = convert(tmp_path / "set")
    assert maps["turned"].shape == SIZE[::-1]
    assert (tmp_path / "out/images/turned.jpg").read_bytes() == stored


def test_embedded_data_is_the_image(tmp_path, convert):
    data = encode(photo(7), "JPEG")
    content = labelme([shape("a", "polygon", HOLE)], "gone.bmp", data=b64(data))
    write(tmp_path / "set/x.json", content)
    convert(tmp_path / "set", format="LabelMe")
    assert (tmp_path / "out/images/x.jpg").read_bytes() == data


@pytest.mark.parametrize("text", ["!!!", b64(encode(photo()))[:501]])
def test_embedded_data_that_is_damaged_is_told(text, tmp_path, convert):
    write(tmp_path / "set/x.json", labelme([], data=text))
    with pytest.raises(DataError, match=r"damaged|cut off|truncated"):
        convert(tmp_path / "set", format="LabelMe")


def test_nested_folders_stay_apart(tmp_path, convert):
    for street, kind in (("a", HOLE), ("b/c", SQUARE)):
        write(tmp_path / f"set/{street}/1.png", encode(photo()))
        content = labelme([shape("x", "polygon", kind)], "1.png")
        write(tmp_path / f"set/{street}/1.json", content)
    _, maps = convert(tmp_path / "set")
    assert sorted(maps) == ["a/1", "b/c/1"]
    assert (tmp_path / "out/train.txt").read_text() == (
        "images/a/1.png annotations/a/1.png\nimages/b/c/1.png annotations/b/c/1.png\n"
    )


def paddlex_layout(root, copies=3):
    for number in range(copies):
        write(root / f"images/{number}.jpg", encode(photo(number), "JPEG"))
        label = ("cat", "dog", "cat")[number]
        content = labelme([shape(label, "polygon", HOLE)], f"../images/{number}.jpg")
        write(root / f"annotations/{number}.json", content)
    write(root / "train_anno_list.txt", "annotations/1.json\nannotations/0.json\n")
    write(root / "val_anno_list.txt", "annotations/2.json\n")
    return root


def test_the_layout_of_paddlex_keeps_its_split_and_its_classes(tmp_path, convert):
    report, maps = convert(paddlex_layout(tmp_path / "set"))
    assert report.classes.names == ("_background_", "dog", "cat")
    assert report.images == {"train": 2, "val": 1}
    lines = (tmp_path / "out/train.txt").read_text().split()
    assert lines == ["images/1.jpg", "annotations/1.png", "images/0.jpg", "annotations/0.png"]
    assert maps["2"][14, 14] == 2


def test_files_in_no_list_are_told(tmp_path, convert):
    root = paddlex_layout(tmp_path / "set")
    write(root / "annotations/3.json", labelme([], "../images/0.jpg"))
    report, _ = convert(root)
    assert reasons(report, "skipped") == {"it is in none of the lists": 1}


def test_images_nobody_annotated_are_told_or_taken_as_background(folder, convert):
    root = folder(shape("a", "polygon", HOLE))
    write(root / "more.png", encode(photo(3)))
    report, maps = convert(root)
    assert sorted(maps) == ["photo"]
    assert sum(reasons(report, "skipped").values()) == 1
    report, maps = convert(root, read_options={"unlabelled": "background"}, name="out2")
    assert (maps["more"] == 0).all()


def test_an_image_that_was_moved_is_found_and_told(tmp_path, convert):
    write(tmp_path / "set/images/1.png", encode(photo()))
    content = labelme([shape("a", "polygon", HOLE)], "C:\\photos\\1.png")
    write(tmp_path / "set/json/1.json", content)
    report, maps = convert(tmp_path / "set", format="LabelMe")
    assert list(maps) == ["1"]
    assert list(reasons(report, "changed")) == [
        "its imagePath leads nowhere, and images has the file"
    ]


def test_an_image_outside_the_folder_is_not_read(tmp_path, convert):
    write(tmp_path / "secret.png", encode(photo()))
    write(tmp_path / "set/x.json", labelme([], "../secret.png"))
    with pytest.raises(DataError, match="leads nowhere"):
        convert(tmp_path / "set", format="LabelMe")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_of_unicode_are_known(encoding, folder, convert):
    root = folder()
    text = json.dumps(labelme([shape("猫", "polygon", HOLE)]), ensure_ascii=False)
    (root / "photo.json").write_bytes(text.encode(encoding))
    report, _ = convert(root)
    assert report.classes.names == ("_background_", "猫")


def test_another_encoding_must_be_named(folder, convert):
    root = folder()
    text = json.dumps(labelme([shape("背景", "polygon", HOLE)]), ensure_ascii=False)
    (root / "photo.json").write_bytes(text.encode("gbk"))
    with pytest.raises(DataError, match=r"from\.encoding"):
        convert(root)
    report, _ = convert(root, read_options={"encoding": "gbk"})
    assert report.classes.names == ("_background_", "背景")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"shapes": [' + "[" * 100_000, "", "{", "\0", "1e999"]
)
def test_json_that_is_none_is_told(text, folder, convert):
    root = folder()
    write(root / "photo.json", text)
    with pytest.raises(DataError):
        convert(root)


def test_json_of_other_programs_is_left_alone(folder, convert):
    root = folder(shape("a", "polygon", HOLE))
    write(root / "package.json", {"name": "x"})
    report, maps = convert(root)
    assert list(maps) == ["photo"]
    assert "not LabelMe's" in next(iter(reasons(report, "skipped")))


def test_names_that_are_no_utf8_survive(folder, convert, tmp_path):
    root = folder()
    for name in ("photo.png", "photo.json"):
        (root / name).rename(root / name.replace("photo", "ph\udce9to"))
    content = labelme([shape("a", "polygon", HOLE)], "ph\udce9to.png")
    write(root / "ph\udce9to.json", content)
    _, maps = convert(root)
    assert list(maps) == ["ph\udce9to"]
    assert b"images/ph\xe9to.png" in (tmp_path / "out/train.txt").read_bytes()


def test_converting_twice_gives_the_same_bytes(folder, convert, tmp_path):
    root = folder(shape("a", "polygon", HOLE))
    before = {p: p.read_bytes() for p in root.iterdir()}

    def content():
        return {p.name: p.read_bytes() for p in sorted((tmp_path / "out").rglob("*.*"))}

    convert(root)
    first = content()
    convert(root, force=True)
    assert content() == first
    assert {p: p.read_bytes() for p in root.iterdir()} == before


def objects_of(root, tmp_path):
    from segcore.data.convert.run import convert_dataset

    convert_dataset(root, "COCO", tmp_path / "coco")
    content = json.loads((tmp_path / "coco/annotations/instance_train.json").read_text())
    return content["annotations"]


def test_the_shapes_of_a_group_are_one_object(folder, tmp_path):
    far = [[30, 30], [40, 30], [40, 36]]
    parts = [
        shape("a", "polygon", HOLE, 3),
        shape("a", "polygon", far, 3),
        shape("a", "polygon", far),
    ]
    first, second = objects_of(folder(*parts), tmp_path)
    flat = [np.ravel(points).tolist() for points in (HOLE, far)]
    assert (first["segmentation"], second["segmentation"]) == (flat, flat[1:])
    assert first["bbox"] == [10, 10, 30, 26]


def test_an_object_with_a_hole_is_written_as_runs(folder, tmp_path):
    parts = [shape("a", "polygon", SQUARE, 1), shape("a", "polygon", HOLE, 1)]
    (found,) = objects_of(folder(*parts), tmp_path)
    assert found["segmentation"]["size"] == [SIZE[1], SIZE[0]]
    assert found["area"] == 21 * 21 - 9 * 9


def test_background_over_an_object_is_cut_out_of_it(folder, tmp_path):
    parts = [shape("a", "rectangle", [[5, 5], [24, 24]]),
             shape("b", "rectangle", [[0, 30], [9, 39]]),
             shape("_background_", "rectangle", [[5, 5], [24, 14]])]  # fmt: skip
    first, second = objects_of(folder(*parts), tmp_path)
    assert (first["area"], first["bbox"]) == (200, [5, 15, 20, 10])
    assert second["area"] == 100


def test_polygons_over_the_border_are_cut_in_coco_files(folder, tmp_path):
    (found,) = objects_of(folder(shape("a", "polygon", [[40, 10], [60, 10], [60, 20]])), tmp_path)
    points = np.reshape(found["segmentation"][0], (-1, 2))
    assert points.max(axis=0).tolist() == [48, 14]


def test_an_image_of_another_name_than_its_json_is_annotated_all_the_same(folder, convert):
    root = folder(shape("a", "polygon", HOLE))
    (root / "photo.json").rename(root / "first.json")
    report, maps = convert(root, read_options={"unlabelled": "background"}, format="LabelMe")
    assert list(maps) == ["first"]
    assert report.is_clean()


def test_json_files_in_a_folder_of_their_own_are_found_out(tmp_path, convert):
    root = paddlex_layout(tmp_path / "set")
    for name in ("train_anno_list.txt", "val_anno_list.txt"):
        (root / name).unlink()
    report, _ = convert(root)
    assert (report.source_format, report.images) == ("LabelMe", {"train": 3})


def test_a_json_file_beyond_the_limit_is_not_read(folder, convert, monkeypatch):
    from segcore.data.convert import source

    monkeypatch.setattr(source, "_MAX_JSON_BYTES", 100)
    with pytest.raises(DataError, match="bytes, and no more than 100 are read"):
        convert(folder(shape("a", "polygon", HOLE)))


def test_more_shapes_than_a_person_draws_are_refused(folder, convert, monkeypatch):
    from segcore.data.convert import labelme as module

    monkeypatch.setattr(module, "_MOST_SHAPES", 3)
    with pytest.raises(DataError, match="4 shapes, more than the 3"):
        convert(folder(*[shape("a", "polygon", HOLE)] * 4))


def test_shapes_that_fill_the_memory_are_refused(folder, convert, monkeypatch):
    from segcore.data.convert import canvas

    monkeypatch.setattr(canvas, "_MAX_MASK_PIXELS", 5000)
    with pytest.raises(DataError, match="cover more than 5000 pixels"):
        convert(folder(*[shape("a", "rectangle", [[0, 0], [47, 39]])] * 3))


@pytest.mark.parametrize("name", ["photo.json", "photo.png"])
def test_a_pipe_in_place_of_a_file_is_never_waited_for(name, folder, convert):
    root = folder(shape("a", "polygon", HOLE))
    (root / name).unlink()
    os.mkfifo(root / name)
    with pytest.raises(DataError, match="named pipe"):
        convert(root)
