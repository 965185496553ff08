"""What a file says about its picture before a pixel is decoded.

Only the few fields that decide whether and how to decode are read, with bounds checks and no
allocation that the file could choose, so a header that lies costs microseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Literal

from segcore.data.npy import NPY_SIGNATURE, read_npy_header
from segcore.errors import ImageError

__all__ = ["Header", "read_header"]

Layout = Literal["grey", "rgb", "palette", "cmyk", "other"]

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
_MAX_TAGS = 4096  # more than any camera writes; bounds the walk through a hostile directory
_MAX_STRIPS = 2**20


@dataclass(frozen=True)
class Header:
    """The facts of a file. `width` and `height` are as stored, before `orientation` is applied.

    `bits` is per channel, `bands` the number of channels with alpha, where the format has it in one
    place; `orientation` is the EXIF value 1 to 8. `is_complete` is False when the file
    ends before the picture does, as far as the container tells.
    """

    format: str
    width: int
    height: int
    bits: int = 8
    layout: Layout = "other"
    has_alpha: bool = False
    is_float: bool = False
    is_signed: bool = False
    has_more_frames: bool = False
    orientation: int = 1
    is_complete: bool = True
    bands: int | None = None


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
    position, orientation = 2, 1
    frame: Header | None = None
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:  # fill bytes are legal
            position += 1
        if data[position] != 0xFF:
            raise struct.error("no marker where one must stand")
        marker = data[position + 1]
        if marker == 0xDA:
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            layouts: dict[int, Layout] = {1: "grey", 3: "rgb", 4: "cmyk"}
            # lossless and arithmetic frames are legal, but need a decoder that says so
            layout = layouts.get(channels, "other") if marker <= 0xC2 else "other"
            frame = Header("JPEG", width, height, bits, layout)
        elif marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            orientation = _read_orientation(data[position + 10 : position + 2 + length])
        position += 2 + length
    if frame is None:
        raise struct.error("a scan without a frame")
    # Inside a scan 0xFF is always followed by 0, so this pair cannot be pixel data.
    ends = data.rfind(b"\xff\xd9", position) != -1
    return replace(frame, orientation=orientation, is_complete=ends)


def _read_png(data: bytes) -> Header:
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    layouts: dict[int, Layout] = {0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"}
    orientation, frames, ends = 1, 1, False
    has_alpha = colour in (4, 6)
    position = 8
    while position + 12 <= len(data) and not ends:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"tRNS":
            has_alpha = True
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, position + 8)
        elif kind == b"eXIf":
            orientation = _read_orientation(data[position + 8 : position + 8 + length])
        ends = kind == b"IEND"
        position += 12 + length
    return Header(
        "PNG",
        width,
        height,
        bits,
        layouts.get(colour, "other"),
        has_alpha=has_alpha,
        has_more_frames=frames > 1,
        orientation=orientation,
        is_complete=ends,
        bands={0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour),
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
            has_alpha=bool(flags & 0x10),
            has_more_frames=bool(flags & 0x02),
            orientation=_webp_orientation(data) if flags & 0x08 else 1,
            is_complete=is_complete,
        )
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        has_alpha = bool(packed >> 28 & 1)
        return Header(
            "WebP", width, height, layout="rgb", has_alpha=has_alpha, is_complete=is_complete
        )
    if kind != b"VP8 ":
        raise struct.error("no picture chunk")
    width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
    return Header("WebP", width, height, layout="rgb", is_complete=is_complete)


def _webp_orientation(data: bytes) -> int:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return _read_orientation(data[position + 8 : position + 8 + length])
        position += 8 + length + (length & 1)
    return 1


@dataclass(frozen=True)
class _Directory:
    """Integer tags of the first image of a TIFF structure, and whether another image follows."""

    tags: dict[int, tuple[int, ...]]
    has_next: bool

    def first(self, tag: int, default: int) -> int:
        values = self.tags.get(tag)
        return values[0] if values else default


def _read_directory(data: bytes) -> _Directory:
    """Read the first directory of a TIFF or BigTIFF structure; EXIF blocks are one as well."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    offset_form, count_form, entry_size = ("Q", "Q", 20) if big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + offset_form, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + count_form, data, start)
    if count > _MAX_TAGS:
        raise struct.error("absurd number of tags")
    start += struct.calcsize(order + count_form)
    tags: dict[int, tuple[int, ...]] = {}
    letters = {1: "B", 3: "H", 4: "I", 16: "Q"}
    for entry in range(start, start + count * entry_size, entry_size):
        tag, kind, number = struct.unpack_from(order + "HH" + offset_form, data, entry)
        if kind not in letters or not 0 < number <= _MAX_STRIPS:
            continue
        form = f"{order}{number}{letters[kind]}"
        place = entry + (12 if big else 8)
        if struct.calcsize(form) > (8 if big else 4):
            (place,) = struct.unpack_from(order + offset_form, data, place)
        tags[tag] = struct.unpack_from(form, data, place)
    end = start + count * entry_size
    following = data[end : end + struct.calcsize(order + offset_form)]
    return _Directory(tags, has_next=any(following))


def _read_tiff(data: bytes) -> Header:
    directory = _read_directory(data)
    photometric = directory.first(262, 1)
    channels = directory.first(277, 1)
    layouts: dict[int, Layout] = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk"}
    layout: Layout = layouts.get(photometric, "other")
    expected = {"grey": 1, "rgb": 3, "palette": 1, "cmyk": 4}.get(layout, channels)
    tags = directory.tags
    offsets, sizes = tags.get(273) or tags.get(324, ()), tags.get(279) or tags.get(325, ())
    last = max((a + b for a, b in zip(offsets, sizes, strict=False)), default=0)
    return Header(
        "TIFF",
        directory.first(256, 0),
        directory.first(257, 0),
        max(directory.tags.get(258, (1,))),
        layout,
        has_alpha=channels > expected,
        is_float=directory.first(339, 1) == 3,
        is_signed=directory.first(339, 1) == 2,
        has_more_frames=directory.has_next,
        orientation=_valid_orientation(directory.first(274, 1)),
        is_complete=last <= len(data),
        bands=channels,
    )


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


def _read_orientation(exif: bytes) -> int:
    """Give the orientation of an EXIF block, or 1: damaged metadata must not cost the picture."""
    try:
        return _valid_orientation(_read_directory(exif.removeprefix(b"Exif\0\0")).first(274, 1))
    except (struct.error, IndexError):
        return 1


def _valid_orientation(value: int) -> int:
    return value if 1 <= value <= 8 else 1


_READERS = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "BMP": _read_bmp,
    "TIFF": _read_tiff,
    "WebP": _read_webp,
    "GIF": _read_gif,
    "NPY": _read_npy,
}
