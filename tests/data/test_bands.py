"""Images of other channels than grey and RGB: TIFF, NPY, and alpha where it is declared."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.decode import check_image, decode_image
from segcore.data.label import decode_label
from segcore.errors import ImageError, LabelError, PackageMissingError
from tests.campaigns import images


def encode(image, name, **options):
    file = BytesIO()
    Image.fromarray(image).save(file, name, **options)
    return file.getvalue()


def bands(count, dtype=np.uint8, height=45, width=61):
    values = np.random.default_rng(count).integers(0, 255, (height, width, count))
    return values.astype(dtype)


def as_npy(array):
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def as_tiff(array, **options):
    buffer = BytesIO()
    options = {"planarconfig": "contig", **options}
    tifffile.imwrite(buffer, array, photometric="minisblack", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("count", [2, 4, 5, 7])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_tiff_files_of_many_channels_come_as_they_are(count, planes):
    array = bands(count)
    stored = array if planes == "contig" else np.moveaxis(array, -1, 0)
    data = as_tiff(stored, planarconfig=planes, compression="zlib")
    image, codes = decode_image(data, "a.tif", DataConfig(channels=count))
    assert np.array_equal(image, array)
    assert codes == ()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("order", "CF")
def test_npy_files_come_as_they_are(count, order):
    array = bands(count)
    data = as_npy(np.asarray(array, order=order))
    image, codes = decode_image(data, "a.npy", DataConfig(channels=count))
    assert np.array_equal(image, array)
    assert codes == ()


def test_a_grey_npy_file_of_two_axes_becomes_grey_or_rgb():
    array = bands(1)
    data = as_npy(array[..., 0])
    assert np.array_equal(decode_image(data, "a.npy", DataConfig(channels=1))[0], array)
    assert np.array_equal(decode_image(data, "a.npy")[0], array.repeat(3, axis=2))


@pytest.mark.parametrize("dtype", [">u2", "<i4", "<f8"])
@pytest.mark.parametrize("write", [as_npy, as_tiff])
def test_deep_channels_are_scaled_from_the_declared_range(dtype, write):
    array = bands(5)
    data = write((array * 100.0).astype(dtype))
    config = DataConfig(channels=5, value_range=(0, 25500))
    assert np.array_equal(decode_image(data, "a.x", config)[0], array)
    with pytest.raises(ImageError, match=r"data\.value_range"):
        decode_image(data, "a.x", DataConfig(channels=5))


@pytest.mark.parametrize("name", ["PNG", "WebP"])
def test_alpha_is_a_fourth_channel_only_where_four_are_declared(name):
    array = bands(4)
    array[..., 3] = 200
    data = encode(array, name, **({"lossless": True} if name == "WebP" else {}))
    four, codes = decode_image(data, f"a.{name}", DataConfig(channels=4))
    assert np.array_equal(four, array)
    assert codes == ()
    three, codes = decode_image(data, f"a.{name}")
    assert np.array_equal(three, array[..., :3])
    assert codes == ("transparent",)


def test_grey_with_alpha_are_two_channels():
    array = bands(2)
    buffer = BytesIO()
    grey, alpha = (Image.fromarray(array[..., i]) for i in (0, 1))
    Image.merge("LA", (grey, alpha)).save(buffer, "PNG")
    data = buffer.getvalue()
    assert np.array_equal(decode_image(data, "a.png", DataConfig(channels=2))[0], array)


@pytest.mark.parametrize(
    ("data", "channels", "found"),
    [
        (encode(bands(3), "PNG"), 4, "3 channels"),
        (encode(bands(3), "JPEG"), 4, "3 channels"),
        (as_tiff(bands(7)), 3, "7 channels"),
        (as_tiff(bands(7)), 4, "7 channels"),
        (as_npy(bands(4)), 3, "4 channels"),
        (as_npy(bands(1)), 2, "1 channel,"),
    ],
)
def test_channels_are_never_made_up_or_dropped(data, channels, found):
    with pytest.raises(ImageError, match=rf"{found}.*data\.channels is {channels}"):
        decode_image(data, "a.x", DataConfig(channels=channels))


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array([["text"]]), "values of type '<U4'"),
        (np.ones((3, 3), bool), r"values of type '\|b1'"),
        (np.ones((3, 3), complex), "values of type '<c16'"),
        (np.zeros((3, 3), [("x", "u1")]), r"values of type \[\('x', '\|u1'\)\]"),
        (np.ones(9), r"shape \(9,\)"),
        (np.ones((0, 3), np.uint8), r"shape \(0, 3\)"),
        (np.ones((3, 3, 3, 3), np.uint8), r"shape \(3, 3, 3, 3\)"),
    ],
)
def test_npy_files_that_are_no_images_are_refused_for_what_they_are(array, what):
    with pytest.raises(ImageError, match=rf"^a\.npy: an NPY file with .*{what}"):
        decode_image(as_npy(array), "a.npy")


def test_npy_files_of_pickles_are_refused_unread():
    buffer = BytesIO()
    np.save(buffer, np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(ImageError, match=r"^a\.npy: an NPY file with values of type '\|O'"):
        decode_image(buffer.getvalue(), "a.npy")


def test_an_npy_file_that_ends_early_is_truncated():
    with pytest.raises(ImageError, match="truncated"):
        decode_image(as_npy(bands(3))[:-1], "a.npy")


def test_an_array_is_no_label():
    with pytest.raises(LabelError, match="NPY"):
        decode_label(as_npy(bands(1)[..., 0]), "a.npy")


def test_checking_the_header_of_an_array_gives_its_size():
    assert check_image(as_npy(bands(6)), "a.npy", DataConfig(channels=6)) == (45, 61)


# written by hand: before 2026 imagecodecs reads samples of 4 bits, and does not write them
PACKED = images.Tiff("u4", "5 bands")


@pytest.mark.parametrize(
    "data",
    [
        as_tiff(bands(5), compression="lzma"),
        as_tiff(bands(5), compression="zstd"),
        images.write_tiff(PACKED, PACKED.draw(np.random.default_rng(0))),
    ],
    ids=["lzma", "zstd", "4 bits"],
)
def test_what_takes_imagecodecs_says_how_to_get_it(data, monkeypatch):
    assert decode_image(data, "a.tif", DataConfig(channels=5))[0].shape[2] == 5
    monkeypatch.setattr("segcore.data.tiff.find_spec", lambda name: None)
    with pytest.raises(PackageMissingError, match=r"^a\.tif: .*segcore\[tiff\]"):
        decode_image(data, "a.tif", DataConfig(channels=5))


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_the_usual_compressions_take_no_further_package(compression, monkeypatch):
    monkeypatch.setattr("segcore.data.tiff.find_spec", lambda name: None)
    data = as_tiff(bands(5), compression=compression, predictor=compression in ("zlib", "lzw"))
    assert np.array_equal(decode_image(data, "a.tif", DataConfig(channels=5))[0], bands(5))


DAMAGED = {
    "tiff": as_tiff(bands(5), compression="zlib"),
    "planes": as_tiff(np.moveaxis(bands(5), -1, 0), planarconfig="separate"),
    "npy": as_npy(bands(5)),
}


@settings(deadline=None, database=None, max_examples=150)
@given(
    st.sampled_from(sorted(DAMAGED)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.floats(0.1, 1) | st.just(1.0),
)
def test_damaged_files_give_pixels_or_one_named_refusal(name, changes, keep):
    data = bytearray(DAMAGED[name])
    for place, value in changes:
        data[place] = value
    config = DataConfig(channels=5, max_pixels=10**5, value_range=(0, 255))
    try:
        image, _ = decode_image(bytes(data[: int(keep * len(data))]), "a.bin", config)
        assert image.dtype == np.uint8
        assert image.shape[2] == 5
        assert image.shape[0] * image.shape[1] <= config.max_pixels
    except ImageError as error:
        assert str(error).startswith("a.bin: ")  # noqa: PT017 - either outcome is right
