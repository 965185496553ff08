"""Small files that claim, or unpack to, far more than they should: time and memory of refusal.

    python -m tests.campaigns.image_bombs

Each bomb is read as an image and as a label in a process of its own. Negative control: the naive
call that unpacks it takes more memory than the limit.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np

from tests.campaigns.images import assemble

LIMIT_MB = 50
SIDE = 64
HUGE = 6 * 10**7

READ = """
import sys, time
import cv2, imagecodecs, tifffile
from PIL import Image, TiffImagePlugin, WebPImagePlugin
from segcore.config.schema import DataConfig
from segcore.data.decode import decode_image
from segcore.data.label import decode_label
from segcore.errors import SegcoreError
{warm}
files = [open(path, "rb").read() for path in sys.argv[1:]]
def peak_kib():
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM")))
before, start, said = peak_kib(), time.perf_counter(), []
{use}
print((peak_kib() - before) // 1024, round(1000 * (time.perf_counter() - start)), *said, sep="|")
"""
WARM = """
import numpy as np
imagecodecs.zlib_decode(imagecodecs.zlib_encode(bytes(10**6)), out=10**6)
"""
OURS = """
for data in files:
    for read in (lambda: decode_image(data, "bomb", DataConfig()),
                 lambda: decode_label(data, "bomb")):
        try:
            read()
            said.append("read")
        except SegcoreError as error:
            said.append(str(error).replace("|", "/"))
"""


def tags(**changes: list[int]) -> dict[int, tuple[int, list[int]]]:
    """Give the tags of an honest grey picture of one strip, with `changes` (such as t259)."""
    values = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 1, 277: 1, 278: SIDE, 284: 1}
    given = {tag: [value] for tag, value in values.items()}
    given |= {int(name[1:]): value for name, value in changes.items()}
    return {tag: (4, value) for tag, value in given.items()}


def tiff(*parts: bytes, **changes: list[int]) -> bytes:
    return assemble(tags(**changes), list(parts or [bytes(SIDE * SIDE)]))


def _big_jpeg() -> bytes:
    """A JPEG of 64 x 64 pixels whose header claims 65,000 x 65,000."""
    done, data = cv2.imencode(".jpg", np.zeros((SIDE, SIDE), np.uint8))
    assert done
    stream = bytearray(data)
    frame = stream.index(b"\xff\xc0")
    stream[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    return bytes(stream)


def _big_lerc() -> bytes:
    stream = bytearray(imagecodecs.lerc_encode(np.zeros((SIDE, SIDE), np.uint8)))
    stream[14:22] = struct.pack("<ii", 60000, 60000)
    return bytes(stream)


def _chain(length: int, *, is_circle: bool = False) -> bytes:
    """A picture with `length` overviews, whose directories are empty but for saying so."""
    data = bytearray(tiff())
    (count,) = struct.unpack_from("<H", data, 8)
    first = len(data)
    data[10 + 12 * count : 14 + 12 * count] = struct.pack("<I", first)
    for _ in range(length):
        entry = struct.pack("<HHHII", 1, 254, 4, 1, 1)
        data += entry + struct.pack("<I", len(data) + len(entry) + 4)
    return bytes(data[:-4]) + struct.pack("<I", first if is_circle else 0)


def _many_tags() -> bytes:
    """4,096 times the same long tag, all of them in one place of eight megabytes."""
    entry = struct.pack("<HHII", 273, 4, 2**21, 8 + 2 + 4096 * 12 + 4)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 4096) + entry * 4096 + bytes(4) + bytes(2**23)


def _chunks() -> bytes:
    """A PNG of two million empty chunks."""
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"teSt", b"") * 2_000_000


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


BOMBS: dict[str, Callable[[], bytes]] = {
    "a TIFF of 30,000 x 30,000": lambda: tiff(t256=[30000], t257=[30000]),
    "a TIFF of 2^31 columns": lambda: tiff(t256=[2**31]),
    "a TIFF of 16,000 x 16,000 in 64 bits": lambda: tiff(
        t256=[16000], t257=[16000], t258=[64], t278=[16000]
    ),
    "a TIFF whose overviews go round": lambda: _chain(3, is_circle=True),
    "a TIFF of 100,000 overviews": lambda: _chain(100_000),
    "a TIFF of 4,096 long tags": _many_tags,
    "a TIFF of tiles of 2^15 x 2^15": lambda: tiff(
        zlib.compress(bytes(HUGE)), t259=[8], t322=[2**15], t323=[2**15]
    ),
    "a TIFF of tiles of no size": lambda: tiff(t322=[0], t323=[16]),
    "a TIFF of a million strips": lambda: tiff(*[b"\0"] * 2**18, t257=[2**20], t278=[1]),
    "a TIFF of 65,535 channels": lambda: tiff(t277=[65535], t284=[2]),
    "a strip of deflate": lambda: tiff(zlib.compress(bytes(HUGE)), t259=[8]),
    "a strip of Zstandard": lambda: tiff(imagecodecs.zstd_encode(bytes(HUGE)), t259=[50000]),
    "a strip of LZW": lambda: tiff(imagecodecs.lzw_encode(bytes(HUGE)), t259=[5]),
    "a strip of LZMA": lambda: tiff(imagecodecs.lzma_encode(bytes(HUGE)), t259=[34925]),
    "a strip of PackBits": lambda: tiff(b"\x81\0" * (HUGE // 128), t259=[32773]),
    "a strip of JPEG": lambda: tiff(_big_jpeg(), t259=[7]),
    "a strip of LERC": lambda: tiff(_big_lerc(), t259=[34887]),
    "a PNG of two million chunks": _chunks,
    "a WebP of 16,000 x 16,000 in a small frame": lambda: _webp(16383),
    "a WebP of 2^24 columns": lambda: _webp(2**24),
}


def _webp(width: int) -> bytes:
    """An extended WebP that claims `width` columns and rows, around a picture of 64 x 64."""
    done, data = cv2.imencode(".webp", np.zeros((SIDE, SIDE, 3), np.uint8), [64, 101])
    assert done
    inner = data.tobytes()[12:]
    side = (width - 1).to_bytes(3, "little")
    body = b"WEBP" + b"VP8X" + struct.pack("<II", 10, 0) + side + side + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def measure(*paths: Path, use: str = OURS) -> tuple[int, int, list[str]]:
    """Give the megabytes and milliseconds that reading takes, and what was said."""
    code = READ.format(warm=WARM, use=use)
    command = [sys.executable, "-c", code, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    memory, time, *said = run.stdout.strip().split("|")
    return int(memory), int(time), said


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory(prefix="segcore-bombs-") as folder:
        path = Path(folder, "bomb")
        for name, make in BOMBS.items():
            path.write_bytes(make())
            memory, time, said = measure(path)
            failed += memory > LIMIT_MB
            print(f"{name}: {path.stat().st_size} bytes, {memory} MB, {time} ms: {said[0]}")
        path.write_bytes(zlib.compress(bytes(HUGE)))
        naive, _, _ = measure(path, use="import zlib; zlib.decompress(files[0])")
    print(
        f"{len(BOMBS)} bombs: {failed} take more than {LIMIT_MB} MB; negative control: a naive "
        f"call takes {naive} MB to unpack one"
    )
    return int(failed > 0 or naive <= LIMIT_MB)


if __name__ == "__main__":
    raise SystemExit(main())
