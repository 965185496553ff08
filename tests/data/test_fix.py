"""Repairs change what they say and nothing else, lose nothing, and are done once."""

import io
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image, orient
from segcore.data.fix import fix_dataset
from segcore.data.label import decode_label
from segcore.data.listfile import read_rows
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError, LabelError, OutputError, RequestError
from segcore.testing.faults import KillAt, Recorder, run_forked

HEIGHT, WIDTH = 12, 20


def classes(seed=0, shape=(HEIGHT, WIDTH)):
    return np.random.default_rng(seed).integers(0, 3, shape, dtype=np.uint8)


def encode(pixels, name="PNG", **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(file, name, **options)
    return file.getvalue()


def with_orientation(value):
    exif = Image.Exif()
    exif[274] = value
    return exif


def palette(indices):
    image = Image.new("P", (indices.shape[1], indices.shape[0]))
    image.putdata(indices.ravel().tolist())
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    return image


def opaque(indices, channels):
    full = np.full_like(indices, 255)
    return np.dstack([*[indices] * (channels - 1), full])


COLOURS = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 9, 255): 2}


def coloured(indices):
    return np.array(list(COLOURS), np.uint8)[indices]


@pytest.fixture
def root(tmp_path):
    """Three samples in train.txt and one in val.txt, all of them sound."""
    root = tmp_path / "set"
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    rows = []
    for n in range(4):
        photo = np.random.default_rng(n).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        (root / f"images/{n}.jpg").write_bytes(encode(photo, "JPEG", quality=95))
        (root / f"annotations/{n}.png").write_bytes(encode(classes(n)))
        rows.append(f"images/{n}.jpg annotations/{n}.png\n")
    (root / "train.txt").write_text("# mine\n" + "".join(rows[:3]))
    (root / "val.txt").write_text(rows[3])
    (root / "labels.txt").write_text("ground\ncoin\nnut\n")
    return root


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fix(root, **options):
    """Repair into a new folder, and once more, which must find nothing."""
    output = root.with_name("fixed")
    result = fix_dataset(root, output, **options)
    options.pop("dry_run", None)
    again = fix_dataset(output, root.with_name("again"), **options)
    assert again.repairs == ()
    assert tree(root.with_name("again")) == tree(output)
    return {repair.kind: repair.count for repair in result.repairs}, output


def label_of(folder, name="annotations/0.png"):
    return decode_label((folder / name).read_bytes(), name)


