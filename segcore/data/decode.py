"""Decode images: the one place where bytes become pixels.

The header decides first (`segcore.data.header`): format, size limit, depth, frames, completeness.
Ordinary JPEG and PNG pixels come from OpenCV, which is 1.2 to 3 times as fast as Pillow and gives
the same values; everything else from Pillow, whose colour conversions are documented. OpenCV pads
truncated JPEG files in silence, so their completeness is checked here.

Grey and RGB are what images are brought to; alpha is dropped. Any other number of channels is never
made up: the file must hold exactly as many, alpha included, as the configuration declares.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

from segcore.config.schema import DataConfig
from segcore.data.header import Header, read_header
from segcore.data.npy import decode_npy
from segcore.errors import ConfigError, ImageError, PackageMissingError

__all__ = ["check_image", "decode_image", "orient", "preview_image", "with_pillow"]

_Result = TypeVar("_Result")

# What Pillow is known to raise on damaged files, besides its own UnidentifiedImageError (OSError).
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError,
    AttributeError, struct.error, zlib.error,
)  # fmt: skip

_SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".png": "PNG", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP", ".gif": "GIF", ".npy": "NPY",
}  # fmt: skip
# One MCU is at most 16 rows; a decoder that waits for more bytes holds back one row of them,
# and the row before it while it upsamples the colours.
_TAIL_ROWS = 32
_PREVIEW_SIDE = 256  # smaller images are decoded whole
_CONVERTED = (1, 3)  # channels that images are brought to, whatever they have; others must be there


def decode_image(
    data: bytes, source: str, config: DataConfig | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode `data`, the content of an image file, upright.

    Gives the image (H, W, C) uint8 (C is `config.channels`: 3 is RGB, 1 is grey, and others are in
    the order of the file) and the codes of the warnings (see `segcore.data.tally.WARNINGS`).
    `source` names the file in messages. Images deeper than 8 bits are scaled from
    `config.value_range` to 0..255. Raises ImageError, and PackageMissingError for TIFF files of
    many channels without the package that reads them.
    """
    config = config or DataConfig()
    header = read_header(data, source)
    _check_header(header, source, config)
    codes = _judge_suffix(header, source)
    is_deep = header.bits > 8 or header.is_float or header.is_signed
    if header.format == "NPY":
        image = decode_npy(data)
    elif config.channels not in _CONVERTED:
        image = _decode_bands(data, header, source)
    elif is_deep:
        image = _decode_deep(data, header, source)
    elif _is_ordinary(header):
        image, more = _decode_ordinary(data, header, source, config)
        codes += more
    else:
        image, more = _decode_other(data, header, source)
        codes += more
    if is_deep:
        image = _scale(image, source, config)
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
        header.format == "JPEG"
        and _is_ordinary(header)
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
    grey = orient(_imdecode(data, flags, reduced, source), header.orientation)
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
    if (header.has_more_frames or header.format == "GIF") and not config.first_frame:
        what = "GIF is not read" if header.format == "GIF" else "the file holds several frames"
        raise ImageError(
            f"{source}: {what}. Convert it to PNG or set data.first_frame=true to use the first "
            "frame.",
            kind="frames",
        )
    bands = _count_bands(header)
    if config.channels in _CONVERTED:
        is_wrong = bands > (3 if header.format == "NPY" else 4)
    else:
        is_wrong = bands != config.channels
    if is_wrong:
        raise ImageError(
            f"{source}: {header.format} with {bands} channel{'' if bands == 1 else 's'}, but "
            f"data.channels is {config.channels}. Set data.channels={bands}, or give images with "
            f"{config.channels}.",
            kind="channels",
        )
    if not header.is_complete and header.format != "JPEG":
        raise ImageError(
            f"{source}: truncated, the {header.format} file ends before its {header.height} rows "
            "do. Restore the file.",
            kind="truncated",
        )


def _count_bands(header: Header) -> int:
    """Count the channels of a file, with alpha; formats without a count have grey, RGB or RGBA."""
    if header.bands is not None:
        return header.bands
    if header.layout == "grey":
        return 1
    return 4 if header.has_alpha else 3


def _is_ordinary(header: Header) -> bool:
    """Say whether OpenCV and Pillow are known to agree on such a file."""
    if header.format == "JPEG":
        return header.bits == 8 and header.layout in ("grey", "rgb")
    return header.format == "PNG" and header.bits == 8 and not header.has_alpha


