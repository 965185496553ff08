"""Every other format is read as its own tools read it, and round trips lose no pixel."""

import json
import warnings
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_api

from segcore.annotation import Classes, ConvertedObject
from segcore.data.convert import supervisely
from segcore.data.convert.ade20k import ADE20K_CLASSES
from segcore.data.convert.canvas import Canvas, UnusableShape
from segcore.data.convert.coco import _runs as written_runs
from segcore.data.convert.run import convert_dataset
from segcore.data.convert.segdataset import class_lines
from segcore.data.listfile import read_class_list, read_rows
from segcore.errors import DataError, RequestError
from segcore.tasks.rle import encode_mask

from .conftest import SIZE, b64, bitmap, encode, photo, write

WIDTH, HEIGHT = SIZE


def digests(root, *folders):
    """Give the content of every label and image by name, as pixels where they are labels."""
    found = {}
    for folder in folders:
        for path in sorted((root / folder).rglob("*.*")):
            content = path.read_bytes()
            if path.suffix == ".png" and folder != "images":
                content = np.asarray(Image.open(path)).tobytes()
            found[path.relative_to(root).as_posix()] = content
    return found


def coco_pixels(segmentation):
    """The pixels of polygons or runs as COCO's own API gives them."""
    is_encoded = isinstance(segmentation, dict)
    runs = [segmentation] if is_encoded else coco_api.frPyObjects(segmentation, HEIGHT, WIDTH)
    with warnings.catch_warnings():
        # pycocotools 2.0.11 converts arrays in a way that NumPy 2 warns of
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_api.decode(coco_api.merge(runs))


def lists(root):
    return {
        split: [(row.image, row.label) for row in read_rows(root / f"{split}.txt")]
        for split in ("train", "val", "test")
        if (root / f"{split}.txt").exists()
    }


@pytest.fixture
def seg_set(tmp_path):
    """Three images of random classes, 0 to 3, with names in folders; no pixel is ignored."""
    root = tmp_path / "seg"
    for number, split in enumerate(("train", "train", "val")):
        blocks = np.random.default_rng(number).integers(0, 4, (HEIGHT // 4, WIDTH // 4))
        label = np.kron(blocks, np.ones((4, 4))).astype(np.uint8)
        name = f"street {number}/im{number}"
        write(root / f"images/{name}.jpg", encode(photo(number), "JPEG"))
        write(root / f"annotations/{name}.png", encode(label))
        with (root / f"{split}.txt").open("a") as file:
            file.write(f'"images/{name}.jpg" "annotations/{name}.png"\n')
    write(root / "labels.txt", "background\ncat #ff0000\ndog\nhen\n")
    return root


@pytest.mark.parametrize("middle", ["VOC", "COCO"])
def test_there_and_back_no_pixel_changes(middle, seg_set, tmp_path):
    convert_dataset(seg_set, middle, tmp_path / "middle")
    convert_dataset(tmp_path / "middle", "SegDataset", tmp_path / "back")
    wanted = digests(seg_set, "images", "annotations")
    assert digests(tmp_path / "back", "images", "annotations") == wanted
    assert lists(tmp_path / "back") == lists(seg_set)
    assert read_class_list(tmp_path / "back/labels.txt").names[1:] == ("cat", "dog", "hen")


def test_voc_keeps_ignored_pixels_and_colours(seg_set, tmp_path):
    row = next(iter(read_rows(seg_set / "train.txt")))
    label = np.asarray(Image.open(seg_set / row.label)).copy()
    label[:8] = 255
    write(seg_set / row.label, encode(label))
    convert_dataset(seg_set, "VOC", tmp_path / "voc")
    convert_dataset(tmp_path / "voc", "SegDataset", tmp_path / "back")
    assert (np.asarray(Image.open(tmp_path / "back" / row.label)) == label).all()
    stored = Image.open(tmp_path / "voc/SegmentationClass/street 0/im0.png")
    assert stored.mode == "P"
    assert stored.getpalette()[3:6] == [255, 0, 0]
    assert read_class_list(tmp_path / "back/labels.txt").colours[1] == (255, 0, 0)


def test_pieces_that_touch_at_corners_are_one_object(tmp_path):
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[2:5, 2:5] = label[5:8, 5:8] = 1
    label[20:22, 20:22] = 1
    write(tmp_path / "seg/images/a.png", encode(photo()))
    write(tmp_path / "seg/annotations/a.png", encode(label))
    write(tmp_path / "seg/train.txt", "images/a.png annotations/a.png\n")
    write(tmp_path / "seg/labels.txt", "background\ncell\n")
    convert_dataset(tmp_path / "seg", "COCO", tmp_path / "coco")
    content = json.loads((tmp_path / "coco/annotations/instance_train.json").read_text())
    assert sorted(item["area"] for item in content["annotations"]) == [4, 18]
    assert content["categories"] == [{"id": 1, "name": "cell"}]
    box = max(content["annotations"], key=lambda item: item["area"])["bbox"]
    assert box == [2, 2, 6, 6]


def test_more_classes_than_a_byte_holds_take_two(tmp_path):
    label = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) % 300
    label[0, 0] = 65535
    write(tmp_path / "seg/images/a.png", encode(photo()))
    write(tmp_path / "seg/annotations/a.png", encode(label))
    write(tmp_path / "seg/train.txt", "images/a.png annotations/a.png\n")
    write(tmp_path / "seg/labels.txt", "".join(f"class{n}\n" for n in range(300)))
    convert_dataset(tmp_path / "seg", "SegDataset", tmp_path / "out")
    assert (np.asarray(Image.open(tmp_path / "out/annotations/a.png")) == label).all()
    with pytest.raises(RequestError, match="255"):
        convert_dataset(tmp_path / "seg", "VOC", tmp_path / "voc")


POLYGON = [5.5, 4.25, 33, 8, 20.75, 35.5]


def coco_set(root, annotations, *, name="a.png", size=SIZE):
    content = {
        "images": [{"id": 7, "file_name": name, "width": size[0], "height": size[1]}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5], "area": 9,
             "iscrowd": 0, **item}
            for n, item in enumerate(annotations)
        ],
    }  # fmt: skip
    write(root / "images/a.png", encode(photo()))
    write(root / "annotations/instance_train.json", content)
    return root