def test_a_sound_dataset_is_copied_as_it_is(root):
    done, output = fix(root)
    assert done == {}
    assert tree(output) == tree(root)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda c: encode(palette(c)), "label-palette"),
        (lambda c: encode(c.astype(np.uint16)), "label-deep"),
        (lambda c: encode(np.dstack([c, c, c])), "label-channels"),
        (lambda c: encode(opaque(c, 2)), "label-alpha"),
        (lambda c: encode(opaque(c, 4)), "label-alpha"),
        (lambda c: encode(c, exif=with_orientation(6)), "label-orientation"),
    ],
)
def test_a_label_becomes_plain_indices_of_the_same_values(root, made, kind):
    (root / "annotations/0.png").write_bytes(made(classes()))
    before = tree(root)
    done, output = fix(root)
    assert done == {kind: 1}
    assert tree(root) == before
    header = Image.open(output / "annotations/0.png")
    assert header.mode == "L"
    assert not header.getexif()
    assert np.array_equal(label_of(output), classes())
    assert {k: v for k, v in tree(output).items() if k != "annotations/0.png"} == {
        k: v for k, v in before.items() if k != "annotations/0.png"
    }
    assert len(SegDataset(output, "train")) == 3


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("in_list", [False, True])
def test_colours_become_the_classes_that_they_stand_for(root, alpha, in_list):
    pixels = coloured(classes())
    if alpha:
        pixels = np.dstack([pixels, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    (root / "annotations/0.png").write_bytes(encode(pixels))
    if in_list:
        (root / "labels.txt").write_text("ground #000000\ncoin 255 0 0\nnut #0009ff\n")
    done, output = fix(root, colours=None if in_list else COLOURS)
    assert done == {"label-colours": 1, **({"label-alpha": 1} if alpha else {})}
    assert np.array_equal(label_of(output), classes())


def test_greys_that_may_be_classes_or_colours_are_left_to_their_owner(root):
    grey = np.dstack([classes()] * 3)
    (root / "annotations/0.png").write_bytes(encode(grey))
    colours = {(0, 0, 0): 0, (1, 1, 1): 2, (2, 2, 2): 1}
    refusal = fix_dataset(root, colours=colours, dry_run=True).refusals[0]
    assert "may be a class by itself, or the colour #020202" in refusal.message
    (root / "annotations/0.png").write_bytes(encode(np.where(grey > 0, 255, 0).astype(np.uint8)))
    done, output = fix(root, colours={(0, 0, 0): 0, (255, 255, 255): 1})
    assert done == {"label-colours": 1}
    assert np.array_equal(label_of(output), classes() > 0)


def test_values_are_replaced_as_reading_with_the_map_does(root):
    mask = np.where(classes() > 0, 255, 0).astype(np.uint8)
    (root / "annotations/0.png").write_bytes(encode(mask))
    read = SegDataset(root, "train", DataConfig(num_classes=3, label_map={255: 1})).load(0).label
    done, output = fix(root, label_map={255: 1})
    assert done == {"label-value": 1}
    assert np.array_equal(label_of(output), read)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_label_drawn_on_the_stored_pixels_is_turned_with_its_image(root, orientation):
    photo = Image.open(root / "images/0.jpg")
    (root / "images/0.jpg").write_bytes(encode(photo, "JPEG", exif=with_orientation(orientation)))
    with pytest.raises(LabelError, match="EXIF"):
        SegDataset(root, "train").load(0)
    before = (root / "images/0.jpg").read_bytes()
    done, output = fix(root)
    assert done == {"label-exif": 1}
    assert np.array_equal(label_of(output), orient(classes(), orientation))
    assert (output / "images/0.jpg").read_bytes() == before
    sample = SegDataset(output, "train").load(0)
    assert sample.label.shape == sample.image.shape[:2] == (WIDTH, HEIGHT)


def test_a_label_that_is_upright_already_stays(root):
    photo = Image.open(root / "images/0.jpg")
    (root / "images/0.jpg").write_bytes(encode(photo, "JPEG", exif=with_orientation(6)))
    (root / "annotations/0.png").write_bytes(encode(classes(0, (WIDTH, HEIGHT))))
    assert fix(root)[0] == {}


def test_where_sizes_do_not_tell_the_owners_word_turns_both(root):
    photo = Image.open(root / "images/0.jpg")
    (root / "images/0.jpg").write_bytes(encode(photo, "JPEG", exif=with_orientation(3)))
    assert fix(root)[0] == {}
    for name in ("fixed", "again"):
        shutil.rmtree(root.with_name(name))
    done, output = fix(root, labels_as_stored=True)
    assert done == {"label-exif": 1, "image-exif": 1}
    old = decode_image((root / "images/0.jpg").read_bytes(), "0.jpg")[0]
    new = decode_image((output / "images/0.png").read_bytes(), "0.png")[0]
    assert np.array_equal(new, old)
    assert np.array_equal(label_of(output), classes()[::-1, ::-1])
    assert next(read_rows(output / "train.txt")).image == "images/0.png"
    assert not (output / "images/0.jpg").exists()


@pytest.mark.parametrize("in_place", [False, True])
def test_images_are_stored_upright_on_request(root, in_place):
    photo = Image.open(root / "images/3.jpg")
    (root / "images/3.jpg").write_bytes(encode(photo, "JPEG", exif=with_orientation(6)))
    old = decode_image((root / "images/3.jpg").read_bytes(), "3.jpg")[0]
    output = root if in_place else root.with_name("fixed")
    fix_dataset(root, None if in_place else output, in_place=in_place, upright_images=True)
    sample = SegDataset(output, "val", DataConfig(num_classes=3)).load(0)
    assert np.array_equal(sample.image, old)
    assert np.array_equal(sample.label, orient(classes(3), 6))
    assert sample.source.startswith("images/3.png ")
    if in_place:
        assert not (root / "images/3.jpg").exists()
        assert (root / "fix.bak/images/3.jpg").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encode(classes(), "JPEG"), "JPEG has changed the values"),
        (encode(coloured(classes())), r"colours instead .*--colours"),
        (encode(classes()[:5]), r"20 x 5 pixels, but its image has 20 x 12"),
        (encode(np.dstack([classes()] * 3 + [classes()])), "transparent pixels"),
        (encode(classes(), exif=with_orientation(3)), "fits its image with and without"),
        (encode(classes())[:60], "truncated"),
        (b"", "empty file"),
        (encode(classes().astype(np.float32), "TIFF"), "float32"),
    ],
)
def test_what_cannot_be_repaired_stays_and_is_named(root, content, reason):
    (root / "annotations/0.png").write_bytes(content)
    result = fix_dataset(root, root.with_name("fixed"))
    assert [refusal.file for refusal in result.refusals] == ["annotations/0.png"]
    with pytest.raises(LabelError, match=reason):
        raise LabelError(result.refusals[0].message)
    assert (root.with_name("fixed") / "annotations/0.png").read_bytes() == content
    assert result.repairs == ()


