"""TIFF files that are odd, damaged or hostile: read as what they are, or refused with a reason."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.decode import check_image, decode_image
from segcore.data.label import decode_label
from segcore.data.tiff import decode_tiff
from segcore.errors import ImageError, LabelError
from tests.campaigns import image_bombs
from tests.campaigns.image_bombs import SIDE, tiff
from tests.campaigns.images import Tiff, write_tiff

CLASSES = np.random.default_rng(1).integers(0, 5, (SIDE, SIDE), dtype=np.uint8)
PHOTO = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def written(*pages, **options):
    """Write arrays with tifffile, each a page, with `options` for each."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            array, more = page if isinstance(page, tuple) else (page, {})
            kind = "rgb" if array.ndim == 3 else "minisblack"
            writer.write(array, **{"photometric": kind, "metadata": None, **options, **more})
    return file.getvalue()


def refusal(data, **config):
    with pytest.raises(ImageError) as caught:
        decode_image(data, "a.tif", DataConfig(**config))
    assert str(caught.value).startswith("a.tif: ")
    return str(caught.value)


UNREADABLE = {
    "CIELab": (written(PHOTO, photometric="cielab"), "CIELab"),
    "a sensor": (written(CLASSES, photometric="cfa"), "mosaic of a sensor"),
    "complex": (written(CLASSES.astype(np.complex64)), "complex"),
    "17 bits": (tiff(bytes(SIDE * SIDE * 4), t258=[17]), "17 bits"),
    "5, 6, 5 bits": (tiff(bytes(SIDE * SIDE * 2), t258=[5, 6, 5], t277=[3]), "different types"),
    "JPEG 2000": (tiff(t259=[34712]), "JPEG 2000"),
    "old JPEG": (tiff(t259=[6]), "old-style JPEG"),
    "YCbCr": (tiff(bytes(SIDE * SIDE * 3), t262=[6], t277=[3]), "YCbCr"),
    "an order": (tiff(bytes(SIDE * SIDE * 3), t262=[2], t277=[3], t284=[7]), "unknown order"),
    "a volume": (tiff(bytes(SIDE * SIDE * 2), t32997=[2]), "volume"),
    "packed differences": (tiff(t258=[12], t259=[8], t317=[2]), "predictor 2"),
    "predictor 3 of integers": (tiff(t259=[8], t317=[3]), "predictor 3"),
    "RGB of one channel": (tiff(t262=[2]), "1 channel"),
    "a sparse file": (tiff(b""), "left out"),
    "JPEG of 3 bands": (tiff(t259=[7], t277=[3]), "JPEG compression of 3 channels"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named(name):
    data, reason = UNREADABLE[name]
    message = refusal(data)
    assert reason in message
    assert "damaged" not in message
    with pytest.raises(LabelError, match=r"^a\.tif: ") as caught:
        decode_label(data, "a.tif")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Tiff("f32", "white"), "0 is white"),
        (Tiff("i16", "white"), "0 is white"),
        (Tiff("u8", "2 bands"), "2 channels"),
        (Tiff("u16", "5 bands"), "5 channels"),
    ],
)
def test_channels_that_say_nothing_are_not_guessed(kind, reason):
    samples = kind.draw(np.random.default_rng(3))
    assert reason in refusal(write_tiff(kind, samples), value_range=kind.value_range)


def smooth_photo():
    ramp = np.add.outer(np.arange(SIDE) * 2, np.arange(SIDE))
    return np.dstack([ramp, 255 - ramp, ramp // 2]).astype(np.uint8)


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"rowsperstrip": 16}])
def test_jpeg_compression_of_rgb_gives_its_colours(options):
    data = written(smooth_photo(), compression="jpeg", **options)
    image, codes = decode_image(data, "a.tif")
    assert np.abs(image.astype(int) - smooth_photo()).max() < 9
    assert codes == ()


def test_jpeg_compression_of_ycbcr_is_what_opencv_reads_of_the_jpeg():
    done, jpeg = cv2.imencode(".jpg", smooth_photo())
    assert done
    data = tiff(jpeg.tobytes(), t259=[7], t262=[6], t277=[3], t530=[2, 2])
    expected = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decode_image(data, "a.tif")[0].astype(int) - expected).max() <= 2


def test_channels_apart_in_jpeg_compression_are_grey_pictures():
    planes = np.stack([np.full((SIDE, SIDE), level, np.uint8) for level in (10, 120, 240)])
    data = written(planes, photometric="rgb", planarconfig="separate", compression="jpeg")
    assert np.abs(decode_image(data, "a.tif")[0] - np.moveaxis(planes, 0, 2).astype(int)).max() < 3


