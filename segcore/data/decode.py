"""Decode images: the one place where bytes become pictures.

The header decides first (`segcore.data.header`): format, size limit, depth, frames, completeness.
PNG, TIFF and NPY files are read as stored (`segcore.data.samples`) and made pictures here; ordinary
JPEG comes from OpenCV, which is 1.2 to 3 times as fast as Pillow and gives the same values, and
everything else from Pillow. OpenCV pads truncated JPEG files in silence, also those that have their
end mark again, so their completeness is checked here.

Grey and RGB are what images are brought to; alpha is dropped, and the colours stay as stored. Any
other number of channels is never made up: the file must hold exactly as many, alpha included, as
the configuration declares.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.header import COLOURS, Header, read_header
from segcore.data.samples import STORED, decode_samples, describe, unreadable
from segcore.errors import ConfigError, ImageError, SegcoreError
from segcore.warned import warned

__all__ = ["check_image", "decode_image", "orient", "preview_image", "with_pillow"]

_Result = TypeVar("_Result")

_SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".png": "PNG", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP", ".gif": "GIF", ".npy": "NPY",
}  # fmt: skip
# One MCU is at most 16 rows; a decoder that waits for more bytes holds back one row of them,
# and the row before it while it upsamples the colours.
_TAIL_ROWS = 32
_MISSING = 128  # what libjpeg fills up with where the data ends before the picture does
_PREVIEW_SIDE = 256  # smaller images are decoded whole
_CONVERTED = (1, 3)  # channels that images are brought to, whatever they have; others must be there
_MAX_BYTES_A_PIXEL = 8  # on average over data.max_pixels: RGBA of 16 bits
_SCALED_VALUES = 2**20  # at a time


def decode_image(
    data: bytes, source: str, config: DataConfig | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode `data`, the content of an image file, upright.

    Gives the image (H, W, C) uint8 (C is `config.channels`: 3 is RGB, 1 is grey, and others are in
    the order of the file) and the codes of the warnings (see `segcore.data.tally.WARNINGS`).
    `source` names the file in messages. Images deeper than 8 bits are scaled from
    `config.value_range` to 0..255. Raises ImageError, and PackageMissingError for TIFF files of
    unusual compressions without the package that reads them.
    """
    config = config or DataConfig()
    header = read_header(data, source)
    _check_header(header, source, config)
    codes = _judge_suffix(header, source)
    if header.format in STORED:
        image, more = _decode_stored(data, header, source, config)
    elif _is_ordinary_jpeg(header):
        image, more = _decode_jpeg(data, header, source, config)
    else:
        image, more = _decode_other(data, header, source, config)
    codes += more
    image = _fit_channels(image, header, source, config.channels)
    if header.orientation != 1:
        image = orient(image, header.orientation)
        if image.shape[0] == image.shape[1]:
            codes.append("rotated-square")
    return image, tuple(codes)


def check_image(data: bytes, source: str, config: DataConfig | None = None) -> tuple[int, int]:
    """Give (H, W) of the upright image without decoding it. Raises ImageError as far as seen.

    What only a decoder notices, damage inside the picture, is left to it.
    """
    config = config or DataConfig()
    header = read_header(data, source)
    _check_header(header, source, config)
    if not header.is_complete:
        decode_image(data, source, config)  # knows how much is missing, and how much may be
    if header.orientation >= 5:  # a quarter turn
        return header.width, header.height
    return header.height, header.width


