"""Labels that are wrong or odd (rows 23 to 35 of the table of bad inputs), made here in memory."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.label import check_label_values, decode_label
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError, LabelError

HEIGHT, WIDTH = 24, 40


def classes(count=3):
    return np.random.default_rng(11).integers(0, count, (HEIGHT, WIDTH), dtype=np.uint8)


def encode(image, name="PNG", **options):
    file = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(file, name, **options)
    return file.getvalue()


def palette_image(indices):
    image = Image.new("P", (indices.shape[1], indices.shape[0]))
    image.putdata(indices.ravel().tolist())
    image.putpalette([200, 10, 10, 255, 255, 255, 0, 0, 0, 30, 200, 30])
    return image


def refusal(data, source="labels/7.png"):
    with pytest.raises(LabelError) as caught:
        decode_label(data, source)
    assert str(caught.value).startswith(source)
    return str(caught.value)


def dataset(root, labels, images=None, split="train", **config):
    """Write labels (and images of their size) as a dataset of two classes, and open it."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(exist_ok=True)
    rows = []
    for number, label in enumerate(labels):
        size = label.shape[::-1] if images is None else images[number]
        image = Image.new("RGB", size, (number, 80, 90))
        (root / f"images/{number}.png").write_bytes(encode(image))
        (root / f"annotations/{number}.png").write_bytes(encode(label))
        rows.append(f"images/{number}.png annotations/{number}.png\n")
    (root / f"{split}.txt").write_text("".join(rows))
    return SegDataset(root, split, DataConfig(**{"num_classes": 2, **config}))


def test_row_23_a_value_above_the_classes_is_refused_with_its_count():
    label = classes(3)
    label[0, :3] = 21
    with pytest.raises(LabelError) as caught:
        check_label_values(label, "labels/7.png", 21)
    assert "labels/7.png: 3 pixels have class 21, but num_classes is 21" in str(caught.value)
    assert "valid: 0 to 20, 255 is ignored" in str(caught.value)
    assert "data.num_classes=22" in str(caught.value)


def test_row_23_the_dataset_names_file_and_line(tmp_path):
    bad = classes(2)
    bad[0, 0] = 2
    opened = dataset(tmp_path, [classes(2), bad])
    opened.load(0)
    message = r"annotations/1\.png: 1 pixels have class 2.*\(train\.txt, line 2\)"
    with pytest.raises(LabelError, match=message):
        opened.load(1)


def test_row_24_a_mask_of_0_and_255_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(LabelError, match=r"data\.label_map=\{255: 1\}"):
        dataset(tmp_path, [classes(2) * 255, classes(2) * 255])


def test_row_24_a_mask_of_0_and_255_is_refused_when_255_is_not_ignored(tmp_path):
    opened = dataset(tmp_path, [classes(2) * 255], ignore_index=200)
    with pytest.raises(LabelError, match=r"data\.label_map=\{255: 1\}"):
        opened.load(0)


def test_row_24_the_way_out_works(tmp_path):
    opened = dataset(tmp_path, [classes(2) * 255], label_map={255: 1})
    assert np.array_equal(opened.load(0).label, classes(2))


def test_row_24_ignored_borders_beside_a_class_are_no_mask(tmp_path):
    assert len(dataset(tmp_path, [classes(2) * 255, classes(2)])) == 2


@pytest.mark.parametrize("kind", ["int8", "int16", "int32"])
def test_row_25_negative_labels_are_refused(kind):
    label = classes().astype(kind)
    label[0, :4] = -1
    assert "4 pixels are negative" in refusal(cv2.imencode(".tiff", label)[1].tobytes())


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_row_25_float_labels_are_refused(kind):
    data = cv2.imencode(".tiff", classes().astype(kind))[1].tobytes()
    assert f"{kind} values" in refusal(data)


@pytest.mark.parametrize("factor", [1, 300])
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_row_26_sixteen_bits_keep_their_values(name, factor):
    label = classes().astype(np.uint16) * factor
    decoded = decode_label(encode(label, name), "a.png")
    assert decoded.dtype == np.int32
    assert np.array_equal(decoded, label)


