"""TIFF files: what their directories say, and their samples exactly as stored.

The directory is read here, bounded, and judged: what cannot be read for what it is has a name in
`TiffHeader.unreadable`. Tifffile then sees one directory of the tags that were checked, and decodes
one strip or tile at a time; none is believed to be larger than the directory says.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from segcore.data.directory import Directory, read_directory, valid_orientation
from segcore.data.jpeg import read_jpeg_header
from segcore.errors import PackageMissingError
from segcore.warned import warned

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TiffHeader", "UnreadableError", "decode_tiff", "read_tiff_header"]

_MAX_SEGMENTS = 2**17  # strips or tiles: 4,096 tiles hold what data.max_pixels allows
_MAX_SAMPLES = 1024
_MAX_TILE_PIXELS = 2**22  # unless the image itself is larger
_MAX_DIRECTORIES = 64  # overviews and masks that are passed over

# The tags that are read, and the number of values that each can need
_WANTED = {
    254: 1, 255: 1, 256: 1, 257: 1, 258: _MAX_SAMPLES, 259: 1, 262: 1, 266: 1, 270: 1024,
    273: _MAX_SEGMENTS, 274: 1, 277: 1, 278: 1, 279: _MAX_SEGMENTS, 284: 1, 292: 1, 293: 1, 317: 1,
    320: 3 * 65536, 322: 1, 323: 1, 324: _MAX_SEGMENTS, 325: _MAX_SEGMENTS, 332: 1,
    338: _MAX_SAMPLES, 339: _MAX_SAMPLES, 347: 65536, 530: 2, 32997: 1, 50674: 2,
}  # fmt: skip
# Those that decide how samples are stored, which tifffile is given as well
_STORAGE = (256, 257, 259, 262, 277, 278, 317, 322, 323, 530)
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

NONE, CCITT, LZW, JPEG, DEFLATE, LERC = 1, (2, 3, 4), 5, 7, (8, 32946), 34887
PACKBITS, LZMA, ZSTD = 32773, 34925, 50000
_READ = {NONE, *CCITT, LZW, JPEG, *DEFLATE, LERC, PACKBITS, LZMA, ZSTD}
_UNPACKED = {*CCITT, LZW, PACKBITS, *DEFLATE}  # here and not by tifffile
_WITH_PREDICTOR = {LZW, *DEFLATE, PACKBITS, LZMA, ZSTD}
_COMPRESSIONS = {
    6: "old-style JPEG", 9: "JBIG", 10: "JBIG", 32766: "NeXT", 32809: "ThunderScan",
    33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34676: "SGI LogLuv",
    34677: "SGI LogLuv", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_PHOTOMETRICS = {
    4: "a transparency mask", 8: "CIELab colours", 9: "ICCLab colours", 10: "ITULab colours",
    32803: "the raw mosaic of a sensor", 34892: "the raw values of a sensor",
    32844: "LogL brightness", 32845: "LogLuv colours",
}  # fmt: skip
_LERC_BYTES = 64  # more than a LERC header takes
_UNSIGNED, _SIGNED, _FLOAT, _VOID = 1, 2, 3, 4
_ALPHA = (1, 2)  # associated and unassociated, of ExtraSamples
_WHOLE_BYTES = (8, 16, 32, 64)
_PLAIN_BITS = (1, *_WHOLE_BYTES)


class UnreadableError(ValueError):
    """A sound file holds what cannot be read for what it is; the message names it."""


@dataclass(frozen=True)
class TiffHeader:
    """The facts of the first directory. `extra` says what the channels beyond the colours are.

    `frames` counts the first image and, at most, one more: overviews and masks are none. `sizes`
    are the bytes of the strips or tiles, `segment` is their width and height. `is_lossy` says that
    the compression may have changed the values.
    """

    directory: Directory
    byte_order: str
    width: int
    height: int
    samples: int
    bits: int
    sample_format: int
    photometric: int
    compression: int
    predictor: int
    is_planar: bool
    extra: tuple[int, ...]
    segment: tuple[int, int]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    orientation: int = 1
    frames: int = 1
    has_mask: bool = False
    is_lossy: bool = False

    @property
    def unreadable(self) -> str:
        """What is in the file that cannot be read for what it is; empty for other files."""
        return _judge_samples(self) or _judge_compression(self) or _judge_colours(self)

    @property
    def is_float(self) -> bool:
        """Whether samples are floating-point numbers."""
        return self.sample_format == _FLOAT

    @property
    def is_signed(self) -> bool:
        """Whether samples are whole numbers with a sign."""
        return self.sample_format == _SIGNED

    @property
    def planes(self) -> int:
        """How often the image is stored: once, or a channel at a time."""
        return self.samples if self.is_planar else 1

    @property
    def segments(self) -> int:
        """How many strips or tiles there must be."""
        width, height = (max(side, 1) for side in self.segment)
        return -(-self.width // width) * -(-self.height // height) * self.planes

    def palette(self) -> bytes:
        """Give the colours of the palette, three bytes each; none where there is no palette."""
        values = self.directory.tags.get(320, ())
        count = len(values) // 3
        shift = 0 if max(values, default=0) < 256 else 8  # some write 8 bits
        return bytes(values[place + i * count] >> shift for place in range(count) for i in range(3))


def read_tiff_header(data: bytes) -> TiffHeader:
    """Read the first directory. Raises struct.error where it is cut off or contradicts itself."""
    directory = read_directory(data, _WANTED)
    tags, first = directory.tags, directory.first
    width, height = first(256, 0), first(257, 0)
    if 322 in tags or 324 in tags:
        segment = first(322, 0), first(323, 0)
        offsets, sizes = tags.get(324) or tags.get(273, ()), tags.get(325) or tags.get(279, ())
    else:
        segment = width, min(first(278, height), height)
        offsets, sizes = tags.get(273, ()), tags.get(279, ())
    if not sizes and first(259, 1) == NONE and len(offsets) == 1:
        sizes = (len(data) - offsets[0],)
    frames, has_mask = _look_at_others(data, directory)
    samples, planar = first(277, 1), first(284, 1)
    return TiffHeader(
        directory,
        "<" if data[:2] == b"II" else ">",
        width,
        height,
        samples,
        bits=first(258, 1),
        sample_format=first(339, 1),
        photometric=first(262, MIN_IS_BLACK),
        compression=first(259, NONE),
        predictor=first(317, 1),
        is_planar=planar == 2 and samples > 1,
        extra=tags.get(338, ()),
        segment=segment,
        offsets=offsets,
        sizes=sizes,
        orientation=valid_orientation(first(274, 1)),
        frames=frames,
        has_mask=has_mask,
        is_lossy=_is_lossy(data, first(259, NONE), first(339, 1), offsets),
    )


def _look_at_others(data: bytes, directory: Directory) -> tuple[int, bool]:
    """Give 2 where there is a second image, else 1, and whether there is a mask."""
    description = bytes(value & 255 for value in directory.tags.get(270, ()))
    stack = re.match(rb"ImageJ=[^\0]*?\nimages=(\d+)", description)
    if stack and int(stack[1]) > 1:  # ImageJ keeps large stacks behind one directory
        return 2, False
    place, has_mask = directory.following, False
    seen: set[int] = set()
    while place:
        if place in seen:
            raise struct.error("directories that go round in circles")
        if len(seen) == _MAX_DIRECTORIES:
            return 2, has_mask
        seen.add(place)
        other = read_directory(data, {254: 1, 255: 1}, place)
        kind = other.first(254, 0)
        has_mask |= bool(kind & 4)
        if not kind & 5 and other.first(255, 0) != 2:  # neither an overview nor a mask
            return 2, has_mask
        place = other.following
    return 1, has_mask


def _is_lossy(data: bytes, compression: int, kind: int, offsets: tuple[int, ...]) -> bool:
    if compression != LERC:
        return compression == JPEG
    # LERC says how far values may be off; half a step leaves whole numbers as they were
    allowed = 0.0 if kind == _FLOAT else 0.5
    return any(_read_lerc(data[offset : offset + _LERC_BYTES])[-1] > allowed for offset in offsets)


def _judge_samples(header: TiffHeader) -> str:
    depths = set(header.directory.tags.get(258, ())[: header.samples])
    formats = set(header.directory.tags.get(339, ())[: header.samples])
    if len(depths) > 1 or len(formats) > 1:
        return "channels of different types"
    if header.directory.first(32997, 1) != 1:
        return "a volume"
    if header.samples > 1 and header.directory.first(284, 1) not in (1, 2):
        return f"channels in an unknown order ({header.directory.first(284, 1)})"
    names = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating-point", _VOID: "untyped"}
    known: dict[int, tuple[int, ...]] = {
        _UNSIGNED: (*range(1, 17), 32, 64),
        _SIGNED: _WHOLE_BYTES,
        _FLOAT: (16, 32, 64),
        _VOID: (*range(1, 17), 32, 64),
    }
    if header.sample_format not in known:
        return "complex numbers" if header.sample_format in (5, 6) else "numbers of an unknown type"
    if header.bits not in known[header.sample_format]:
        return f"{names[header.sample_format]} numbers of {header.bits} bits"
    return ""


def _judge_compression(header: TiffHeader) -> str:
    compression = header.compression
    if compression not in _READ:
        return f"{_COMPRESSIONS.get(compression, 'unknown')} compression ({compression})"
    if compression == LERC and header.directory.tags.get(50674, (0, 0))[1:] not in ((), (0,)):
        return "LERC within another compression"
    if compression in CCITT and (header.bits, header.samples) != (1, 1):
        return f"fax compression of {header.samples} channels of {header.bits} bits"
    is_rgb = header.samples == 3 and header.photometric in (RGB, YCBCR)
    if compression == JPEG and not (is_rgb or header.is_planar or header.samples == 1):
        return f"JPEG compression of {header.samples} channels that are not RGB"
    is_difference = header.predictor == 2 and header.bits in _WHOLE_BYTES
    is_known = is_difference or header.predictor == 1 or (header.predictor == 3 and header.is_float)
    if compression in _WITH_PREDICTOR and not is_known:
        return f"predictor {header.predictor} for samples of {header.bits} bits"
    return ""


def _judge_colours(header: TiffHeader) -> str:
    photometric, samples = header.photometric, header.samples
    if photometric in _PHOTOMETRICS:
        return _PHOTOMETRICS[photometric]
    if photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR):
        return f"colours of an unknown kind ({photometric})"
    if photometric == YCBCR and (header.compression != JPEG or header.is_planar):
        return "YCbCr colours without JPEG compression"
    if samples < {RGB: 3, YCBCR: 3, CMYK: 4}.get(photometric, 1):
        return f"colours of {samples} channel{'' if samples == 1 else 's'}"
    return ""


def decode_tiff(data: bytes, source: str) -> np.ndarray:
    """Give the samples (H, W, C) of a complete and readable file, of the type that it has.

    A palette gives its indices, one bit gives 0 and 1, and JPEG compression of colours gives RGB.
    Raises PackageMissingError where it takes the package imagecodecs, and UnreadableError; what
    tifffile and the codecs raise on damaged files is theirs.
    """
    import numpy as np

    header = read_tiff_header(data)
    _check_segments(header)
    if _needs_codecs(header) and not _has_codecs():
        raise PackageMissingError(
            f"{source}: reading this TIFF file ({_describe(header)}) needs the package "
            'imagecodecs, which is not installed; run: pip install "segcore[tiff]"'
        )
    page = _open_page(header)
    tables = bytes(header.directory.tags.get(347, ())) or None
    shape = (header.planes, header.height, header.width, header.samples // header.planes)
    dtype = np.dtype(np.uint8 if header.bits == 1 else page.dtype)
    image = np.empty(shape, dtype)
    for index in range(header.segments):
        _, (plane, _, top, left, _), (_, rows, columns, _) = page.decode(None, index)
        stream = _read_segment(data, header, index, rows)
        pixels, *_ = page.decode(stream, index, jpegtables=tables)
        part = image[plane, top : top + rows, left : left + columns]
        pixels = pixels[0, : part.shape[0], : part.shape[1]]
        pixels = pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels
        if pixels.shape != part.shape or pixels.dtype != dtype:
            raise ValueError(f"a strip or tile of {pixels.shape} values of type {pixels.dtype}")
        if header.compression == LERC:
            _check_lerc(stream, part)
        part[:] = pixels  # each of them whole, so that no value is left to chance
    image = np.moveaxis(image[..., 0], 0, -1) if header.planes > 1 else image[0]
    return np.ascontiguousarray(image)


def _check_segments(header: TiffHeader) -> None:
    width, height = header.segment
    found = min(len(header.offsets), len(header.sizes))
    if width * height == 0 or found < header.segments:
        raise ValueError(f"{found} of {header.segments} strips or tiles of {width} x {height}")
    if width * height > max(header.width * header.height, _MAX_TILE_PIXELS):
        raise ValueError(f"tiles of {width} x {height} are far larger than the image")


def _has_codecs() -> bool:
    return find_spec("imagecodecs") is not None


def _needs_codecs(header: TiffHeader) -> bool:
    if header.compression not in (NONE, *_UNPACKED) or header.bits not in _PLAIN_BITS:
        return True
    return header.compression != NONE and (header.predictor == 3 or header.is_float)


def _describe(header: TiffHeader) -> str:
    names = {LZW: "LZW", JPEG: "JPEG", PACKBITS: "PackBits", LERC: "LERC", ZSTD: "Zstandard"}
    names |= {LZMA: "LZMA", NONE: "uncompressed"} | dict.fromkeys(CCITT, "fax compression")
    name = names.get(header.compression, "deflate")
    return f"{name}, {header.bits} bits"


def _open_page(header: TiffHeader) -> Any:
    """Open a file of one directory, without pixels, that says how samples are stored."""
    from io import BytesIO

    import tifffile

    tags = {tag: header.directory.tags[tag] for tag in _STORAGE if tag in header.directory.tags}
    tags |= {258: (header.bits,) * header.samples, 339: (header.sample_format,) * header.samples}
    tags[284] = (2 if header.is_planar else 1,)
    is_tiled = header.segment[0] != header.width or 322 in tags
    tags[324 if is_tiled else 273] = tags[325 if is_tiled else 279] = (0,) * header.segments
    if header.extra:
        tags[338] = header.extra
    if header.compression in _UNPACKED:
        tags[259] = (NONE if header.predictor == 1 else DEFLATE[0],)
    if header.compression == JPEG and header.is_planar:  # each channel is a grey picture
        tags[262] = (MIN_IS_BLACK,)
    return tifffile.TiffFile(BytesIO(_write_directory(header.byte_order, tags))).pages[0]


def _write_directory(order: str, tags: Mapping[int, tuple[int, ...]]) -> bytes:
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags))
    after = len(head) + 12 * len(tags) + 4
    body = b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, body = struct.pack(f"{order}I", after + len(body)), body + packed
        head += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
    return head + bytes(4) + body


def _read_segment(data: bytes, header: TiffHeader, index: int, rows: int) -> bytes:
    """Give the bytes of a strip or tile of `rows` rows as tifffile is to decode them.

    Raises ValueError where an image inside of it claims more than its share.
    """
    offset, size = header.offsets[index], header.sizes[index]
    if size == 0:
        raise UnreadableError(f"strips or tiles that are left out ({index + 1})")
    stream = data[offset : offset + size]
    width, samples = header.segment[0], header.samples // header.planes
    if header.compression == JPEG:
        frame = read_jpeg_header(stream)
        facts = frame.width, frame.height, frame.channels, frame.bits
        if frame.width > width or frame.height > header.segment[1]:
            raise ValueError("a JPEG of {} x {} pixels".format(*facts))
        if facts[2:] != (samples, header.bits):
            raise ValueError("a JPEG of {2} channels of {3} bits".format(*facts))
        if not frame.is_complete:
            raise ValueError("a JPEG whose data ends early")
        return stream
    if header.compression == LERC:
        height, length, depth, _, _ = _read_lerc(stream)
        if height > header.segment[1] or length > width or depth not in (1, samples):
            raise ValueError(f"LERC values of {length} x {height} pixels")
        return stream
    if header.directory.first(266, 1) == 2:
        stream = stream.translate(_BITS_REVERSED)
    if header.compression not in _UNPACKED:
        return stream
    row_bytes = -(-width * samples * header.bits // 8)
    if header.compression in DEFLATE:
        unpacked = _inflate(stream, row_bytes * rows)
    else:
        unpacked = _unpack(stream, header, rows, row_bytes)
    # tifffile undoes predictors of compressed data alone
    return unpacked if header.predictor == 1 else zlib.compress(unpacked, 0)


def _inflate(stream: bytes, limit: int) -> bytes:
    """Unpack deflate, up to `limit` bytes: some writers fill the last strip up with more rows."""
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(stream, limit + 1)
    if len(unpacked) <= limit and not unpacker.eof:
        raise ValueError("the compressed data ends early")
    return unpacked[:limit]


def _unpack(stream: bytes, header: TiffHeader, rows: int, row_bytes: int) -> bytes:
    """Unpack LZW, PackBits or fax compression as the only strip of a file that Pillow reads.

    The bytes of a row are the pixels of that file, but fax compression wants bits. Imagecodecs
    crashes on some damaged LZW data, and has no fax compression for Python 3.10.
    """
    from io import BytesIO

    import numpy as np
    from PIL.TiffImagePlugin import TiffImageFile

    is_fax = header.compression in CCITT
    options = {tag: header.directory.tags.get(tag, (0,)) for tag in (292, 293) if is_fax}
    tags: dict[int, tuple[int, ...]] = {256: (header.segment[0] if is_fax else row_bytes,)}
    tags |= {257: (rows,), 258: (1 if is_fax else 8,), 259: (header.compression,)}
    tags |= {262: (MIN_IS_BLACK,), 273: (0,), 277: (1,), 278: (rows,), 279: (len(stream),)}
    place = len(_write_directory("<", tags | options))
    head = _write_directory("<", tags | options | {273: (place,)})
    with warned() as caught:
        pixels = np.array(TiffImageFile(BytesIO(head + stream)).convert("L"))
    if caught:
        raise ValueError(str(caught[0]))
    return (np.packbits(pixels > 0, axis=1) if is_fax else pixels).tobytes()


def _read_lerc(stream: bytes) -> tuple[int, int, int, int, float]:
    """Give rows, columns, samples, valid pixels and the greatest error. Raises struct.error."""
    version = int.from_bytes(stream[6:10], "little") if stream.startswith(b"Lerc2 ") else 0
    if not 3 <= version <= 6:
        raise struct.error("LERC of a version that is not read")
    rows, columns, depth, valid = struct.unpack_from("<iiii", stream, 14)
    if version == 3:
        depth, valid = 1, depth
    (error,) = struct.unpack_from("<d", stream, {3: 38, 6: 50}.get(version, 42))
    return rows, columns, depth, valid, error


def _check_lerc(stream: bytes, part: np.ndarray) -> None:
    """Raise UnreadableError where a pixel of `part`, the beginning of a stream, has no value."""
    rows, columns, _, valid, _ = _read_lerc(stream)
    if valid == rows * columns:
        return
    import imagecodecs

    _, mask = imagecodecs.lerc_decode(stream, masks=True)
    missing = int((mask.reshape(-1, rows, columns)[:, : part.shape[0], : part.shape[1]] == 0).sum())
    if missing:
        raise UnreadableError(f"pixels without a value ({missing} of them)")
