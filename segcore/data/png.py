"""PNG files: what their headers say, and their samples exactly as stored.

OpenCV decodes a file that was stripped to the picture: without the palette, transparency, gamma
and profile chunks, which one version of a library or another applies to the samples.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segcore.data.directory import read_orientation

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PngHeader", "decode_png", "read_png_header"]

_SIGNATURE_BYTES = 8
_MAX_CHUNKS = 2**17  # of 8 kB each, as libpng writes them, a gigabyte
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 3: (1, 2, 4, 8)}  # of other colour types 8 and 16
_PALETTE = 3
_MAX_TRANSPARENCY = 256


@dataclass(frozen=True)
class PngHeader:
    """The facts of a file. `colour` is PNG's colour type; `transparency` is the tRNS chunk."""

    width: int
    height: int
    bits: int
    colour: int
    palette: bytes = b""
    transparency: bytes = b""
    frames: int = 1
    orientation: int = 1
    is_complete: bool = False

    @property
    def samples(self) -> int:
        """Samples of a pixel, with alpha."""
        return _SAMPLES[self.colour]


def read_png_header(data: bytes) -> PngHeader:
    """Read the facts of a file. Raises struct.error or IndexError where it is cut off."""
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if colour not in _SAMPLES or bits not in _DEPTHS.get(colour, (8, 16)):
        raise struct.error("a colour type that does not exist")
    palette, transparency = b"", b""
    orientation, frames, ends = 1, 1, False
    position, count = _SIGNATURE_BYTES, 0
    while position + 12 <= len(data) and not ends:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"PLTE":
            palette = data[position + 8 : position + 8 + min(length, 768)]
        elif kind == b"tRNS":
            transparency = data[position + 8 : position + 8 + min(length, _MAX_TRANSPARENCY)]
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, position + 8)
        elif kind == b"eXIf":
            orientation = read_orientation(data[position + 8 : position + 8 + length])
        ends = kind == b"IEND"
        position += 12 + length
        count += 1
        if count > _MAX_CHUNKS:
            raise struct.error("absurd number of chunks")
    return PngHeader(
        width, height, bits, colour, palette, transparency, frames, orientation, is_complete=ends
    )


def decode_png(data: bytes) -> np.ndarray:
    """Give the samples (H, W, C), uint8 or uint16, of a complete file: for a palette its indices.

    Raises ValueError, struct.error or cv2.error where the file is damaged.
    """
    import cv2
    import numpy as np

    header = read_png_header(data)
    picture = np.frombuffer(_strip(data, header), np.uint8)
    samples: np.ndarray | None = cv2.imdecode(picture, cv2.IMREAD_UNCHANGED)
    if samples is None or samples.shape[:2] != (header.height, header.width):
        raise ValueError("the compressed picture is damaged")
    if samples.ndim == 2:
        samples = samples[..., None]
    if header.samples == 2 and samples.shape[2] == 4:  # OpenCV repeats the grey
        samples = samples[..., 2:]
    elif header.samples >= 3:
        samples = cv2.cvtColor(
            samples, cv2.COLOR_BGR2RGB if header.samples == 3 else cv2.COLOR_BGRA2RGBA
        )
    if samples.shape[2] != header.samples or samples.itemsize != (2 if header.bits > 8 else 1):
        raise ValueError(f"the decoder gives an array of shape {samples.shape}")
    if header.bits < 8:  # which libpng has stretched to 0..255
        samples = samples // (255 // (2**header.bits - 1))
    return np.ascontiguousarray(samples)


def _strip(data: bytes, header: PngHeader) -> bytes:
    """Keep the chunks of the picture alone; a palette's indices become grey values."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [view[:_SIGNATURE_BYTES]]
    position = _SIGNATURE_BYTES
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind in (b"IHDR", b"PLTE", b"tRNS"):
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(view[position + 4 : end - 4]) != checksum:
                raise ValueError(f"wrong checksum of {kind.decode()}")
        if kind == b"IHDR" and header.colour == _PALETTE:
            chunk = bytearray(view[position + 4 : end - 4])
            chunk[13] = 0
            kept += [struct.pack(">I", length), bytes(chunk), struct.pack(">I", zlib.crc32(chunk))]
        elif kind in (b"IHDR", b"IDAT", b"IEND"):
            kept.append(view[position:end])
        if kind == b"IEND":
            break
        position = end
    return b"".join(kept)