def _decode_ordinary(
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
    if not is_grey:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return image, codes


def _imdecode(data: bytes, flags: int, header: Header, source: str) -> np.ndarray:
    import cv2

    try:
        image: np.ndarray | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(
            f"{source}: cannot be decoded ({_last_line(error)}).", kind="damaged"
        ) from error
    if image is None or image.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"{source}: the {header.format} data is damaged. Restore the file or remove its row.",
            kind="damaged",
        )
    return image


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
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    plugins: dict[str, Any] = {
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
    }
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = use(plugins[name](BytesIO(data)))
    except _PILLOW_ERRORS as error:
        raise ImageError(
            f"{source}: the {name} data is damaged ({_last_line(error)}). "
            "Restore the file or remove its row.",
            kind="damaged",
        ) from error
    return result, bool(caught)


def _decode_other(data: bytes, header: Header, source: str) -> tuple[np.ndarray, list[str]]:
    """Decode with Pillow: palettes, transparency, CMYK, one bit, BMP, TIFF, WebP."""
    codes = []

    def convert(image: Any) -> np.ndarray:
        image.load()
        if "A" in image.getbands() or "transparency" in image.info:
            codes.append(_judge_alpha(image))
        if image.mode == "CMYK":
            codes.append("cmyk")
        pixels = np.array(image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB"))
        if header.format == "TIFF":
            # Pillow turned it already while loading; a quarter turn is undone by the other one.
            pixels = orient(pixels, {6: 8, 8: 6}.get(header.orientation, header.orientation))
        return pixels

    pixels, has_warned = with_pillow(data, header.format, source, convert)
    if pixels.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"{source}: the {header.format} header and the picture disagree on the size. "
            "Restore the file or remove its row.",
            kind="damaged",
        )
    if has_warned:
        codes.append("decoder")
    return pixels, codes


def _judge_alpha(image: Any) -> str:
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return "alpha" if (alpha == 255).all() else "transparent"


def _decode_deep(data: bytes, header: Header, source: str) -> np.ndarray:
    """Decode more than 8 bits a channel as they are: (H, W) or (H, W, 3), without alpha."""
    import cv2

    image = _imdecode(data, cv2.IMREAD_UNCHANGED, header, source)
    if image.ndim == 2:
        return image
    if image.shape[2] == 2:
        return image[..., 0]
    return np.ascontiguousarray(image[..., 2::-1])  # BGR or BGRA to RGB


def _decode_bands(data: bytes, header: Header, source: str) -> np.ndarray:
    """Decode all channels as they are, alpha too: (H, W, C) of the file's type."""
    if header.format == "TIFF":
        return _decode_tiff_bands(data, header, source)
    if header.bands == 2 and header.bits == 8:
        image = with_pillow(data, header.format, source, np.array)[0]
    else:
        import cv2

        image = _imdecode(data, cv2.IMREAD_UNCHANGED, header, source)
        if image.ndim == 3 and image.shape[2] == 4:
            image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    if image.ndim != 3 or image.shape[2] != _count_bands(header):
        raise ImageError(
            f"{source}: {header.format} of {header.bits} bits with {_count_bands(header)} channels "
            "is not read. Save the image as TIFF or NPY.",
            kind="channels",
        )
    return image


def _decode_tiff_bands(data: bytes, header: Header, source: str) -> np.ndarray:
    try:
        import tifffile
    except ImportError as error:
        raise PackageMissingError(
            f"{source}: reading TIFF files of {header.bands} channels needs the package tifffile, "
            'which is not installed; run: pip install "segcore[multiband]"'
        ) from error
    try:
        page = tifffile.TiffFile(BytesIO(data)).pages[0]
        if page.imagewidth != header.width or page.imagelength != header.height:
            raise ValueError("two sizes")
        image: np.ndarray = page.asarray(maxworkers=1)
        if page.axes.startswith("S"):  # each channel by itself
            image = np.moveaxis(image, 0, -1)
        if image.shape != (header.height, header.width, header.bands):
            raise ValueError(f"an array of shape {image.shape}")
    except _PILLOW_ERRORS as error:  # tifffile lets the same ones through
        raise ImageError(
            f"{source}: the TIFF data cannot be decoded ({_last_line(error)}). "
            "Restore the file, or save it without compression.",
            kind="damaged",
        ) from error
    return np.ascontiguousarray(image)


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
    scaled = (image.astype(np.float64) - low) * (255 / (high - low))
    rounded: np.ndarray = np.rint(scaled.clip(0, 255)).astype(np.uint8)
    return rounded


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


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
