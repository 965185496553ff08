"""What a file says about its picture before a pixel is decoded.

Only the few fields that decide whether and how to decode are read, with bounds checks and no
allocation that the file could choose, so a header that lies costs microseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from segcore.data.directory import read_orientation
from segcore.data.jpeg import read_jpeg_header
from segcore.data.npy import NPY_SIGNATURE, NotImageError, read_npy_header
from segcore.data.png import read_png_header
from segcore.data.tiff import (
    CMYK,
    MIN_IS_WHITE,
    PALETTE,
    RGB,
    YCBCR,
    TiffHeader,
    read_tiff_header,
)
from segcore.errors import ImageError

__all__ = ["COLOURS", "Header", "Layout", "read_header"]

Layout = Literal["grey", "rgb", "palette", "cmyk", "other"]
Alpha = Literal["straight", "multiplied", "unnamed"]
"""What a channel beyond the colours is: alpha, alpha that the colours were multiplied by, or a
channel of which the file says nothing."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (NPY_SIGNATURE, "NPY"),
)
COLOURS = {"grey": 1, "rgb": 3, "palette": 1, "cmyk": 4}
"""How many channels each layout has without alpha."""


@dataclass(frozen=True)
class Header:
    """The facts of a file. `width` and `height` are as stored, before `orientation` is applied.

    `bits` is per channel, `bands` the number of channels with alpha, where the format has it in one
    place; `orientation` is the EXIF value 1 to 8. `layout` says what the channels are, but for the
    last one where that is `alpha`. `is_inverted` says that 0 is white. `palette` holds three bytes
    a colour, `transparency` the tRNS chunk of a PNG. `is_complete` is False when the file ends
    before the picture does, as far as the container tells; `unreadable` names what is in the file
    that no reader here can read. `is_progressive` says that the rows do not come one after another.
    """

    format: str
    width: int
    height: int
    bits: int = 8
    layout: Layout = "other"
    alpha: Alpha | None = None
    is_float: bool = False
    is_signed: bool = False
    is_inverted: bool = False
    is_lossy: bool = False
    has_more_frames: bool = False
    has_mask: bool = False
    orientation: int = 1
    is_complete: bool = True
    bands: int | None = None
    palette: bytes = b""
    transparency: bytes = b""
    unreadable: str = ""
    is_progressive: bool = False

    @property
    def has_alpha(self) -> bool:
        """Whether some pixels may be transparent, or a channel stands beside the colours."""
        return self.alpha is not None or bool(self.transparency) or self.has_mask

    @property
    def is_deep(self) -> bool:
        """Whether the values are other ones than 0 to 255, whose meaning must be declared."""
        is_number = self.bits > 8 or self.is_float or self.is_signed
        return is_number and self.layout != "palette"


def read_header(data: bytes, source: str) -> Header:
    """Read the header of a JPEG, PNG, BMP, TIFF, WebP, GIF or NPY file held in `data`.

    Raises ImageError when the file is empty, of another format, or ends inside its header.
    """
    if not data:
        raise ImageError(
            f"{source}: empty file. Restore it or remove its row from the list.", kind="empty-file"
        )
    name = _sniff(data)
    if name is None:
        raise ImageError(
            f"{source}: not an image that can be read (starts with {data[:12]!r}). "
            "Use JPEG, PNG, BMP, TIFF or WebP.",
            kind="not-image",
        )
    try:
        header = _READERS[name](data)
    except NotImageError as error:
        raise ImageError(
            f"{source}: an NPY file with {error}. Save it as an image.", kind="not-image"
        ) from error
    except (struct.error, IndexError) as error:
        raise ImageError(
            f"{source}: the {name} header is cut off or damaged. Restore the file.", kind="damaged"
        ) from error
    if not (0 < header.width < 2**31 and 0 < header.height < 2**31):
        raise ImageError(
            f"{source}: the header claims {header.width} x {header.height} pixels. "
            "Restore the file.",
            kind="impossible-size",
        )
    return header


def _sniff(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in _SIGNATURES if data.startswith(magic)), None)


def _read_jpeg(data: bytes) -> Header:
    jpeg = read_jpeg_header(data)
    layouts: dict[int, Layout] = {1: "grey", 3: "rgb", 4: "cmyk"}
    # lossless and arithmetic frames are legal, but need a decoder that says so
    layout = layouts.get(jpeg.channels, "other") if jpeg.is_baseline else "other"
    return Header(
        "JPEG",
        jpeg.width,
        jpeg.height,
        jpeg.bits,
        layout,
        is_lossy=True,
        orientation=jpeg.orientation,
        is_complete=jpeg.is_complete,
        unreadable="" if jpeg.bits == 8 else f"samples of {jpeg.bits} bits",
        is_progressive=jpeg.is_progressive,
    )


