"""What is shown of a dataset, and in which order."""

import cv2
import numpy as np
import pytest

from segcore.data.listfile import format_row
from segcore.data.view.agreement import image_iou
from segcore.data.view.font import Font
from segcore.data.view.look import look_at
from segcore.data.view.picture import make_picture
from segcore.data.view.sheet import Layout, draw_sheets, write_sheets
from segcore.errors import DataError, RequestError

SIDE = 64


def ordinary(number):
    """Give an image and its label: a bright square on grey, a little different each time."""
    rng = np.random.default_rng(number)
    label = np.zeros((SIDE, SIDE), np.uint8)
    left, top, side = rng.integers(8, 24, 3)
    label[top : top + side + 10, left : left + side + 10] = 1
    image = np.full((SIDE, SIDE, 3), 100 + number % 5, np.uint8)
    image[label == 1] += 60
    return image + rng.integers(0, 4, image.shape, dtype=np.uint8), label


def dark():
    image, label = ordinary(1)
    return image // 8, label


def large():
    image, label = ordinary(2)
    return image.repeat(4, 0).repeat(4, 1), label.repeat(4, 0).repeat(4, 1)


def wide():
    image, label = ordinary(3)
    return np.tile(image, (1, 4, 1)), np.tile(label, (1, 4))


def rare():
    image, label = ordinary(4)
    return image, np.where(label == 1, 2, 0).astype(np.uint8)


def ignored():
    image, label = ordinary(5)
    label[2:] = 255
    return image, label


def speckled():
    image, label = ordinary(6)
    label[::16, ::8] = 1
    return image, label


def shifted():
    image, label = ordinary(7)
    return image, np.roll(label, 20, axis=1)


ODD = {
    dark: "dark",
    large: "large",
    wide: "wide",
    rare: "has rare one, which 1 of 41 images have",
    ignored: "97% ignored",
    speckled: "tiny objects",
    shifted: "borders of the label off the edges",
}


def write_set(root, samples, names="ground\nsquare\nrare one\n", stems=None):
    rows = []
    for folder in ("images", "annotations"):
        (root / folder).mkdir()
    for number, (image, label) in enumerate(samples):
        stem = stems[number] if stems else f"{number:03}"
        files = f"images/{stem}.png", f"annotations/{number}.png"
        for file, pixels in zip(files, (image, label), strict=True):
            (root / file).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        rows.append(format_row(*files) + "\n")
    (root / "train.txt").write_text("".join(rows), "utf-8")
    (root / "labels.txt").write_text(names, "utf-8")
    return root


@pytest.mark.parametrize(("make", "reason"), ODD.items(), ids=lambda value: str(value)[:20])
def test_the_odd_one_comes_first_and_says_why(tmp_path, make, reason):
    samples = [*map(ordinary, range(20)), make(), *map(ordinary, range(20, 40))]
    view = look_at(write_set(tmp_path, samples), limit=2)
    assert view.pictures[0].source == "images/020.png"
    assert view.pictures[0].place == "train.txt, line 21"
    assert reason in " ".join(view.pictures[0].notes)
    assert view.scores[0] > 2 * view.scores[1]
    assert view.pictures[1].notes == ()


@pytest.fixture
def small(tmp_path):
    return write_set(tmp_path, [*map(ordinary, range(5)), rare()])


def test_only_samples_of_a_class_are_shown(small):
    assert [p.source for p in look_at(small, class_name="rare one").pictures] == ["images/005.png"]
    assert len(look_at(small, class_name="1").pictures) == 5
    with pytest.raises(RequestError, match="no class 'tree'"):
        look_at(small, class_name="tree")


def test_no_more_are_shown_than_asked_for(small):
    assert len(look_at(small, limit=3).pictures) == 3
    assert look_at(small, limit=0).pictures == ()


def test_a_report_shows_no_more_than_it_can_carry(small):
    report = look_at(small).report(most=2)
    assert len(report.pictures) == 2
    assert report.order.endswith("These are the first 2.")
    assert not look_at(small).report().order.endswith("These are the first 200.")


def test_what_cannot_be_read_is_left_out_and_said(small):
    (small / "images/002.png").write_bytes(b"")
    view = look_at(small)
    assert len(view.pictures) == 5
    assert "images/002.png" in view.stats.problems[0]


def find_bright(image):
    return (image[..., 0] > 130).astype(np.uint8)


def test_a_models_worst_come_first(small):
    image, label = ordinary(2)

    def predict(found):
        is_second = np.array_equal(found, image[..., ::-1])  # OpenCV writes blue first
        return 1 - find_bright(found) if is_second else find_bright(found)

    view = look_at(small, predict=predict, limit=3)
    assert [p.source for p in view.pictures[:2]] == ["images/002.png", "images/005.png"]
    assert view.pictures[0].notes[0] == "IoU 0.000"
    assert np.array_equal(view.pictures[0].prediction, 1 - label)
    assert list(view.scores) == sorted(view.scores)
    assert view.scores[0] == 0