def preview_image(
    data: bytes, source: str, config: DataConfig | None = None
) -> tuple[np.ndarray, tuple[int, int], tuple[str, ...]]:
    """Decode an image to a small grey picture, to compare it with others.

    Gives the picture (h, w) uint8, upright and no larger than the image, the size (H, W) of the
    upright image, and the codes of the warnings. Raises what `decode_image` raises.
    """
    import cv2

    config = config or DataConfig()
    header = read_header(data, source)
    is_quick = (
        _is_ordinary_jpeg(header)
        and header.is_complete
        and config.channels == 3
        and min(header.width, header.height) >= _PREVIEW_SIDE
    )
    if not is_quick:
        image, found = decode_image(data, source, config)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[..., 0]
        return np.ascontiguousarray(grey), (image.shape[0], image.shape[1]), found
    _check_header(header, source, config)
    codes = _judge_suffix(header, source)
    # JPEG gives an eighth of each side for a third of the work
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
    reduced = Header("JPEG", -(-header.width // 8), -(-header.height // 8))
    grey = _imdecode(data, flags, reduced, source)
    if _may_be_missing(grey):
        _check_end(data, header, source)
    grey = orient(grey, header.orientation)
    height, width = header.height, header.width
    if header.orientation >= 5:  # a quarter turn
        height, width = width, height
    if header.orientation != 1 and height == width:
        codes.append("rotated-square")
    return grey, (height, width), tuple(codes)


def _judge_suffix(header: Header, source: str) -> list[str]:
    named = _SUFFIXES.get(PurePath(source).suffix.lower(), header.format)
    return [] if named == header.format else ["suffix"]


def _check_header(header: Header, source: str, config: DataConfig) -> None:
    pixels = header.width * header.height
    if pixels > config.max_pixels:
        raise ImageError(
            f"{source}: {header.width} x {header.height} are {pixels} pixels, more than "
            f"data.max_pixels={config.max_pixels}. Tile the image or raise data.max_pixels.",
            kind="too-large",
        )
    weight = pixels * _count_bands(header) * -(-header.bits // 8)
    if weight > _MAX_BYTES_A_PIXEL * config.max_pixels:
        raise ImageError(
            f"{source}: {header.width} x {header.height} pixels take {weight} bytes, more than "
            f"{_MAX_BYTES_A_PIXEL} times data.max_pixels={config.max_pixels}. Tile the image or "
            "raise data.max_pixels.",
            kind="too-large",
        )
    if (header.has_more_frames or header.format == "GIF") and not config.first_frame:
        what = "GIF is not read" if header.format == "GIF" else "the file holds several frames"
        raise ImageError(
            f"{source}: {what}. Convert it to PNG or set data.first_frame=true to use the first "
            "frame.",
            kind="frames",
        )
    if header.unreadable:
        raise unreadable(header, source, header.unreadable)
    _check_channels(header, source, config)
    if not header.is_complete and header.format != "JPEG":
        raise ImageError(
            f"{source}: truncated, the {header.format} file ends before its {header.height} rows "
            "do. Restore the file.",
            kind="truncated",
        )


def _check_channels(header: Header, source: str, config: DataConfig) -> None:
    bands = _count_bands(header)
    if config.channels not in _CONVERTED:
        is_wrong = bands != config.channels
    elif header.format in STORED:
        is_wrong = header.layout == "other"
    else:
        is_wrong = False
    if is_wrong and bands == config.channels:
        raise ImageError(
            f"{source}: {header.format} with {bands} channels, and what they show is unknown. Save "
            "it as grey or RGB.",
            kind="channels",
        )
    if is_wrong:
        raise ImageError(
            f"{source}: {header.format} with {bands} channel{'' if bands == 1 else 's'}, but "
            f"data.channels is {config.channels}. Set data.channels={bands}, or give images with "
            f"{config.channels}.",
            kind="channels",
        )
    if config.channels in _CONVERTED and header.layout == "cmyk" and header.bits != 8:
        raise ImageError(
            f"{source}: CMYK of {header.bits} bits has no agreed colours. Convert it to RGB.",
            kind="channels",
        )
    has_top = header.layout == "grey" and not (header.is_float or header.is_signed)
    if header.is_inverted and not has_top:
        raise ImageError(
            f"{source}: 0 is white here, of {bands} channels or of values that have no highest, so "
            "nobody can tell what is black. Save it with 0 as black.",
            kind="channels",
        )


def _count_bands(header: Header) -> int:
    """Count the channels of a file, with alpha; formats without a count have grey, RGB or RGBA."""
    if header.bands is not None:
        return header.bands
    if header.layout == "grey":
        return 1
    return 4 if header.has_alpha else 3


def _decode_stored(
    data: bytes, header: Header, source: str, config: DataConfig
) -> tuple[np.ndarray, list[str]]:
    """Make a picture of the samples of a file: (H, W, C) uint8, of the channels that it has."""
    samples = decode_samples(data, header, source)
    if samples.shape[2] != _count_bands(header):
        raise ImageError(
            f"{source}: {samples.shape[2]} channels are stored where the header says "
            f"{_count_bands(header)}. Restore the file.",
            kind="damaged",
        )
    codes: list[str] = []
    if config.channels in _CONVERTED:
        if header.has_alpha:
            codes.append(_judge_alpha(samples, header))
        samples = samples[..., : COLOURS[header.layout]]
        if header.layout == "palette":
            return _look_up(samples[..., 0], header, source), codes
        if header.layout == "cmyk":
            return _mix_inks(samples), [*codes, "cmyk"]
    if header.is_inverted:  # alpha, the channel beside the grey, is not
        top = samples.dtype.type(2**header.bits - 1)
        samples = np.concatenate([top - samples[..., :1], samples[..., 1:]], axis=2)
    if header.is_deep:
        return _scale(samples, source, config), codes
    if header.bits < 8:
        table = np.rint(np.arange(2**header.bits) * (255 / (2**header.bits - 1)))
        return table.astype(np.uint8)[samples], codes
    return samples, codes


def _judge_alpha(samples: np.ndarray, header: Header) -> str:
    """Give the warning code of what is dropped beside the colours."""
    if header.transparency:
        return "alpha" if _is_opaque_png(samples, header) else "transparent"
    if header.alpha is None:
        return "mask"
    if header.alpha == "unnamed":
        return "extra-channel"
    top = 1 if header.is_float else 2 ** (header.bits - header.is_signed) - 1
    if (samples[..., -1] == top).all():
        return "alpha"
    return "transparent" if header.alpha == "straight" else "multiplied"


def _is_opaque_png(samples: np.ndarray, header: Header) -> bool:
    """Say whether no pixel has the transparency that a tRNS chunk gives it."""
    if header.layout == "palette":
        alpha = np.frombuffer(header.transparency.ljust(256, b"\xff"), np.uint8)
        return bool((alpha[samples] == 255).all())
    length = 2 * samples.shape[2]
    key = np.frombuffer(header.transparency.ljust(length, b"\0")[:length], ">u2")
    return not (samples == key).all(axis=2).any()


def _look_up(indices: np.ndarray, header: Header, source: str) -> np.ndarray:
    palette = np.frombuffer(header.palette[: len(header.palette) // 3 * 3], np.uint8).reshape(-1, 3)
    highest = int(indices.max())
    if highest >= len(palette):
        raise ImageError(
            f"{source}: the palette has {len(palette)} colours, but a pixel has the index "
            f"{highest}. Restore the file.",
            kind="damaged",
        )
    colours: np.ndarray = palette[indices]
    return colours


def _mix_inks(samples: np.ndarray) -> np.ndarray:
    """Convert CMYK (H, W, 4) as Pillow does with that of JPEG files."""
    from PIL import Image

    return np.array(Image.fromarray(samples, "CMYK").convert("RGB"))


def _is_ordinary_jpeg(header: Header) -> bool:
    """Say whether OpenCV and Pillow are known to agree on such a file."""
    return header.format == "JPEG" and header.bits == 8 and header.layout in ("grey", "rgb")


def _decode_jpeg(
    data: bytes, header: Header, source: str, config: DataConfig
) -> tuple[np.ndarray, list[str]]:
    import cv2

    codes = []
    if not header.is_complete:
        rows = _count_rows(data)
        is_tail = rows > 0 and header.height - rows <= _TAIL_ROWS
        if not (is_tail and config.accept_truncated_tail):
            way_out = " or set data.accept_truncated_tail=true" if is_tail else ""
            raise ImageError(
                f"{source}: truncated, {rows} of {header.height} rows. Restore the file{way_out}.",
                kind="truncated",
            )
        data += b"\xff\xd9"
        codes.append("truncated-tail")
    is_grey = header.layout == "grey"
    flags = cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR
    image = _imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, header, source)
    if header.is_complete and _may_be_missing(image):
        _check_end(data, header, source)
    if not is_grey:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return image, codes


def _imdecode(data: bytes, flags: int, header: Header, source: str) -> np.ndarray:
    import cv2

    try:
        image: np.ndarray | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise ImageError(
            f"{source}: cannot be decoded ({describe(error)}).", kind="damaged"
        ) from error
    if image is None or image.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"{source}: the {header.format} data is damaged. Restore the file or remove its row.",
            kind="damaged",
        )
    return image


def _may_be_missing(image: np.ndarray) -> bool:
    """Say whether the last pixel is as where data are missing, which few others are."""
    return bool((image[-1, -1] == _MISSING).all())


def _check_end(data: bytes, header: Header, source: str) -> None:
    """Raise ImageError where rows are missing although the mark of the end is there.

    It takes a second look at the whole picture, and one at progressive files tells nothing.
    """
    if header.is_progressive:
        return
    rows = _count_rows(data[: data.rfind(b"\xff\xd9")])
    if header.height - rows > _TAIL_ROWS:
        raise ImageError(
            f"{source}: damaged, its data ends after {rows} of {header.height} rows. Restore the "
            "file.",
            kind="truncated",
        )


def _count_rows(data: bytes) -> int:
    """Count the rows of a truncated JPEG that can be decoded; 0 for most progressive files."""

    def count(image: Any) -> int:
        try:
            image.load()
        except OSError:
            image.tile = []  # what was decoded so far stays, and the rest is black
        present = np.flatnonzero(np.asarray(image).reshape(image.height, -1).any(axis=1))
        return int(present[-1]) + 1 if present.size else 0

    try:
        return with_pillow(data, "JPEG", "", count)[0]
    except ImageError:
        return 0


def with_pillow(
    data: bytes, name: str, source: str, use: Callable[[Any], _Result]
) -> tuple[_Result, bool]:
    """Open a file with the one Pillow plugin that reads format `name`, and `use` the image.

    Unlike `Image.open` this never guesses formats (nor runs Ghostscript), and leaves the pixel
    limit to us instead of a global of Pillow's. Gives the result and whether Pillow warned.
    Raises ImageError when the file turns out to be damaged.
    """
    from PIL import (
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        WebPImagePlugin,
    )
    from PIL.Image import DecompressionBombError

    plugins: dict[str, Any] = {
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
    }
    try:
        with warned() as caught:
            result = use(plugins[name](BytesIO(data)))
    except (SegcoreError, MemoryError):
        raise
    except DecompressionBombError as error:
        raise ImageError(
            f"{source}: Pillow reads no {name} of so many pixels. Convert it to PNG or tile it.",
            kind="too-large",
        ) from error
    except Exception as error:  # decoders raise whatever they like
        raise ImageError(
            f"{source}: the {name} data is damaged ({describe(error)}). "
            "Restore the file or remove its row.",
            kind="damaged",
        ) from error
    return result, bool(caught)


def _decode_other(
    data: bytes, header: Header, source: str, config: DataConfig
) -> tuple[np.ndarray, list[str]]:
    """Decode with Pillow: BMP, WebP, GIF, and JPEG of CMYK."""
    codes = []

    def convert(image: Any) -> np.ndarray:
        image.load()
        if config.channels not in _CONVERTED:
            return np.array(image.convert("RGBA"))
        if "A" in image.getbands() or "transparency" in image.info:
            is_opaque = (np.asarray(image.convert("RGBA"))[..., 3] == 255).all()
            codes.append("alpha" if is_opaque else "transparent")
        if image.mode == "CMYK":
            codes.append("cmyk")
        return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))

    pixels, has_warned = with_pillow(data, header.format, source, convert)
    if pixels.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"{source}: the {header.format} header and the picture disagree on the size. "
            "Restore the file or remove its row.",
            kind="damaged",
        )
    if header.format == "JPEG":
        _check_end(data, header, source)
    if has_warned:
        codes.append("decoder")
    return pixels, codes


