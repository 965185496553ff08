"""TIFF and PNG files of every kind, read as images and as labels and compared with numpy.

The files are written here, byte by byte, from arrays that numpy draws: what segcore reads must be
those arrays, turned upright and scaled as the file and the configuration say. Tifffile and Pillow
write some as well, in the compressions that are theirs.

    python -m tests.campaigns.images
    python -m tests.campaigns.images --count 400

Negative control: the same files read by OpenCV and Pillow alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps

from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image
from segcore.data.label import decode_label
from segcore.errors import SegcoreError

HEIGHT, WIDTH = 29, 37  # neither divides into strips, tiles or bytes
FLOAT_TOP = 1000.0
COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773, "lzma": 34925, "zstd": 50000}

# How a stored picture is turned to stand upright
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@dataclass(frozen=True)
class Layout:
    """What the channels are: PhotometricInterpretation, ExtraSamples, and how many are colours.

    `channels` are the values of data.channels with which such a file can be read.
    """

    photometric: int
    extra: tuple[int, ...]
    colours: int
    channels: tuple[int, ...]
    warning: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        named = {0: 1, 1: 1, 2: 3, 3: 1}[self.photometric]
        return named + len(self.extra)


LAYOUTS = {
    "grey": Layout(1, (), 1, (1, 3)),
    "white": Layout(0, (), 1, (1, 3)),
    "grey, alpha": Layout(1, (2,), 1, (1, 2, 3), ("alpha", "transparent")),
    "grey, multiplied": Layout(1, (1,), 1, (1, 2, 3), ("alpha", "multiplied")),
    "rgb": Layout(2, (), 3, (3,)),
    "rgb, alpha": Layout(2, (2,), 3, (3, 4), ("alpha", "transparent")),
    "rgb, multiplied": Layout(2, (1,), 3, (3, 4), ("alpha", "multiplied")),
    "rgb, unnamed": Layout(2, (0,), 3, (3, 4), ("extra-channel",)),
    "as GDAL": Layout(1, (0, 0), 3, (3,)),
    "as GDAL, alpha": Layout(1, (0, 0, 2), 3, (3, 4), ("alpha", "transparent")),
    "2 bands": Layout(1, (0,), 2, (2,)),
    "5 bands": Layout(1, (0, 0, 0, 0), 5, (5,)),
    "palette": Layout(3, (), 1, (3,)),
}

TYPES = (
    *("u1", "u2", "u4", "u8", "u10", "u12", "u14", "u16", "u32"),
    *("i8", "i16", "i32", "f16", "f32", "f64"),
)


@dataclass(frozen=True)
class Tiff:
    """A kind of TIFF file; `type` is u, i or f and the number of bits."""

    type: str = "u8"
    layout: str = "grey"
    is_planar: bool = False
    order: str = "<"
    is_big: bool = False
    parts: str = "strips"
    orientation: int = 1
    compression: str = "none"
    predictor: int = 1
    fill_order: int = 1

    @property
    def bits(self) -> int:
        return int(self.type[1:])

    @property
    def top(self) -> float:
        return {"u": 2**self.bits - 1, "i": 2 ** (self.bits - 1) - 1, "f": FLOAT_TOP}[self.type[0]]

    @property
    def is_deep(self) -> bool:
        return self.layout != "palette" and (self.bits > 8 or self.type[0] != "u")

    @property
    def value_range(self) -> tuple[float, float]:
        return (-self.top - 1 if self.type[0] == "i" else 0, self.top)

    @property
    def is_written(self) -> bool:
        """Whether there are such files."""
        kind = LAYOUTS[self.layout]
        if self.layout == "palette" and (self.type[0] != "u" or self.bits > 8):
            return False
        if self.layout == "white" and self.type[0] != "u":
            return False  # which value is black, nobody can tell
        if self.is_planar and kind.samples == 1:
            return False
        if self.predictor == 2:
            return self.compression != "none" and self.bits in (8, 16, 32, 64)
        if self.predictor == 3:
            return self.compression != "none" and self.type[0] == "f"
        return True

    def draw(self, rng: np.random.Generator, is_label: bool = False) -> np.ndarray:
        """Draw samples (HEIGHT, WIDTH, S) over the whole range, or the classes of a label."""
        shape = (HEIGHT, WIDTH, LAYOUTS[self.layout].samples)
        if self.type[0] == "f":
            return (rng.random(shape) * FLOAT_TOP).astype(f"f{self.bits // 8}")
        low, high = (int(value) for value in self.value_range)
        low, high = (0, min(high, 200)) if is_label else (low, high)
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.bits)
        return rng.integers(low, high + 1, shape).astype(f"{self.type[0]}{size}")


PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3), dtype=np.uint8)


def write_tiff(kind: Tiff, samples: np.ndarray) -> bytes:
    """Write samples (H, W, S) as a file of that kind."""
    layout = LAYOUTS[kind.layout]
    height, width, count = samples.shape
    planes = [samples[..., i : i + 1] for i in range(count)] if kind.is_planar else [samples]
    part_height, part_width = {"strip": (height, width), "strips": (8, width), "tiles": (16, 32)}[
        kind.parts
    ]
    parts = []
    for plane in planes:
        for top, left in itertools.product(
            range(0, height, part_height), range(0, width, part_width)
        ):
            part = plane[top : top + part_height, left : left + part_width]
            if kind.parts == "tiles":  # what lies beyond the image may be anything
                missing = [(0, part_height - part.shape[0]), (0, part_width - part.shape[1])]
                part = np.pad(part, [*missing, (0, 0)], mode="edge")
            parts.append(_reverse(kind, _compress(kind, _pack(kind, part))))
    sample_format = {"u": 1, "i": 2, "f": 3}[kind.type[0]]
    tags: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [kind.bits] * count),
        259: (3, [COMPRESSIONS[kind.compression]]), 262: (3, [layout.photometric]),
        266: (3, [kind.fill_order]), 274: (3, [kind.orientation]), 277: (3, [count]),
        284: (3, [2 if kind.is_planar else 1]), 317: (3, [kind.predictor]),
        339: (3, [sample_format] * count),
    }  # fmt: skip
    if kind.parts == "tiles":
        tags |= {322: (3, [part_width]), 323: (3, [part_height])}
    else:
        tags |= {278: (4, [part_height])}
    if layout.extra:
        tags[338] = (3, list(layout.extra))
    if layout.photometric == 3:
        tags[320] = (3, (PALETTE[: 2**kind.bits].T.astype(int) * 257).ravel().tolist())
    return assemble(tags, parts, kind.order, kind.is_big)


def assemble(
    tags: dict[int, tuple[int, list[int]]],
    parts: list[bytes],
    order: str = "<",
    is_big: bool = False,
) -> bytes:
    """Write a file of one directory: `tags` are the types and values, `parts` strips or tiles."""
    offsets, sizes = (324, 325) if 322 in tags else (273, 279)
    wide = 16 if is_big else 4
    tags = tags | {sizes: (wide, [len(part) for part in parts]), offsets: (wide, [0] * len(parts))}
    mark = b"II" if order == "<" else b"MM"
    if is_big:
        head = (
            mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 16) + struct.pack(f"{order}Q", len(tags))
        )
    else:
        head = mark + struct.pack(f"{order}HIH", 42, 8, len(tags))
    entry_size, inline = (20, 8) if is_big else (12, 4)
    letters, widths = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}, {1: 1, 3: 2, 4: 4, 7: 1, 16: 8}
    place = len(head) + entry_size * len(tags) + inline
    outside = {}
    for tag, (form, values) in sorted(tags.items()):
        if len(values) * widths[form] > inline:
            outside[tag] = place
            place += len(values) * widths[form] + len(values) * widths[form] % 2
    for number, part in enumerate(parts):
        tags[offsets][1][number] = place
        place += len(part) + len(part) % 2
    body = b""
    for tag, (form, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{letters[form]}", *values)
        if tag in outside:
            body += packed + bytes(len(packed) % 2)
            packed = struct.pack(f"{order}{'Q' if is_big else 'I'}", outside[tag])
        head += struct.pack(f"{order}HH{'Q' if is_big else 'I'}", tag, form, len(values))
        head += packed.ljust(inline, b"\0")
    return head + bytes(inline) + body + b"".join(part + bytes(len(part) % 2) for part in parts)


def _pack(kind: Tiff, part: np.ndarray) -> bytes:
    """Give the bytes of a strip or tile before they are compressed; rows begin at a byte."""
    height, width, count = part.shape
    if kind.bits not in (8, 16, 32, 64):
        shifts = np.arange(kind.bits - 1, -1, -1)
        bits = (part.reshape(height, -1, 1) >> shifts) & 1
        return np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    if kind.predictor == 2:
        whole = part.view(f"u{part.itemsize}")
        part = whole.copy()
        part[:, 1:] -= whole[:, :-1]
    if kind.predictor == 3:
        rows = part.astype(part.dtype.newbyteorder(">")).view(np.uint8)
        planes = rows.reshape(height, width * count, part.itemsize).swapaxes(1, 2)
        rows = planes.reshape(height, -1)
        differences = rows.copy()
        differences[:, count:] -= rows[:, :-count]
        return differences.tobytes()
    return part.astype(part.dtype.newbyteorder(kind.order)).tobytes()


def _reverse(kind: Tiff, data: bytes) -> bytes:
    if kind.fill_order == 1:
        return data
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return np.packbits(bits).tobytes()


def _compress(kind: Tiff, data: bytes) -> bytes:
    if kind.compression == "none":
        return data
    if kind.compression == "deflate":
        return zlib.compress(data)
    encode: Callable[[bytes], bytes] = getattr(imagecodecs, f"{kind.compression}_encode")
    return bytes(encode(data))


def as_seen(kind: Tiff, samples: np.ndarray, channels: int) -> np.ndarray:
    """Give the picture (H, W, C) uint8 that such samples are, by numpy alone."""
    layout = LAYOUTS[kind.layout]
    if kind.layout == "palette":
        seen = PALETTE[samples[..., 0]]
    else:
        values = samples if channels not in (1, 3) else samples[..., : layout.colours]
        values = values.astype(np.float64)
        low, high = kind.value_range
        if kind.layout == "white":
            values = high - values
        seen = np.rint((values - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    if seen.shape[2] == 1 and channels == 3:
        seen = seen.repeat(3, axis=2)
    return UPRIGHT[kind.orientation](seen)


@dataclass
class Outcome:
    """What came of some files."""

    count: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.count + other.count, self.wrong + other.wrong, self.refused + other.refused
        )


@dataclass(frozen=True)
class Case:
    """A file and what must be read from it; `label` is what it must be as a label, if anything."""

    name: str
    data: bytes
    image: np.ndarray
    config: DataConfig
    warnings: tuple[str, ...] = ()
    label: np.ndarray | None = None


Read = Callable[[Case], tuple[np.ndarray, tuple[str, ...]]]


def read(case: Case) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read as segcore does."""
    return decode_image(case.data, case.name, case.config)