def test_the_order_of_equals_is_that_of_the_list(small):
    view = look_at(small, predict=lambda image: np.zeros(image.shape[:2], np.uint8), limit=6)
    pairs = list(zip(view.scores, [p.source for p in view.pictures], strict=True))
    assert pairs == sorted(pairs)


def test_iou_counts_classes_of_either(small):
    label = np.array([[0, 0, 1, 255]])
    assert image_iou(np.array([[0, 0, 1, 1]]), label, 3, 255) == 1
    assert image_iou(np.array([[0, 1, 1, 0]]), label, 3, 255) == 0.5
    assert image_iou(np.array([[0, 0, 2, 0]]), label, 3, 255) == pytest.approx(1 / 3)
    assert image_iou(np.array([[2, 2, 2, 2]]), np.full((1, 4), 255), 3, 255) == 1
    with pytest.raises(DataError, match="class 3"):
        image_iou(np.array([[0, 0, 3, 0]]), label, 3, 255)
    with pytest.raises(DataError, match="its label"):
        image_iou(np.zeros((2, 2), int), label, 3, 255)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_pictures_are_small_and_of_three_channels(channels):
    image = np.full((100, 400, channels), 7, np.uint8)
    label = np.arange(100 * 400, dtype=np.int32).reshape(100, 400) % 999
    picture = make_picture(image, label, 80, source="a (b) (train.txt, line 3)", split="train")
    assert picture.image.shape == (20, 80, 3)
    assert picture.label.shape == (20, 80)
    assert set(np.unique(picture.label)) <= set(range(999))
    assert (picture.source, picture.place) == ("a (b)", "train.txt, line 3")


def test_a_sample_without_a_place_is_of_its_split():
    picture = make_picture(np.zeros((4, 4, 3), np.uint8), None, 8, source="a", split="val")
    assert (picture.source, picture.place, picture.label) == ("a", "val", None)


@pytest.mark.parametrize(("columns", "sheets"), [(1, 6), (2, 2), (4, 1)])
def test_sheets_hold_columns_times_rows(small, tmp_path, columns, sheets):
    layout = Layout(columns=columns, rows=columns, side=64)
    paths = write_sheets(look_at(small), tmp_path / "out", layout)
    assert [path.name for path in paths] == [f"sheet_{n:03}.jpg" for n in range(1, sheets + 1)]


def test_sheets_of_before_do_not_stay(small, tmp_path):
    view = look_at(small)
    write_sheets(view, tmp_path / "out", Layout(columns=1, rows=1, side=64))
    (tmp_path / "out/sheet_notes.txt").write_text("mine")
    write_sheets(view, tmp_path / "out", Layout(columns=2, rows=2, side=64), "png")
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["sheet_001.png", "sheet_002.png", "sheet_notes.txt"]


def test_overlays_and_the_legend_have_the_colours_of_classes(small):
    (small / "labels.txt").write_text("ground\nsquare #ff0000\nrare one #00ff00\n")
    (sheet,) = draw_sheets(look_at(small), Layout(columns=3, rows=3, side=96))
    colours = {colour for _, colour in sheet.getcolors(1 << 24)}
    assert {(255, 0, 0), (0, 255, 0)} <= colours


def test_png_keeps_every_pixel(small, tmp_path):
    from PIL import Image

    layout = Layout(columns=3, rows=3, side=64)
    view = look_at(small)
    (path,) = write_sheets(view, tmp_path / "out", layout, "png")
    (sheet,) = draw_sheets(view, layout)
    assert Image.open(path).tobytes() == sheet.tobytes()


def test_hostile_names_are_drawn(tmp_path):
    stems = ["\u202egpj", "x" * 200, "\u4e2d\u6587", "a\nb", "\u05e9\u05dc", "<b>"]
    names = "\x1b[1m\n" + "y" * 300 + "\n\u4e2d\u6587\n"
    samples = [*map(ordinary, range(5)), rare()]
    view = look_at(write_set(tmp_path, samples, names, stems))
    (sheet,) = draw_sheets(view, Layout(columns=3, rows=3, side=64))
    assert sheet.width < 400


def test_a_sheet_larger_than_viewers_take_is_refused(small):
    with pytest.raises(RequestError, match="fewer columns"):
        next(draw_sheets(look_at(small), Layout(columns=20, rows=20, side=1024)))


@pytest.fixture
def font():
    return Font(14)


def test_text_is_shortened_in_the_middle(font):
    text = font.fit("images/" + "a" * 200 + "_0001.jpg", 120)
    assert font.width(text) <= 120
    assert text.startswith("im")
    assert text.endswith("0001.jpg")
    assert "..." in text
    assert font.fit("short", 120) == "short"


def test_what_the_font_cannot_draw_is_escaped(font):
    assert font.drawable("plain \x1b \u202e") == "plain \\x1b \\u202e"
    assert font.drawable("\u4e2d") == "\\u4e2d"
    assert font.drawable("\U0001f600") == "\\U0001f600"


def test_a_file_that_is_no_font_is_refused(tmp_path):
    (tmp_path / "a.ttf").write_text("no font")
    with pytest.raises(RequestError, match=r"a\.ttf: cannot be used as a font"):
        Font(12, tmp_path / "a.ttf")