def test_coco_is_drawn_as_its_own_api_draws_it(tmp_path, convert):
    crowd = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    crowd[2:30, 2:12] = 1
    small = np.zeros_like(crowd)
    small[30:38, 30:45] = 1
    compressed = coco_api.encode(small)
    runs = [int(n) for n in np.diff(np.flatnonzero(np.diff(crowd.T.reshape(-1), prepend=9)),
                                    append=crowd.size)]  # fmt: skip
    root = coco_set(
        tmp_path / "coco",
        [
            {"segmentation": [POLYGON]},
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}, "iscrowd": 1,
             "category_id": 9},
            {"segmentation": {**compressed, "counts": compressed["counts"].decode()}},
        ],
    )  # fmt: skip
    report, maps = convert(root)
    polygon = coco_pixels([POLYGON])
    expected = np.where(polygon | small, 1, crowd * 2)  # the crowd lies below
    assert (maps["a"] == expected).all()
    assert report.objects == {"cat": 2, "dog": 1}


def test_coco_to_coco_keeps_polygons_runs_and_crowds(tmp_path):
    mask = coco_api.encode(np.asfortranarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8)))
    runs = {**mask, "counts": mask["counts"].decode()}
    items = [{"segmentation": [POLYGON]}, {"segmentation": runs, "iscrowd": 1, "category_id": 9}]
    convert_dataset(coco_set(tmp_path / "coco", items), "COCO", tmp_path / "out")
    content = json.loads((tmp_path / "out/annotations/instance_train.json").read_text())
    first, second = content["annotations"]
    assert first["segmentation"] == [POLYGON]
    assert first["area"] == coco_api.area(coco_api.frPyObjects([POLYGON], HEIGHT, WIDTH))[0]
    assert second["segmentation"] == runs
    assert (second["iscrowd"], second["area"]) == (1, HEIGHT)


