"""What the header of a JPEG says; JPEG streams stand in files of their own and inside TIFF."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from segcore.data.directory import read_orientation

__all__ = ["JpegHeader", "read_jpeg_header"]


@dataclass(frozen=True)
class JpegHeader:
    """The facts of the frame. `is_baseline` leaves lossless and arithmetic frames out.

    A progressive one comes in several scans of the whole picture.
    """

    width: int
    height: int
    bits: int
    channels: int
    is_baseline: bool
    orientation: int = 1
    is_complete: bool = True
    is_progressive: bool = False


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Read what precedes the first scan. Raises struct.error or IndexError where it is damaged."""
    position, orientation = 2, 1
    frame: JpegHeader | None = None
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
            frame = JpegHeader(
                width,
                height,
                bits,
                channels,
                is_baseline=marker <= 0xC2,
                is_progressive=marker == 0xC2,
            )
        elif marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            orientation = read_orientation(data[position + 10 : position + 2 + length])
        position += 2 + length
    if frame is None:
        raise struct.error("a scan without a frame")
    # Inside a scan 0xFF is always followed by 0, so this pair cannot be pixel data.
    ends = data.rfind(b"\xff\xd9", position) != -1
    return replace(frame, orientation=orientation, is_complete=ends)
