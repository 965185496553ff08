"""Images that are wrong or odd (rows 1 to 22 of the table of bad inputs), made here in memory."""

import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError, ImageError

HEIGHT, WIDTH = 120, 160


def picture():
    """Give a smooth picture, so that lossy formats keep it recognisable."""
    small = np.random.default_rng(7).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def encode(image, name, **options):
    file = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(file, name, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *extra, bits=8, colour=0, pixels=b"\0"):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + body


def refusal(data, source="photo.bin", **config):
    with pytest.raises(ImageError) as caught:
        decode_image(data, source, DataConfig(**config))
    assert str(caught.value).startswith(source)
    return str(caught.value)


def test_row_1_a_jpeg_cut_in_half_is_refused_with_its_rows():
    data = encode(picture(), "JPEG")
    message = refusal(data[: len(data) // 2], "a.jpg")
    rows = int(message.split("truncated, ")[1].split(" of ")[0])
    assert 0 < rows < HEIGHT
    assert f"of {HEIGHT} rows" in message


def test_row_1_a_progressive_jpeg_cut_in_half_is_refused():
    data = encode(picture(), "JPEG", progressive=True)
    assert "truncated" in refusal(data[: len(data) // 2], accept_truncated_tail=True)


@pytest.mark.parametrize("missing", [1, 2, 8])
def test_row_2_a_jpeg_without_its_last_bytes_needs_permission(missing):
    data = encode(picture(), "JPEG")
    assert "data.accept_truncated_tail" in refusal(data[:-missing])
    config = DataConfig(accept_truncated_tail=True)
    image, codes = decode_image(data[:-missing], "a.jpg", config)
    assert codes == ("truncated-tail",)
    whole, _ = decode_image(data, "a.jpg")
    assert np.array_equal(image[: HEIGHT - 32], whole[: HEIGHT - 32])


def test_row_2_half_a_jpeg_is_no_tail():
    data = encode(picture(), "JPEG")
    assert "truncated" in refusal(data[: len(data) // 2], accept_truncated_tail=True)


def test_row_3_a_png_cut_short_is_refused():
    data = encode(picture(), "PNG")
    assert "truncated" in refusal(data[: len(data) // 2])


@pytest.mark.parametrize("place", ["header", "pixels", "checksum"])
def test_row_3_a_png_with_a_wrong_checksum_is_refused(place):
    data = bytearray(encode(picture(), "PNG"))
    index = {"header": 24, "pixels": len(data) // 2, "checksum": len(data) - 14}[place]
    data[index] ^= 1
    assert "damaged" in refusal(bytes(data)) or "header claims" in refusal(bytes(data))


def test_row_4_a_flipped_bit_gives_a_picture_or_a_refusal_and_nothing_else():
    data = encode(picture(), "JPEG")
    seen = set()
    for index in np.random.default_rng(4).integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[index] ^= 0x10
        try:
            image, _ = decode_image(bytes(damaged), "a.jpg", DataConfig(max_pixels=10**6))
            seen.add(image.dtype.name)
        except ImageError:
            seen.add("refused")
    assert "uint8" in seen
    assert seen <= {"uint8", "refused"}


def test_row_5_an_empty_file_is_refused():
    assert "empty file" in refusal(b"")


@pytest.mark.parametrize("start", [b"<html>", b"name,age\n", b"\0" * 100, b"RIFF\0\0\0\0WAVE"])
def test_row_6_what_is_no_image_is_refused_with_its_first_bytes(start):
    assert "starts with" in refusal(start, "a.jpg")


def test_row_7_the_content_decides_and_a_wrong_suffix_warns():
    image, codes = decode_image(encode(picture(), "PNG"), "a.jpg")
    assert np.array_equal(image, picture())
    assert codes == ("suffix",)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_row_8_sixteen_bits_need_a_declared_range(suffix):
    done, data = cv2.imencode(suffix, picture()[..., ::-1].astype(np.uint16) * 16)
    assert done
    assert "data.value_range" in refusal(data.tobytes())
    image, _ = decode_image(data.tobytes(), "a.png", DataConfig(value_range=(0, 255 * 16)))
    assert np.array_equal(image, picture())


def test_row_8_a_range_that_runs_backwards_is_refused():
    from segcore.errors import ConfigError

    data = encode(picture()[..., 0].astype(np.uint16), "PNG")
    with pytest.raises(ConfigError, match="value_range"):
        decode_image(data, "a.png", DataConfig(value_range=(9, 3)))


@pytest.mark.parametrize(
    ("name", "level", "code"),
    [
        ("PNG", 255, "alpha"),
        ("TIFF", 255, "alpha"),
        ("PNG", 128, "transparent"),
        ("TIFF", 128, "transparent"),
        ("WebP", 128, "transparent"),  # WebP stores no alpha that is opaque
    ],
)
def test_row_9_alpha_is_dropped_with_a_warning(name, level, code):
    alpha = np.full((HEIGHT, WIDTH), level, np.uint8)
    options = {"lossless": True, "exact": True} if name == "WebP" else {}
    image, codes = decode_image(encode(np.dstack([picture(), alpha]), name, **options), "a")
    assert np.array_equal(image, picture())
    assert codes == (code,)


def test_row_9_grey_with_alpha_stays_grey():
    data = encode(Image.fromarray(picture()[..., 0]).convert("LA"), "PNG")
    image, codes = decode_image(data, "a.png", DataConfig(channels=1))
    assert np.array_equal(image[..., 0], picture()[..., 0])
    assert codes == ("alpha",)


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_row_10_cmyk_becomes_rgb_with_a_warning(name):
    image, codes = decode_image(encode(Image.fromarray(picture()).convert("CMYK"), name), "a")
    assert np.abs(image.astype(int) - picture()).mean() < 4
    assert codes == ("cmyk",)


def test_row_11_grey_is_expanded_where_colour_is_expected():
    image, _ = decode_image(encode(picture()[..., 0], "PNG"), "a.png")
    assert np.array_equal(image, np.dstack([picture()[..., 0]] * 3))


def test_row_11_colour_is_refused_where_grey_is_expected():
    assert "data.channels" in refusal(encode(picture(), "JPEG"), channels=1)


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF"])
def test_row_12_a_palette_image_becomes_its_colours(name):
    palette = Image.fromarray(picture()).quantize(32)
    image, _ = decode_image(encode(palette, name), "a")
    assert np.array_equal(image, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WebP"])
def test_row_13_exif_orientation_is_applied(name, orientation):
    upright, stored = picture(), picture()
    stored = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, 1),
        7: np.rot90(stored, 2).swapaxes(0, 1),
        8: np.rot90(stored, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WebP": {"lossless": True}}
    data = encode(np.ascontiguousarray(stored), name, exif=exif, **options.get(name, {}))
    image, _ = decode_image(data, "a")
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() < 12  # JPEG at quality 100 is not lossless


def test_row_13_a_square_that_was_turned_warns():
    exif = Image.Exif()
    exif[0x112] = 6
    _, codes = decode_image(encode(picture()[:, :HEIGHT].copy(), "PNG", exif=exif), "a.png")
    assert codes == ("rotated-square",)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WebP", "TIFF"])
def test_row_14_animations_and_stacks_need_permission(name):
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())]
    data = encode(frames[0], name, save_all=True, append_images=frames[1:])
    assert "data.first_frame" in refusal(data)
    image, _ = decode_image(data, "a", DataConfig(first_frame=True))
    assert np.abs(image.astype(int) - picture()).mean() < 12  # GIF has 256 colours


def test_row_14_a_phone_photo_with_a_second_view_is_a_photo():
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())]
    image, codes = decode_image(
        encode(frames[0], "MPO", save_all=True, append_images=frames[1:]), "a.jpg"
    )
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert codes == ()


def test_row_15_nan_and_infinity_are_refused_with_their_count():
    values = picture()[..., 0].astype(np.float32)
    values[0, :3] = np.nan
    values[1, 0] = np.inf
    data = encode(values, "TIFF")
    assert "4 values are NaN or infinite" in refusal(data, value_range=(0.0, 255.0))


def test_row_15_finite_floats_are_scaled_from_the_declared_range():
    data = encode(picture()[..., 0].astype(np.float32) / 255, "TIFF")
    image, _ = decode_image(data, "a.tiff", DataConfig(value_range=(0.0, 1.0), channels=1))
    assert np.array_equal(image[..., 0], picture()[..., 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "BMP", "TIFF"])
def test_row_16_tiny_images_are_read(name, size):
    image, _ = decode_image(encode(picture()[: size[0], : size[1]].copy(), name), "a")
    assert image.shape == (*size, 3)


@pytest.mark.parametrize(
    "data",
    [
        png(0, 5),
        png(5, 0),
        png(2**31, 5),
        b"BM" + b"\0" * 12 + struct.pack("<IiiHHI", 40, -5, 5, 1, 24, 0) + b"\0" * 60,
        b"BM" + b"\0" * 12 + struct.pack("<IiiHHI", 40, 5, 0, 1, 24, 0) + b"\0" * 60,
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\x05\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0\xff\xd9",
        b"GIF89a\0\0\5\0" + b"\0" * 20,
    ],
    ids=["no width", "no height", "2^31", "negative", "bmp of 0 rows", "jpeg of 0 rows", "gif"],
)
def test_row_17_impossible_sizes_are_refused_from_the_header(data):
    assert "the header claims" in refusal(data, max_pixels=2**62)


BOMBS = {
    "PNG": lambda: png(30000, 30000, pixels=bytes(10**8)),
    "BMP": lambda: b"BM" + b"\0" * 12 + struct.pack("<IiiHHI", 40, 30000, 30000, 1, 24, 0),
    "JPEG": lambda: (
        b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0"
    ),
    "WebP": lambda: b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (29999).to_bytes(3, "little") * 2,
    "GIF": lambda: b"GIF89a" + struct.pack("<HH", 30000, 30000) + b"\0" * 20,
    "TIFF": lambda: (
        b"II*\0\x08\0\0\0\2\0"
        + struct.pack("<HHII", 256, 4, 1, 30000)
        + struct.pack("<HHII", 257, 4, 1, 30000)
        + b"\0" * 4
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_row_18_a_bomb_is_refused_by_its_header(name):
    assert "data.max_pixels=" in refusal(BOMBS[name](), first_frame=True)


PEAK = """
def peak_kib():  # ru_maxrss would begin with the peak of the process that started this one
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def test_row_18_refusing_a_bomb_takes_less_than_50_megabytes(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(BOMBS["PNG"]())
    code = """
import sys
from segcore.data.decode import decode_image
from segcore.errors import ImageError
data = open(sys.argv[1], "rb").read()
before = peak_kib()
try:
    decode_image(data, "bomb.png")
except ImageError:
    print((peak_kib() - before) // 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", PEAK + code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 50


def test_row_19_the_limit_can_be_raised_for_a_large_tile():
    data = encode(picture(), "PNG")
    assert "data.max_pixels=100" in refusal(data, max_pixels=100)
    image, _ = decode_image(data, "a.png", DataConfig(max_pixels=HEIGHT * WIDTH))
    assert image.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("colour", [0, 4], ids=["opencv", "pillow"])
@pytest.mark.parametrize("kind", ["zTXt", "iCCP"])
def test_row_20_metadata_is_not_inflated(kind, colour, tmp_path):
    packed = zlib.compress(bytes(10**8), 1)
    data = b"comment\0\0" + packed
    pixels = b"\0" * ((1 if colour == 0 else 2) + 1)
    path = tmp_path / "bomb.png"
    path.write_bytes(png(1, 1, chunk(kind.encode(), data), colour=colour, pixels=pixels))
    code = """
import sys
import cv2, PIL.PngImagePlugin
from segcore.data.decode import decode_image
from segcore.errors import ImageError
data = open(sys.argv[1], "rb").read()
before = peak_kib()
try:
    decode_image(data, "bomb.png")
except ImageError:
    pass
print((peak_kib() - before) // 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", PEAK + code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 50


@pytest.mark.parametrize(
    "start", [b"<svg ", b"%!PS-Adobe-3.0 EPSF-3.0", b"%PDF-1.7", b"#?RADIANCE"]
)
def test_row_21_other_formats_are_refused(start):
    assert "JPEG, PNG, BMP, TIFF or WebP" in refusal(start + b"\n" * 40, "a.png")


def write_dataset(root):
    for folder in ("images", "annotations"):
        (root / folder).mkdir()
    (root / "images/a.png").write_bytes(encode(picture(), "PNG"))
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    (root / "annotations/a.png").write_bytes(encode(label, "PNG"))
    (root / "train.txt").write_text("images/a.png annotations/a.png\n")
    return SegDataset(root, "train", DataConfig(num_classes=2))


def test_row_22_an_image_that_changed_since_opening_is_refused(tmp_path):
    dataset = write_dataset(tmp_path)
    (tmp_path / "images/a.png").write_bytes(encode(picture()[:50].copy(), "PNG"))
    with pytest.raises(DataError, match=r"images/a\.png: changed .* \(train\.txt, line 1\)"):
        dataset.load(0)


def test_row_49_a_file_that_vanished_is_refused_with_the_reason(tmp_path):
    dataset = write_dataset(tmp_path)
    (tmp_path / "images/a.png").unlink()
    with pytest.raises(DataError, match=r"images/a\.png: cannot be read \(No such file"):
        dataset.load(0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_row_49_a_file_that_became_unreadable_is_refused(tmp_path):
    dataset = write_dataset(tmp_path)
    (tmp_path / "images/a.png").chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        dataset.load(0)
