import io

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image, orient, preview_image
from segcore.data.header import read_header
from segcore.data.label import decode_label
from segcore.data.tally import WARNINGS, Tally
from segcore.errors import ImageError, LabelError


def picture(height=45, width=61):
    small = np.random.default_rng(3).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def encode(image, name, **options):
    file = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(file, name, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 60}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_blocks": 2}],
)
def test_jpeg_pixels_are_exactly_those_of_opencv(options):
    data = encode(picture(), "JPEG", **options)
    image, codes = decode_image(data, "a.jpg")
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.tobytes() == expected.tobytes()
    assert codes == ()


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_their_pixels(name):
    image, _ = decode_image(encode(picture(), name), "a")
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.tobytes() == picture().tobytes()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_gives_its_pixels(compression):
    image, _ = decode_image(encode(picture(), "TIFF", compression=compression), "a.tif")
    assert np.array_equal(image, picture())


def test_lossless_webp_gives_its_pixels():
    image, _ = decode_image(encode(picture(), "WebP", lossless=True), "a.webp")
    assert np.array_equal(image, picture())


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "TIFF", "WebP", "GIF"])
def test_the_header_knows_format_and_size(name):
    header = read_header(encode(picture(), name), "a")
    assert (header.format, header.width, header.height) == (name, 61, 45)
    assert header.is_complete


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_images_of_few_bits_can_be_read_as_grey_or_colour(mode):
    data = encode(Image.fromarray(picture()).convert("L").convert(mode), "PNG")
    assert decode_image(data, "a.png")[0].shape == (45, 61, 3)
    if mode != "P":
        assert decode_image(data, "a.png", DataConfig(channels=1))[0].shape == (45, 61, 1)


def test_bytes_after_a_jpeg_are_no_damage():
    data = encode(picture(), "JPEG")
    image, codes = decode_image(data + b"\0" * 5000, "a.jpg")
    assert np.array_equal(image, decode_image(data, "a.jpg")[0])
    assert codes == ()


def test_an_end_mark_inside_a_thumbnail_does_not_complete_a_jpeg():
    exif = b"Exif\0\0" + encode(picture(8, 8), "JPEG")
    data = encode(picture(), "JPEG", exif=exif)
    with pytest.raises(ImageError, match="truncated"):
        decode_image(data[: len(data) * 9 // 10], "a.jpg")


def without_end_of_data(data, share):
    """Cut the data of a JPEG, and leave the mark of its end."""
    start = data.index(b"\xff\xda")
    start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return data[: start + int((len(data) - 2 - start) * share)] + b"\xff\xd9"


@pytest.mark.parametrize("share", [0, 0.4, 0.8])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("read", [decode_image, preview_image])
def test_an_end_mark_after_half_of_the_data_does_not_complete_a_jpeg(share, options, read):
    data = without_end_of_data(encode(picture(300, 320), "JPEG", **options), share)
    with pytest.raises(ImageError, match=r"data ends after \d+ of 300 rows"):
        read(data, "a.jpg")


@pytest.mark.parametrize("read", [decode_image, preview_image])
def test_an_end_mark_after_half_of_the_inks_does_not_complete_a_jpeg(read):
    inks = encode(Image.fromarray(picture(300, 320)).convert("CMYK"), "JPEG")
    with pytest.raises(ImageError, match=r"data ends after \d+ of 300 rows"):
        read(without_end_of_data(inks, 0.5), "a.jpg")


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize("part", [0, -1])
def test_a_jpeg_inside_a_tiff_that_ends_early_is_damaged(tile, part):
    file = io.BytesIO()
    options = {"rowsperstrip": 64} if tile is None else {"tile": tile}
    tifffile.imwrite(file, picture(256, 256), compression="jpeg", photometric="rgb", **options)
    file.seek(0)
    page = tifffile.TiffFile(file).pages[0]
    counts = list(page.databytecounts)
    counts[part] //= 2
    page.tags["StripByteCounts" if tile is None else "TileByteCounts"].overwrite(counts)
    with pytest.raises(ImageError, match="a JPEG whose data ends early"):
        decode_image(file.getvalue(), "a.tif")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("grey", [slice(-40, None), slice(None)])
def test_a_jpeg_that_is_as_grey_as_missing_data_is_read(mode, options, grey):
    image = picture(300, 320)
    image[grey] = 128
    data = encode(Image.fromarray(image).convert(mode), "JPEG", **options)
    assert (decode_image(data, "a.jpg")[0][-1] == 128).all()
    assert preview_image(data, "a.jpg")[1] == (300, 320)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orienting_twice_or_back_gives_the_image(orientation):
    back = {6: 8, 8: 6}.get(orientation, orientation)
    assert np.array_equal(orient(orient(picture(), orientation), back), picture())


FILES = {
    "jpeg": encode(picture(), "JPEG"),
    "progressive": encode(picture(), "JPEG", progressive=True),
    "png": encode(picture(), "PNG"),
    "palette": encode(Image.fromarray(picture()).quantize(9), "PNG", transparency=0),
    "bmp": encode(Image.fromarray(picture()).quantize(9), "BMP"),
    "tiff": encode(picture(), "TIFF", compression="tiff_lzw"),
    "webp": encode(picture(), "WebP"),
    "gif": encode(picture(), "GIF"),
    "deep": encode(picture()[..., 0].astype(np.uint16), "TIFF"),
}

CONFIG = DataConfig(
    first_frame=True, value_range=(0, 255), accept_truncated_tail=True, max_pixels=10**5
)


def check_damaged(name, changes, keep):
    data = bytearray(FILES[name])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    data = bytes(data[: int(keep * len(data))])
    try:
        image, codes = decode_image(data, "a.bin", CONFIG)
        assert image.dtype == np.uint8
        assert image.shape[0] * image.shape[1] <= CONFIG.max_pixels
        assert set(codes) <= set(WARNINGS)
    except ImageError as error:
        assert str(error).startswith("a.bin: ")  # noqa: PT017 - either outcome is right
    try:
        assert decode_label(data, "a.bin", 10**5).ndim == 2
    except LabelError as error:
        assert str(error).startswith("a.bin: ")  # noqa: PT017 - either outcome is right


damage = given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0.2, 1) | st.just(1.0),
)
fuzz = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@settings(fuzz, max_examples=150)
@damage
def test_damaged_files_give_pixels_or_one_named_refusal(name, changes, keep):
    check_damaged(name, changes, keep)


@pytest.mark.slow
@settings(fuzz, max_examples=2000)
@damage
def test_many_damaged_files_give_pixels_or_one_named_refusal(name, changes, keep):
    check_damaged(name, changes, keep)


def test_warnings_are_counted_by_code_with_the_first_file():
    tally = Tally()
    tally.add(("alpha", "suffix"), "a.png")
    tally.add(("alpha",), "b.png")
    assert tally.counts == {"alpha": 2, "suffix": 1}
    assert tally.lines()[0].startswith("2 images: have an alpha channel")
    assert tally.lines()[0].endswith("(first: a.png)")


def test_decoding_imports_no_paddle():
    import subprocess
    import sys

    code = "import sys, segcore.data.segdataset; sys.exit('paddle' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