def test_row_26_values_above_255_are_refused_where_they_do_not_fit():
    label = decode_label(encode(classes().astype(np.uint16) * 256), "a.png")
    with pytest.raises(LabelError, match="have class 256, "):
        check_label_values(label, "a.png", 3)


@pytest.mark.parametrize("options", [{}, {"bits": 4}, {"bits": 2}, {"transparency": 0}])
def test_row_27_a_palette_label_gives_its_indices(options):
    decoded = decode_label(encode(palette_image(classes(4)), **options), "a.png")
    assert np.array_equal(decoded, classes(4))


@pytest.mark.parametrize("name", ["BMP", "TIFF"])
def test_row_27_palettes_of_other_formats_give_their_indices(name):
    assert np.array_equal(decode_label(encode(palette_image(classes(4)), name), "a"), classes(4))


def test_row_28_a_label_of_colours_is_refused_with_the_colours():
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)[classes(3)]
    message = refusal(encode(colours))
    assert "(128, 0, 0): " in message
    assert "(0, 128, 0): " in message


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_row_29_a_label_with_alpha_is_refused(mode):
    assert "alpha" in refusal(encode(Image.fromarray(classes()).convert(mode)))


def test_row_30_a_label_of_another_size_is_refused_with_both_sizes(tmp_path):
    opened = dataset(tmp_path, [classes(2)], images=[(WIDTH, HEIGHT + 1)])
    with pytest.raises(LabelError, match=r"40 x 24 pixels, but images/0\.png has 40 x 25"):
        opened.load(0)


def test_row_30_exchanged_sides_point_to_exif(tmp_path):
    opened = dataset(tmp_path, [classes(2)], images=[(HEIGHT, WIDTH)])
    with pytest.raises(LabelError, match="EXIF"):
        opened.load(0)


@pytest.mark.parametrize("name", ["JPEG", "WebP", "GIF"])
def test_row_31_lossy_formats_are_refused_as_labels(name):
    assert "PNG" in refusal(encode(classes(), name))


def test_row_31_jpeg_is_called_lossy_whatever_its_suffix():
    assert "lossy" in refusal(encode(classes(), "JPEG"), "labels/7.png")


def test_row_32_a_label_that_ignores_everything_is_used_and_noted(tmp_path):
    empty = np.full((HEIGHT, WIDTH), 255, np.uint8)
    opened = dataset(tmp_path, [classes(2), empty])
    assert opened.load(0).warnings == ()
    assert opened.load(1).warnings == ("ignored-label",)


def test_row_33_a_class_that_never_occurs_is_no_error(tmp_path):
    assert dataset(tmp_path, [classes(2)], num_classes=9).num_classes == 9


def test_row_34_an_ignored_value_inside_the_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"data\.ignore_index=1 is class"):
        dataset(tmp_path, [classes(2)], ignore_index=1)


def test_row_35_missing_files_are_listed_up_to_twenty_with_the_total(tmp_path):
    rows = "".join(f"images/{i}.png annotations/{i}.png\n" for i in range(30))
    (tmp_path / "train.txt").write_text(rows)
    with pytest.raises(DataError) as caught:
        SegDataset(tmp_path, "train", DataConfig(num_classes=2))
    message = str(caught.value)
    assert "60 files cannot be used" in message
    assert message.count("no such file") == 20
    assert "and 40 more" in message


def test_row_35_swapped_columns_are_refused_when_read(tmp_path):
    opened = dataset(tmp_path, [classes(2)])
    (tmp_path / "train.txt").write_text("annotations/0.png images/0.png\n")
    opened = SegDataset(tmp_path, "train", opened.config)
    with pytest.raises(LabelError, match="colours instead of class indices"):
        opened.load(0)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_few_bits_keep_their_values(bits):
    label = classes(2**bits)
    packed = np.packbits(
        np.unpackbits(label[..., None], axis=2)[..., -bits:].reshape(HEIGHT, -1), axis=1
    )
    decoded = decode_label(_grey_png(packed, bits), "a.png")
    assert np.array_equal(decoded, label)


def _grey_png(packed, bits):
    import struct
    import zlib

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