def test_colours_of_no_class_are_counted(root):
    pixels = coloured(classes())
    pixels[0, :2] = (1, 2, 3)
    (root / "annotations/0.png").write_bytes(encode(pixels))
    refusal = fix_dataset(root, colours=COLOURS, dry_run=True).refusals[0]
    assert "colours that are no class: #010203 (2 pixels)" in refusal.message


@pytest.mark.parametrize(
    "form",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
    ],
)
def test_lists_become_plain_utf8(root, form):
    for name in ("train.txt", "labels.txt"):
        (root / name).write_bytes(form((root / name).read_text()))
    plain = tree(root.rename(root.with_name("old")))
    done, output = fix(root.with_name("old"))
    assert done == {"list-form": 2}
    assert (output / "train.txt").read_text() == "# mine\n" + "".join(
        f"images/{n}.jpg annotations/{n}.png\n" for n in range(3)
    )
    assert (output / "labels.txt").read_bytes() == b"ground\ncoin\nnut\n"
    assert plain["val.txt"] == (output / "val.txt").read_bytes()


def test_repeated_rows_go_and_contradicting_ones_are_refused(root):
    with (root / "train.txt").open("a") as file:
        file.write("images/1.jpg annotations/1.png\n")
    done, output = fix(root)
    assert done == {"row-repeated": 1}
    assert [row.image for row in read_rows(output / "train.txt")] == [
        f"images/{n}.jpg" for n in range(3)
    ]
    with (root / "train.txt").open("a") as file:
        file.write("images/1.jpg annotations/2.png\n")
    with pytest.raises(DataError, match=r"has two labels, annotations/1.png in line 3"):
        fix_dataset(root, dry_run=True)


def test_leaks_go_on_request(root):
    shutil.copy(root / "images/0.jpg", root / "images/copy.jpg")
    with (root / "val.txt").open("a") as file:
        file.write("images/1.jpg annotations/1.png\nimages/copy.jpg annotations/0.png\n")
    assert fix_dataset(root, dry_run=True).repairs == ()
    done, output = fix(root, drop_leaks=True)
    assert done == {"split-same-file": 1, "split-same-content": 1}
    assert [row.image for row in read_rows(output / "val.txt")] == ["images/3.jpg"]
    (root / "val.txt").write_text("images/1.jpg annotations/1.png\n")
    with pytest.raises(RequestError, match="all its pictures are in other lists"):
        fix_dataset(root, drop_leaks=True, dry_run=True)


def spoil(root):
    """Put one of most kinds of fault into a dataset."""
    (root / "annotations/0.png").write_bytes(encode(palette(classes(0))))
    (root / "annotations/1.png").unlink()
    (root / "annotations/1.bmp").write_bytes(encode(palette(classes(1)), "BMP"))
    photo = Image.open(root / "images/2.jpg")
    (root / "images/2.jpg").write_bytes(encode(photo, "JPEG", exif=with_orientation(8)))
    text = (root / "train.txt").read_text().replace("annotations/1.png", "annotations/1.bmp")
    (root / "train.txt").write_bytes(("\ufeff" + text + text.splitlines()[1]).encode())


def test_in_place_keeps_what_it_replaces_and_never_an_older_backup(root):
    spoil(root)
    before = tree(root)
    result = fix_dataset(root, in_place=True)
    assert {repair.kind: repair.count for repair in result.repairs} == {
        "label-palette": 2, "label-exif": 1, "row-repeated": 1, "list-form": 1
    }  # fmt: skip
    kept = tree(root / "fix.bak")
    assert kept == {name: before[name] for name in kept}
    assert sorted(kept) == [
        "annotations/0.png", "annotations/1.bmp", "annotations/2.png", "train.txt"
    ]  # fmt: skip
    dataset = SegDataset(root, "train")
    for n in range(3):
        label = dataset.load(n).label
        assert np.array_equal(label, classes(n) if n < 2 else orient(classes(2), 8))
    assert fix_dataset(root, in_place=True).repairs == ()
    assert not (root / "fix.bak.1").exists()
    (root / "annotations/0.png").write_bytes(encode(palette(classes(0))))
    fix_dataset(root, in_place=True)
    assert tree(root / "fix.bak") == kept
    assert (root / "fix.bak.1/annotations/0.png").exists()