@pytest.mark.parametrize("seed", range(40))
def test_runs_of_a_part_are_those_of_the_whole_image(seed, tmp_path):
    rng = np.random.default_rng(seed)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    left, right = np.sort(rng.integers(0, WIDTH + 1, 2))
    top, bottom = np.sort(rng.integers(0, HEIGHT + 1, 2))
    area = mask[top:bottom, left:right]
    area[...] = rng.random(area.shape) < (0.05, 0.5, 1)[seed % 3]
    if not mask.any():
        with pytest.raises(UnusableShape, match="no pixel"):
            Canvas(WIDTH, HEIGHT).runs(encode_mask(mask))
        return
    placed, x, y = Canvas(WIDTH, HEIGHT).runs(encode_mask(mask))
    full = np.zeros_like(mask)
    full[y : y + placed.shape[0], x : x + placed.shape[1]] = placed
    assert (full == mask).all()
    found = ConvertedObject(class_index=1, mask=placed, left=x, top=y)
    size = SimpleNamespace(width=WIDTH, height=HEIGHT)
    assert written_runs(found, size)[1]["counts"] == coco_api.encode(mask)["counts"].decode()


def test_objects_may_be_written_as_runs_alone(tmp_path):
    root = coco_set(tmp_path / "coco", [{"segmentation": [POLYGON]}])
    convert_dataset(root, "COCO", tmp_path / "out", write_options={"rle": True})
    content = json.loads((tmp_path / "out/annotations/instance_train.json").read_text())
    found = content["annotations"][0]["segmentation"]
    expected = coco_pixels([POLYGON])
    assert (coco_pixels(found) == expected).all()


def test_what_is_wrong_with_coco_objects_is_counted(tmp_path, convert):
    root = coco_set(
        tmp_path / "coco",
        [
            {"segmentation": [POLYGON]},
            {"segmentation": [[1, 2, 3, 4]]},
            {"segmentation": [[1, 2, 3, 4, float("nan"), 6]]},
            {"segmentation": [POLYGON], "category_id": 77},
        ],
    )
    report, _ = convert(root)
    skipped = [(reason, e.count) for (a, _, reason), e in report.notes.items() if a == "skipped"]
    assert [count for _, count in skipped] == [1, 1, 1]


def test_coco_that_names_a_file_outside_is_refused(tmp_path, convert):
    write(tmp_path / "a.png", encode(photo()))
    with pytest.raises(DataError, match="leaves the folder"):
        convert(coco_set(tmp_path / "coco", [], name="../../a.png"))


def test_coco_of_another_size_than_the_image_is_left_out(tmp_path, convert):
    root = coco_set(tmp_path / "coco", [{"segmentation": [POLYGON]}], size=(HEIGHT, WIDTH))
    with pytest.raises(DataError, match="drawn on 40 x 48"):
        convert(root)