def _read_png(data: bytes) -> Header:
    png = read_png_header(data)
    layouts: dict[int, Layout] = {0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"}
    return Header(
        "PNG",
        png.width,
        png.height,
        png.bits,
        layouts.get(png.colour, "other"),
        alpha="straight" if png.colour in (4, 6) else None,
        has_more_frames=png.frames > 1,
        orientation=png.orientation,
        is_complete=png.is_complete,
        bands=png.samples,
        palette=png.palette,
        transparency=png.transparency,
    )


def _read_bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    form, offset = ("<HHHH", 18) if size == 12 else ("<iiHH", 18)
    width, height, _planes, bits = struct.unpack_from(form, data, offset)
    # a negative height means that the rows stand top-down
    return Header("BMP", width, abs(height), layout="palette" if bits <= 8 else "rgb")


def _read_gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header("GIF", width, height, layout="palette", has_more_frames=True)


def _read_webp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    is_complete = len(data) >= size + 8
    kind = data[12:16]
    if kind == b"VP8X":
        flags = data[20]
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return Header(
            "WebP",
            width,
            height,
            layout="rgb",
            alpha="straight" if flags & 0x10 else None,
            has_more_frames=bool(flags & 0x02),
            orientation=_webp_orientation(data) if flags & 0x08 else 1,
            is_complete=is_complete,
        )
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        alpha: Alpha | None = "straight" if packed >> 28 & 1 else None
        return Header("WebP", width, height, layout="rgb", alpha=alpha, is_complete=is_complete)
    if kind != b"VP8 ":
        raise struct.error("no picture chunk")
    width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
    return Header("WebP", width, height, layout="rgb", is_complete=is_complete)


def _webp_orientation(data: bytes) -> int:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return read_orientation(data[position + 8 : position + 8 + length])
        position += 8 + length + (length & 1)
    return 1


def _read_tiff(data: bytes) -> Header:
    tiff = read_tiff_header(data)
    layout, alpha = _judge_tiff_channels(tiff)
    ends = max((a + b for a, b in zip(tiff.offsets, tiff.sizes, strict=False)), default=0)
    return Header(
        "TIFF",
        tiff.width,
        tiff.height,
        tiff.bits,
        layout,
        alpha=alpha,
        is_float=tiff.is_float,
        is_signed=tiff.is_signed,
        is_inverted=tiff.photometric == MIN_IS_WHITE,
        is_lossy=tiff.is_lossy,
        has_more_frames=tiff.frames > 1,
        has_mask=tiff.has_mask,
        orientation=tiff.orientation,
        is_complete=ends <= len(data),
        bands=tiff.samples,
        palette=tiff.palette() if layout == "palette" else b"",
        unreadable=tiff.unreadable,
    )


def _judge_tiff_channels(tiff: TiffHeader) -> tuple[Layout, Alpha | None]:
    """Say what the channels are, and what the one beyond the colours is, where there is one.

    Geographic tools call everything grey, and its channels extra samples: three of them are RGB.
    Where a file says RGB itself, a fourth channel of which it says nothing is beside the colours.
    """
    layouts: dict[int, Layout] = {RGB: "rgb", YCBCR: "rgb", PALETTE: "palette", CMYK: "cmyk"}
    extra = tiff.extra[: tiff.samples - 1]
    last = extra[-1] if extra else 0
    alpha: Alpha | None = {1: "multiplied", 2: "straight"}.get(last)  # type: ignore[assignment]
    if tiff.photometric not in layouts:
        colours = tiff.samples - (alpha is not None)
        layout: Layout = {1: "grey", 3: "rgb"}.get(colours, "other")  # type: ignore[assignment]
        hides = any(kind in (1, 2) for kind in extra[:-1])  # alpha among the colours
        if hides or (tiff.photometric == MIN_IS_WHITE and colours > 1):
            layout = "other"
        return layout, alpha
    layout = layouts[tiff.photometric]
    beyond = tiff.samples - COLOURS[layout]
    if beyond > 1 or (layout == "cmyk" and tiff.directory.first(332, 1) != 1):
        layout = "other"
    return layout, (alpha or "unnamed") if beyond else None


def _read_npy(data: bytes) -> Header:
    header = read_npy_header(data)
    bands = header.shape[2] if len(header.shape) == 3 else 1
    layouts: dict[int, Layout] = {1: "grey", 3: "rgb"}
    return Header(
        "NPY",
        header.shape[1],
        header.shape[0],
        8 * header.itemsize,
        layouts.get(bands, "other"),
        is_float=header.kind == "f",
        is_signed=header.kind == "i",
        is_complete=header.end <= len(data),
        bands=bands,
    )


_READERS = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "BMP": _read_bmp,
    "TIFF": _read_tiff,
    "WebP": _read_webp,
    "GIF": _read_gif,
    "NPY": _read_npy,
}