def read_naively(case: Case) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read as one does who asks OpenCV, or Pillow where there are 8 bits."""
    array = np.frombuffer(case.data, np.uint8)
    if case.config.value_range is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mode = "L" if case.config.channels == 1 else "RGB"
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(case.data)))
            return np.atleast_3d(np.array(image.convert(mode))), ()
    image = cv2.imdecode(array, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("OpenCV reads nothing")
    low, high = case.config.value_range
    with np.errstate(invalid="ignore"):  # of what OpenCV never wrote
        image = np.atleast_3d(image)[..., :3][..., ::-1].astype(np.float64)
        scaled = np.rint((image - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    return scaled.repeat(3 // scaled.shape[2], axis=2), ()


def compare(cases: Iterator[Case], how: Read = read) -> Outcome:
    """Read each file as an image, and as a label where it is one."""
    outcome = Outcome()
    for case in cases:
        outcome.count += 1
        try:
            image, codes = how(case)
        except (SegcoreError, ValueError, OSError, cv2.error) as error:
            outcome.refused.append(f"{case.name}: {error}")
            continue
        if image.shape != case.image.shape or not np.array_equal(image, case.image):
            outcome.wrong.append(case.name)
        elif how is read and set(codes) - {"rotated-square"} != set(case.warnings):
            outcome.wrong.append(f"{case.name}: warnings {codes}")
        if case.label is not None and how is read:
            try:
                label = decode_label(case.data, case.name)
            except SegcoreError as error:
                outcome.refused.append(f"{case.name} as a label: {error}")
                continue
            if not np.array_equal(label, case.label):
                outcome.wrong.append(f"{case.name} as a label")
    return outcome


def tiff_kinds() -> Iterator[Tiff]:
    """Give every kind: types by layouts by storage, compressions, orientations, fill orders."""
    turned = itertools.cycle(UPRIGHT)
    for kind_type, layout, is_planar, order, is_big, parts in itertools.product(
        TYPES, LAYOUTS, (False, True), "<>", (False, True), ("strip", "strips", "tiles")
    ):
        yield Tiff(kind_type, layout, is_planar, order, is_big, parts, next(turned))
    for compression, predictor, kind_type, layout, order, parts, is_planar in itertools.product(
        COMPRESSIONS, (1, 2, 3), TYPES, ("grey", "white", "rgb", "as GDAL, alpha", "palette"), "<>",
        ("strips", "tiles"), (False, True),
    ):  # fmt: skip
        if compression != "none":
            yield Tiff(kind_type, layout, is_planar, order, False, parts, 1, compression, predictor)
    for orientation, kind_type, layout in itertools.product(UPRIGHT, TYPES, ("grey", "rgb")):
        yield Tiff(kind_type, layout, parts="tiles", orientation=orientation)
    for kind_type, layout, compression in itertools.product(TYPES, LAYOUTS, COMPRESSIONS):
        yield Tiff(kind_type, layout, compression=compression, fill_order=2)


def tiff_cases(kinds: list[Tiff], seed: int) -> Iterator[Case]:
    """Write an image of each kind for each number of channels, and a label where it is one."""
    for number, kind in enumerate(kinds):
        layout = LAYOUTS[kind.layout]
        rng = np.random.default_rng([seed, number])
        samples = kind.draw(rng)
        found = layout.warning[-1:]
        if layout.warning and layout.warning[0] == "alpha" and rng.integers(2):
            samples[..., -1] = 1 if kind.type[0] == "f" else kind.top
            found = ("alpha",)
        data = write_tiff(kind, samples)
        for channels in layout.channels:
            config = DataConfig(
                channels=channels, value_range=kind.value_range if kind.is_deep else None
            )
            yield Case(
                f"{kind} of {channels} channels",
                data,
                as_seen(kind, samples, channels),
                config,
                found if channels in (1, 3) else (),
            )
        if layout.samples == 1 and kind.type[0] != "f":
            upright = replace(kind, orientation=1)
            samples = upright.draw(rng, is_label=True)
            yield Case(
                f"{upright}",
                write_tiff(upright, samples),
                as_seen(upright, samples, 3),
                DataConfig(value_range=kind.value_range if kind.is_deep else None),
                label=samples[..., 0],
            )


def library_cases(seed: int) -> Iterator[Case]:
    """Write files with tifffile, imagecodecs and Pillow: the compressions and layouts of theirs."""
    rng = np.random.default_rng(seed)
    byte = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    deep, fractions = byte.astype(np.uint16), byte.astype(np.float32)
    config, scaled = DataConfig(), DataConfig(value_range=(0, 255))
    grey = np.dstack([byte[..., 0]] * 3)
    for compression, order, is_big, tile in itertools.product(
        ("none", "lzw", "zlib", "packbits", "lzma", "zstd", "lerc"), "<>", (False, True),
        (None, (16, 32)),
    ):  # fmt: skip
        given: dict[str, Any] = {"compression": compression, "tile": tile}
        for array, how, predictor in itertools.product(
            (byte, deep, fractions), ("contig", "separate", "grey"), (False, True)
        ):
            if (predictor and compression in ("none", "lerc")) or (order, compression) == (
                ">",
                "lerc",
            ):
                continue
            layout = {"photometric": "rgb", "planarconfig": how}
            stored, seen = array if how == "contig" else np.moveaxis(array, -1, 0), byte
            if how == "grey":
                stored, seen, layout = array[..., 0], grey, {"photometric": "minisblack"}
            file = io.BytesIO()
            with tifffile.TiffWriter(file, byteorder=order, bigtiff=is_big) as writer:
                writer.write(np.ascontiguousarray(stored), **given, **layout, predictor=predictor)
            is_label = how == "grey" and array.dtype.kind == "u"
            yield Case(
                f"tifffile {compression} {order} {is_big} {tile} {array.dtype} {how} {predictor}",
                file.getvalue(),
                seen,
                config if array is byte else scaled,
                label=array[..., 0] if is_label else None,
            )
    fax = rng.integers(0, 2, (HEIGHT, WIDTH)).astype(bool)
    for name in ("group3", "group4", "tiff_ccitt"):
        file = io.BytesIO()
        Image.fromarray(fax).save(file, "TIFF", compression=name)
        seen = np.dstack([fax * np.uint8(255)] * 3)
        with tifffile.TiffFile(io.BytesIO(file.getvalue())) as tiff:
            is_white = tiff.pages[0].photometric == 0
        yield Case(name, file.getvalue(), seen, config, label=fax ^ is_white)


# PNG


@dataclass(frozen=True)
class Png:
    """A kind of PNG file; `chunks` are those that must change nothing."""

    colour: int
    bits: int
    is_interlaced: bool = False
    has_transparency: bool = False
    chunks: tuple[bytes, ...] = ()
    orientation: int = 1

    @property
    def samples(self) -> int:
        return {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[self.colour]


CHUNKS = {
    b"gAMA": struct.pack(">I", 100000),
    b"sBIT": b"",
    b"iCCP": b"profile\0\0"
    + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    b"sRGB": b"\0",
    b"pHYs": struct.pack(">IIB", 3, 7, 0),
    b"tEXt": b"Comment\0 written by hand",
}

# First row and column of each pass, and the steps to the next ones
ADAM7 = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)


def png_kinds() -> Iterator[Png]:
    """Give every kind: colour types by depths by interlacing by chunks by orientations."""
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    sets = ((), (b"gAMA",), (b"sBIT",), (b"iCCP",), (b"gAMA", b"sBIT", b"sRGB", b"pHYs", b"tEXt"))
    for colour, is_interlaced, has_transparency, chunks, orientation in itertools.product(
        depths, (False, True), (False, True), sets, UPRIGHT
    ):
        for bits in depths[colour]:
            is_written = not (has_transparency and colour >= 4)
            if is_written and not (b"iCCP" in chunks and colour in (0, 4)):  # the profile is RGB
                yield Png(colour, bits, is_interlaced, has_transparency, chunks, orientation)


def write_png(kind: Png, samples: np.ndarray, rng: np.random.Generator) -> tuple[bytes, bool]:
    """Write samples (H, W, S); say whether some pixel is transparent."""
    height, width, count = samples.shape
    head = struct.pack(
        ">IIBBBBB", width, height, kind.bits, kind.colour, 0, 0, int(kind.is_interlaced)
    )
    chunks = [_chunk(b"IHDR", head)]
    for name in kind.chunks:
        depth = min(kind.bits, 8) if kind.colour == 3 else kind.bits
        content = CHUNKS[name] or bytes([max(1, depth - 1)] * (3 if kind.colour == 3 else count))
        chunks.append(_chunk(name, content))
    if kind.colour == 3:
        chunks.append(_chunk(b"PLTE", PALETTE[: 2**kind.bits].tobytes()))
    is_transparent = False
    if kind.has_transparency and kind.colour == 3:
        chunks.append(_chunk(b"tRNS", bytes([255, 0])))
        is_transparent = bool((samples == 1).any())
    elif kind.has_transparency:
        key = samples[height // 2, width // 2]
        chunks.append(_chunk(b"tRNS", struct.pack(f">{count}H", *key.tolist())))
        is_transparent = True
    if kind.orientation != 1:
        exif = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, kind.orientation, 0, 0)
        chunks.append(_chunk(b"eXIf", exif))
    passes = ADAM7 if kind.is_interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        _filter_rows(kind, samples[top::down, left::across], rng)
        for top, left, down, across in passes
    )
    packed = zlib.compress(rows)
    parts = packed[: len(packed) // 2], packed[len(packed) // 2 :]
    chunks += [_chunk(b"IDAT", part) for part in parts] + [_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks), is_transparent


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def _filter_rows(kind: Png, part: np.ndarray, rng: np.random.Generator) -> bytes:
    """Give the rows of a picture, each with a filter of its own: none, left or above."""
    if part.size == 0:
        return b""
    depth = Tiff(type=f"u{kind.bits}", order=">")
    packed = [np.frombuffer(_pack(depth, row[None]), np.uint8) for row in part]
    step = max(1, part.shape[2] * kind.bits // 8)
    out, above = b"", np.zeros_like(packed[0])
    for row in packed:
        choice = int(rng.integers(3))
        left = np.concatenate([np.zeros(step, np.uint8), row[:-step]])[: row.size]
        out += bytes([choice]) + (row - (0, left, above)[choice]).astype(np.uint8).tobytes()
        above = row
    return out


def png_cases(kinds: list[Png], seed: int) -> Iterator[Case]:
    """Write an image of each kind for each number of channels, which is a label, too."""
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng([seed, number])
        dtype = np.uint16 if kind.bits > 8 else np.uint8
        samples = rng.integers(0, 2**kind.bits, (HEIGHT, WIDTH, kind.samples)).astype(dtype)
        data, is_transparent = write_png(kind, samples, rng)
        name = {0: "grey", 2: "rgb", 3: "palette", 4: "grey, alpha", 6: "rgb, alpha"}[kind.colour]
        like = Tiff(type=f"u{kind.bits}", layout=name, orientation=kind.orientation)
        found = ()
        if kind.colour >= 4 or kind.has_transparency:
            found = ("transparent" if is_transparent or kind.colour >= 4 else "alpha",)
        value_range = like.value_range if like.is_deep else None
        for channels in LAYOUTS[name].channels:
            yield Case(
                f"{kind} of {channels} channels",
                data,
                as_seen(like, samples, channels),
                DataConfig(channels=channels, value_range=value_range),
                found if channels in (1, 3) else (),
                samples[..., 0] if kind.samples == 1 and kind.orientation == 1 else None,
            )


def spread(kinds: list[Any], count: int | None, seed: int) -> list[Any]:
    """Give `count` of the kinds, drawn without favour, or all of them."""
    if count is None or count >= len(kinds):
        return kinds
    chosen = np.random.default_rng(seed).permutation(len(kinds))[:count]
    return [kinds[index] for index in sorted(chosen)]


def all_cases(count: int | None, seed: int) -> dict[str, Callable[[], Iterator[Case]]]:
    """Give the cases of each format, `count` kinds of each or all."""
    tiffs = spread([kind for kind in tiff_kinds() if kind.is_written], count, seed)
    pngs = spread(list(png_kinds()), count, seed)
    return {
        "TIFF": lambda: itertools.chain(tiff_cases(tiffs, seed), library_cases(seed)),
        "PNG": lambda: png_cases(pngs, seed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="kinds of files a format; all by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(AttributeError):  # OpenCV 4.6 has no such module
        cv2.utils.logging.setLogLevel(0)  # the negative control has much to complain of
    failed = False
    for name, cases in all_cases(options.count, options.seed).items():
        ours, naive = compare(cases()), compare(cases(), read_naively)
        failed |= bool(ours.wrong or ours.refused) or not naive.wrong
        print(*ours.wrong[:10], *ours.refused[:10], sep="\n")
        print(
            f"{name}: {ours.count} combinations compared with numpy: {len(ours.wrong)} wrong, "
            f"{len(ours.refused)} refused; negative control: OpenCV and Pillow alone give "
            f"{len(naive.wrong)} wrong and refuse {len(naive.refused)}"
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