def test_voc_objects_have_the_class_of_most_of_their_pixels(tmp_path):
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    classes[4:20, 4:20], classes[24:36, 10:30] = 15, 8
    objects = np.zeros_like(classes)
    objects[4:20, 4:20], objects[24:36, 10:30] = 1, 2
    border = np.zeros_like(classes, bool)
    border[4, 4:20] = True
    classes[border] = objects[border] = 255
    root = tmp_path / "voc"
    write(root / "JPEGImages/2007_1.jpg", encode(photo(), "JPEG"))
    write(root / "SegmentationClass/2007_1.png", encode(classes))
    write(root / "SegmentationObject/2007_1.png", encode(objects))
    write(root / "ImageSets/Segmentation/val.txt", "2007_1\n")
    convert_dataset(root, "COCO", tmp_path / "coco")
    content = json.loads((tmp_path / "coco/annotations/instance_val.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    found = [(names[item["category_id"]], item["area"]) for item in content["annotations"]]
    assert found == [("person", 240), ("cat", 240)]


def cityscapes_set(root, kind="labelIds"):
    ids = np.array([7, 8, 11, 26, 33, 0, 4, 255], np.uint8)
    trained = np.array([0, 1, 2, 13, 18, 255, 255, 255], np.uint8)
    column = ids if kind == "labelIds" else trained
    for split, stem in (("train", "aachen/aachen_0_0"), ("val", "ulm/ulm_0_0")):
        write(root / f"leftImg8bit/{split}/{stem}_leftImg8bit.png", encode(photo()))
        label = np.repeat(np.tile(column, WIDTH // 8)[None], HEIGHT, axis=0)
        write(root / f"gtFine/{split}/{stem}_gtFine_{kind}.png", encode(label))
    return np.repeat(np.tile(trained, WIDTH // 8)[None], HEIGHT, axis=0)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_cityscapes_ids_become_train_ids(kind, tmp_path, convert):
    expected = cityscapes_set(tmp_path / "city", kind)
    report, maps = convert(tmp_path / "city")
    assert (maps["aachen/aachen_0_0"] == expected).all()
    assert report.images == {"train": 1, "val": 1}
    assert len(report.classes.names) == 19


def test_cityscapes_objects_come_from_instance_ids(tmp_path):
    cityscapes_set(tmp_path / "city")
    numbers = np.full((HEIGHT, WIDTH), 7, np.uint16)
    numbers[2:6, 2:9], numbers[10:20, 10:20], numbers[30:33, 1:4] = 26000, 26001, 24
    name = "gtFine/train/aachen/aachen_0_0_gtFine_instanceIds.png"
    write(tmp_path / "city" / name, encode(numbers))
    convert_dataset(tmp_path / "city", "COCO", tmp_path / "coco")
    content = json.loads((tmp_path / "coco/annotations/instance_train.json").read_text())
    found = [
        (item["category_id"], item["area"], item["iscrowd"]) for item in content["annotations"]
    ]
    assert sorted(found) == [(12, 9, 1), (14, 28, 0), (14, 100, 0)]


def test_ade20k_counts_from_one_and_ignores_zero(tmp_path, convert):
    label = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8) % 151
    for folder, name in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
        write(tmp_path / f"ade/images/{folder}/{name}.jpg", encode(photo(), "JPEG"))
        write(tmp_path / f"ade/annotations/{folder}/{name}.png", encode(label))
    report, maps = convert(tmp_path / "ade")
    assert (maps["ADE_train_1"] == label - 1).all()  # 0 wraps to 255
    assert report.classes.names == ADE20K_CLASSES
    assert report.images == {"train": 1, "val": 1}


def test_ade20k_takes_its_names_from_its_list(tmp_path, convert):
    write(tmp_path / "ade/images/training/a.jpg", encode(photo(), "JPEG"))
    write(tmp_path / "ade/annotations/training/a.png", encode(np.ones((HEIGHT, WIDTH), np.uint8)))
    rows = (
        "Idx\tRatio\tTrain\tVal\tName\n1\t0.1\t5\t5\twall, side\n2\t0.1\t5\t5\tbuilding;edifice\n"
    )
    write(tmp_path / "ade/objectInfo150.txt", rows)
    report, _ = convert(tmp_path / "ade")
    assert report.classes.names == ("wall", "building")


def supervisely_set(root, objects):
    classes = [{"title": "cat", "shape": "any", "color": "#FF8000"}, {"title": "dog"}]
    write(root / "meta.json", {"classes": classes, "tags": []})
    write(root / "val/img/a.png", encode(photo()))
    content = {"size": {"width": WIDTH, "height": HEIGHT}, "objects": objects, "tags": []}
    write(root / "val/ann/a.png.json", content)
    return root


def test_supervisely_bitmaps_and_polygons_with_holes(tmp_path, convert):
    mask = np.random.default_rng(3).integers(0, 2, (9, 11)).astype(bool)
    mask[0, 0] = mask[-1, -1] = True
    exterior = [[20, 5], [44, 5], [44, 30], [20, 30]]
    interior = [[30, 12], [35, 12], [35, 20], [30, 20]]
    polygon = {"geometryType": "polygon", "points": {"exterior": exterior, "interior": [interior]}}
    box = {"geometryType": "rectangle", "points": {"exterior": [[1, 33], [6, 38]], "interior": []}}
    objects = [
        {"classTitle": "cat", **bitmap(mask, 3, 4)},
        {"classTitle": "dog", **polygon},
        {"classTitle": "cat", **box},
    ]
    report, maps = convert(supervisely_set(tmp_path / "sly", objects))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[4:13, 3:14][mask] = 1
    expected[5:31, 20:45] = 2
    expected[12:21, 30:36] = 0
    expected[33:39, 1:7] = 1
    assert (maps["a"] == expected).all()
    assert report.images == {"val": 1}
    assert report.classes.colours == (None, (255, 128, 0), None)


@pytest.mark.parametrize(
    "data",
    [
        "no base64!",
        b64(b"no zlib"),
        b64(zlib.compress(b"no picture")),
        b64(zlib.compress(b"\x89PNG\r\n\x1a\n" + bytes(2**17))),
        None,
    ],
)
def test_supervisely_bitmaps_that_are_damaged_are_counted(data, tmp_path, convert, monkeypatch):
    monkeypatch.setattr(supervisely, "_MAX_BITMAP_BYTES", 2**16)
    bad = {"geometryType": "bitmap", "classTitle": "cat",
           "bitmap": {"data": data, "origin": [1, 1]}}  # fmt: skip
    report, maps = convert(supervisely_set(tmp_path / "sly", [bad]))
    assert [e.count for (a, _, _), e in report.notes.items() if a == "skipped"] == [1]
    assert not maps["a"].any()


def cvat_set(root, shapes, head=""):
    text = (
        f"<?xml version='1.0' encoding='utf-8'?>{head}<annotations><version>1.1</version>"
        "<meta><task><labels><label><name>cat</name><color>#ff0000</color><attributes></attributes></label>"
        "<label><name>dog</name></label></labels></task></meta>"
        f"<image id='0' name='a.png' subset='Validation' width='{WIDTH}' height='{HEIGHT}'>{shapes}"
        "</image></annotations>"
    )
    write(root / "annotations.xml", text)
    write(root / "images/a.png", encode(photo()))
    return root


def test_cvat_shapes_lie_in_their_order(tmp_path, convert):
    text = ";".join(f"{x},{y}" for x, y in np.reshape(POLYGON, (-1, 2)))
    runs = "3, 4, 5, 6, 2"
    shapes = (
        f"<polygon label='dog' points='{text}' z_order='1'><attribute name='x'/></polygon>"
        "<box label='cat' xtl='2' ytl='2' xbr='40' ybr='30' z_order='0'></box>"
        f"<mask label='cat' rle='{runs}' left='1' top='34' width='5' height='4' z_order='0'/>"
    )
    report, maps = convert(cvat_set(tmp_path / "cvat", shapes))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:30, 2:40] = 1
    window = expected[34:38, 1:6].reshape(-1)
    window[3:7] = window[12:18] = 1
    expected[34:38, 1:6] = window.reshape(4, 5)
    polygon = coco_pixels([POLYGON])
    expected[polygon == 1] = 2
    assert (maps["a"] == expected).all()
    assert report.images == {"val": 1}
    assert report.classes.names == ("_background_", "cat", "dog")


def test_a_turned_box_of_cvat_turns_about_its_centre(tmp_path, convert):
    shapes = "<box label='cat' xtl='10' ytl='14' xbr='30' ybr='24' rotation='90'/>"
    _, maps = convert(cvat_set(tmp_path / "cvat", shapes))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[9:29, 15:25] = 1
    assert (maps["a"] == expected).all()


@pytest.mark.parametrize(
    "head",
    ["<!DOCTYPE annotations [<!ENTITY a 'aaaa'>]>", "<!DOCTYPE annotations SYSTEM 'file:///x'>"],
)
def test_xml_with_a_document_type_is_refused(head, tmp_path, convert):
    with pytest.raises(DataError, match="document type"):
        convert(cvat_set(tmp_path / "cvat", "", head))


@pytest.mark.parametrize("text", ["", "<a", "<a>" * 100, "\0", "<a/>"])
def test_xml_that_is_none_is_told(text, tmp_path, convert):
    root = cvat_set(tmp_path / "cvat", "")
    write(root / "annotations.xml", text)
    with pytest.raises(DataError):
        convert(root)


@pytest.mark.parametrize("name", ["# comment", " blank", "two\nlines", ""])
def test_names_that_labels_txt_cannot_hold_are_refused(name):
    with pytest.raises((RequestError, IndexError)):
        class_lines(Classes((name,)))


@pytest.mark.parametrize("name", ["car 1 2 3", "type #00ff00", "plan 9", "猫 cat"])
def test_names_that_look_like_colours_survive(name, tmp_path):
    write(tmp_path / "labels.txt", "\n".join(class_lines(Classes(("background", name)))))
    assert read_class_list(tmp_path / "labels.txt").names == ("background", name)


def test_ignored_pixels_that_coco_cannot_hold_are_told(tmp_path):
    cityscapes_set(tmp_path / "city")
    report = convert_dataset(tmp_path / "city", "COCO", tmp_path / "coco")
    (changed,) = report.as_json()["changed"]
    assert (changed["reason"], changed["count"]) == ("its ignored pixels become background", 2)