def test_a_kill_at_any_point_in_place_is_healed_by_a_second_call(root):
    spoil(root)
    before = tree(root)
    probe = root.with_name("probe")
    shutil.copytree(root, probe)
    count = Recorder(probe)
    fix_dataset(probe, in_place=True, files=count)
    wanted = {name: data for name, data in tree(probe).items() if "fix.bak" not in name}
    for n in range(1, len(count.record) + 1):
        victim = root.with_name(f"victim{n}")
        shutil.copytree(root, victim)
        status = run_forked(
            lambda: fix_dataset(victim, in_place=True, files=KillAt(n))  # noqa: B023
        )
        assert status == -signal.SIGKILL
        # every old content is still somewhere
        assert set(before.values()) <= set(tree(victim).values())
        fix_dataset(victim, in_place=True)
        after = tree(victim)
        assert set(before.values()) <= set(after.values())
        healed = {k: v for k, v in after.items() if "fix.bak" not in k and ".tmp-" not in k}
        healed.pop("annotations/1.bmp", None)  # unlisted by then, when the kill came last
        assert healed == wanted


def test_a_copy_cut_short_has_no_name(root):
    status = run_forked(lambda: fix_dataset(root, root.with_name("new"), files=KillAt(9)))
    assert status == -signal.SIGKILL
    assert not any(root.with_name("new").glob("*"))
    fix_dataset(root, root.with_name("new"))
    assert tree(root.with_name("new")) == tree(root)


def test_a_dry_run_writes_nothing(root):
    spoil(root)
    before = tree(root.parent)
    result = fix_dataset(root, root.with_name("new"), dry_run=True)
    assert len(result.repairs) == 4
    assert not result.is_written
    assert tree(root.parent) == before
    assert not root.with_name("new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--output NEW_DIR for a copy, or --in-place"),
        ({"output": "new", "in_place": True}, "not both"),
        ({"in_place": True, "label_map": {1: 2, 2: 3}}, "would move values on"),
        ({"in_place": True, "label_map": {1: 2, 2: 1}}, "would move values on"),
        ({"in_place": True, "labels_as_stored": True}, "could turn a label twice"),
    ],
)
def test_requests_that_would_harm_are_refused(root, options, message):
    before = tree(root)
    if "output" in options:
        options = {**options, "output": root.with_name("new")}
    with pytest.raises(RequestError, match=message):
        fix_dataset(root, **options)
    assert tree(root) == before


@pytest.mark.parametrize("name", ["set", "set/inside", "."])
def test_a_copy_never_goes_into_the_dataset(root, name):
    with pytest.raises(OutputError, match="lie in each other"):
        fix_dataset(root, root.parent / name)


def test_a_folder_that_holds_something_is_not_written_to(root):
    other = root.with_name("other")
    other.mkdir()
    (other / "mine").write_text("x")
    with pytest.raises(OutputError, match="holds mine"):
        fix_dataset(root, other)
    assert tree(other) == {"mine": b"x"}


def test_rows_that_leave_the_dataset_are_neither_read_nor_written(root):
    secret = root.with_name("secret.png")
    secret.write_bytes(encode(palette(classes(9))))
    with (root / "train.txt").open("a") as file:
        file.write("images/0.jpg ../secret.png\n".replace("images/0", "images/9"))
        file.write("../secret.png annotations/0.png\n")
    shutil.copy(root / "images/0.jpg", root / "images/9.jpg")
    before = secret.read_bytes()
    result = fix_dataset(root, in_place=True)
    assert {refusal.file for refusal in result.refusals} == {"../secret.png"}
    assert secret.read_bytes() == before


def test_a_png_does_not_replace_another_file(root):
    (root / "annotations/1.bmp").write_bytes(encode(palette(classes(1)), "BMP"))
    text = (root / "train.txt").read_text().replace("annotations/1.png", "annotations/1.bmp")
    (root / "train.txt").write_text(text)
    before = tree(root)
    result = fix_dataset(root, in_place=True)
    assert "becomes annotations/1.png, which is there already" in result.refusals[0].message
    assert tree(root) == before