def test_cmyk_is_what_pillow_makes_of_it():
    inks = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    image, codes = decode_image(written(inks, photometric="separated"), "a.tif")
    assert np.array_equal(image, np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")))
    assert codes == ("cmyk",)
    assert "CMYK of 16 bits" in refusal(
        written(inks.astype(np.uint16), photometric="separated"), value_range=(0, 255)
    )


@pytest.mark.parametrize("compression", ["jpeg", "lerc"])
def test_a_label_that_lost_values_is_refused(compression):
    options = {"lerc": {"compressionargs": {"level": 3.0}}}.get(compression, {})
    with pytest.raises(LabelError, match="lossy label") as caught:
        decode_label(written(CLASSES, compression=compression, **options), "a.tif")
    assert caught.value.kind == "label-lossy"


def test_overviews_are_no_frames_and_a_mask_is_told():
    half, mask = {"subfiletype": 1}, {"subfiletype": 4}
    with_overviews = written(PHOTO, (PHOTO[::2, ::2], half), (PHOTO[::4, ::4], half))
    assert decode_image(with_overviews, "a.tif")[1] == ()
    masked = written(PHOTO, (np.ones((SIDE, SIDE), bool), mask))
    image, codes = decode_image(masked, "a.tif")
    assert np.array_equal(image, PHOTO)
    assert codes == ("mask",)


@pytest.mark.parametrize(
    "data",
    [
        written(PHOTO, PHOTO[::-1]),
        written((PHOTO[::2, ::2], {"subfiletype": 1}), PHOTO),
        written(PHOTO, *[(PHOTO[::2, ::2], {"subfiletype": 1})] * 2, PHOTO),
        written(CLASSES, description="ImageJ=1.54f\nimages=7\nslices=7\n"),
    ],
    ids=["two pages", "a thumbnail first", "after overviews", "a stack of ImageJ"],
)
def test_pages_and_stacks_need_permission(data):
    assert "several frames" in refusal(data)
    with pytest.raises(LabelError, match="several frames"):
        decode_label(data, "a.tif")


@pytest.mark.parametrize("missing", [1, 100, SIDE * SIDE])
def test_a_file_that_ends_early_is_truncated(missing):
    data = written(CLASSES)[:-missing]
    with pytest.raises(ImageError, match=r"truncated|cut off"):
        check_image(data, "a.tif")
    with pytest.raises(LabelError, match=r"truncated|cut off"):
        decode_label(data, "a.tif")


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw", "packbits", "zstd", "lzma"])
def test_a_strip_of_fewer_pixels_is_damaged(compression):
    kind = Tiff("u8", compression=compression)
    short = CLASSES[: SIDE - 5, :, None]
    data = bytearray(write_tiff(kind, short))
    place = data.index(struct.pack("<HHII", 257, 4, 1, SIDE - 5))
    data[place : place + 12] = struct.pack("<HHII", 257, 4, 1, SIDE)
    assert "damaged" in refusal(bytes(data))


@pytest.mark.parametrize("parts", ["strip", "strips", "tiles"])
@pytest.mark.parametrize("layout", ["grey", "rgb", "5 bands"])
def test_no_value_is_left_to_chance(layout, parts, monkeypatch):
    """Memory that nothing is written to would show as NaN."""

    def dirty(shape, dtype):
        return np.full(shape, np.nan, dtype)

    kind = Tiff("f32", layout, is_planar=layout != "grey", parts=parts)
    samples = kind.draw(np.random.default_rng(5))
    data = write_tiff(kind, samples)
    monkeypatch.setattr("numpy.empty", dirty)
    assert np.array_equal(decode_tiff(data, "a.tif"), samples)


def test_bombs_take_less_than_50_megabytes(tmp_path):
    paths = []
    for number, (name, make) in enumerate(image_bombs.BOMBS.items()):
        if name != "a WebP of 16,000 x 16,000 in a small frame":  # Pillow before 12 reads it
            paths.append(tmp_path / str(number))
            paths[-1].write_bytes(make())
    memory, _, said = image_bombs.measure(*paths)
    assert len(said) == 2 * len(paths)
    assert memory < image_bombs.LIMIT_MB


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw"])
def test_rows_beyond_the_last_strip_are_passed_over(compression):
    """Some writers fill the last strip up."""
    kind = Tiff("u8", compression=compression)
    samples = CLASSES[..., None]
    data = bytearray(write_tiff(kind, samples))
    place = data.index(struct.pack("<HHII", 257, 4, 1, SIDE))
    data[place : place + 12] = struct.pack("<HHII", 257, 4, 1, SIDE - 5)
    assert np.array_equal(decode_label(bytes(data), "a.tif"), CLASSES[: SIDE - 5])


def test_an_offset_of_64_bits_is_no_traceback():
    data = bytearray(write_tiff(Tiff(is_big=True), CLASSES[..., None]))
    data[8:16] = struct.pack("<Q", 2**64 - 1)
    assert "cut off or damaged" in refusal(bytes(data))


def test_damaged_lzw_data_ends_no_process():
    """Imagecodecs 2026.3 crashes on every thousandth of these."""
    kind = Tiff("u16", "rgb", is_planar=True, parts="tiles", compression="lzw")
    data = write_tiff(kind, kind.draw(np.random.default_rng(6)))
    rng = np.random.default_rng(7)
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(500, len(data), 3):
            damaged[place] = rng.integers(256)
        try:
            image, _ = decode_image(bytes(damaged), "a.tif", DataConfig(value_range=(0, 65535)))
            assert image.shape == (29, 37, 3)
        except ImageError as error:
            assert str(error).startswith("a.tif: ")  # noqa: PT017 - either outcome is right