def _scale(image: np.ndarray, source: str, config: DataConfig) -> np.ndarray:
    """Scale values of the declared range to 0..255; which range is meant cannot be guessed."""
    if image.dtype.kind == "f":
        bad = int(image.size - np.isfinite(image).sum())
        if bad:
            raise ImageError(
                f"{source}: {bad} values are NaN or infinite. Replace them.", kind="not-finite"
            )
    if config.value_range is None:
        low, high = image.min().item(), image.max().item()
        raise ImageError(
            f"{source}: {image.dtype} values ({low} to {high} here) have no agreed meaning. "
            f"Declare what is black and white, such as data.value_range=[0, {high}].",
            kind="deep-undeclared",
        )
    low, high = config.value_range
    if not low < high:
        raise ConfigError(f"data.value_range=[{low}, {high}]: the first must be the smaller one.")
    scaled = np.empty(image.shape, np.uint8)
    rows = max(1, _SCALED_VALUES // (image.size // image.shape[0]))
    for top in range(0, image.shape[0], rows):  # in doubles it would take eight times the room
        part = (image[top : top + rows].astype(np.float64) - low) * (255 / (high - low))
        scaled[top : top + rows] = np.rint(part.clip(0, 255))
    return scaled


def _fit_channels(image: np.ndarray, header: Header, source: str, channels: int) -> np.ndarray:
    if image.ndim == 3 and image.shape[2] == channels:
        return image
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 2:
        if channels == 1:
            return image[..., None]
        import cv2

        grey_as_rgb: np.ndarray = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        return grey_as_rgb
    if channels == 1:
        raise ImageError(
            f"{source}: a colour image ({header.format}, {header.layout}), but data.channels is 1. "
            "Set data.channels=3 or convert the images to grey.",
            kind="channels",
        )
    return image


def orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image (H, W, ...) upright as EXIF `orientation` (1 to 8) says; the result is new."""
    if orientation in (5, 6, 7, 8):  # stored with rows and columns exchanged
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
