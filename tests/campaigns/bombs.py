"""Small files that want much memory or time, and what refusing them costs.

Those of images are in `tests.campaigns.image_bombs`.

Each bomb is read in a process of its own, whose memory and time are measured from when everything
is imported; a harmless file of the same kind is read before, so that what a first call costs is not
counted. The table says how large the file is, how long its refusal takes, and how much memory more.

    python -m tests.campaigns.bombs [--bomb yaml-keys]...

Negative controls: the same archive through `zipfile`, and the same JSON through `json`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

MOST_SECONDS = 3.0
MOST_MEMORY = 2**28
"""A refusal that takes more is none. The file itself may be read whole."""


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, more: bytes = b"", kind: int = 0, bits: int = 8) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    row = (width * bits * {0: 1, 2: 3, 6: 4}[kind] + 7) // 8 + 1
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(row)) for _ in range(height)) + packer.flush()
    body = _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + more + body


def png_colours() -> bytes:
    return _png(3000, 3000, kind=2)


def json_deep() -> bytes:
    return b'{"images": ' + b"[" * 10_000_000


def json_digits() -> bytes:
    return b'{"images": [' + b",".join([b"9" * 4301] * 2000) + b"]}"


def json_numbers() -> bytes:
    prime = 2**61 - 1
    ids = ",".join(f'{{"id":{n * prime},"file_name":"a"}}' for n in range(1, 40_000))
    return f'{{"images": [{ids}], "annotations": [], "categories": []}}'.encode()


def labelme_mask() -> bytes:
    mask = base64.b64encode(_png(12_000, 12_000)).decode()
    shape = {"label": "x", "points": [[0, 0], [7, 7]], "shape_type": "mask", "mask": mask}
    return json.dumps({"shapes": [shape] * 5, "imagePath": "a.png"}).encode()


def labelme_points() -> bytes:
    points = [[n % 8, n // 8 % 8] for n in range(1_000_000)]
    shape = {"label": "x", "points": points, "shape_type": "polygon"}
    return json.dumps({"shapes": [shape], "imagePath": "a.png"}).encode()


def coco_runs() -> bytes:
    side = 2**31 - 1
    runs = {"size": [side, side], "counts": [side * 200, side * (side - 200)]}
    return _coco({"segmentation": runs, "width": side})


def coco_points() -> bytes:
    return _coco({"segmentation": [[1.5, 2.5] * 2_000_000]})


def _coco(record: dict[str, object]) -> bytes:
    base = {"id": 1, "image_id": 1, "category_id": 1}
    image = {"id": 1, "file_name": "a.png", "width": 8, "height": 8}
    content = {"images": [image], "categories": [{"id": 1, "name": "x"}]}
    return json.dumps({**content, "annotations": [{**base, **record}]}).encode()


def yaml_aliases() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines).encode()


def yaml_keys() -> bytes:
    return ("a:\n" + "".join(f"  {n * (2**61 - 1)}: 0\n" for n in range(30_000))).encode()


def list_line() -> bytes:
    return b"a" * 100_000_000


def classes() -> bytes:
    return b"".join(b"class %d\n" % n for n in range(1_000_000))


def pickle_keys() -> bytes:
    def number(n: int) -> bytes:
        size = n.bit_length() // 8 + 1
        return bytes([0x8A, size]) + n.to_bytes(size, "little", signed=True)

    items = b"".join(number(n * (2**61 - 1)) + b"N" for n in range(100_000))
    return b"\x80\x04}(" + items + b"u."


def pickle_memo() -> bytes:
    """Lists of twice the one before: a walk meets 2**200 values."""
    levels = b"".join(b"](" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"e\x94" for n in range(200))
    return b"\x80\x04](]\x94" + levels + b"e."


def safetensors_shape() -> bytes:
    entry = {"dtype": "F32", "shape": [2**31, 2**31, 0], "data_offsets": [0, 0]}
    head = json.dumps({"a": entry}).encode()
    return struct.pack("<Q", len(head)) + head


def zip_zeros() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for n in range(20):
            archive.writestr(f"{n}.pdparams", bytes(2**26))
    return file.getvalue()


def zip_members() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for n in range(65_000):
            archive.writestr(str(n), b"")
    return file.getvalue()


@dataclass(frozen=True)
class Bomb:
    """A file, what reads it, and whether it must be refused."""

    make: Callable[[], bytes]
    reader: str
    is_refused: bool = True


BOMBS = {
    "png-colours": Bomb(png_colours, "label"),
    "json-deep": Bomb(json_deep, "coco"),
    "json-digits": Bomb(json_digits, "coco"),
    "json-numbers": Bomb(json_numbers, "coco", is_refused=False),
    "labelme-mask": Bomb(labelme_mask, "labelme", is_refused=False),
    "labelme-points": Bomb(labelme_points, "labelme", is_refused=False),
    "coco-runs": Bomb(coco_runs, "coco", is_refused=False),
    "coco-points": Bomb(coco_points, "coco", is_refused=False),
    "yaml-aliases": Bomb(yaml_aliases, "yaml"),
    "yaml-keys": Bomb(yaml_keys, "yaml"),
    "list-line": Bomb(list_line, "list"),
    "classes": Bomb(classes, "classes"),
    "pickle-keys": Bomb(pickle_keys, "weights"),
    "pickle-memo": Bomb(pickle_memo, "weights"),
    "safetensors-shape": Bomb(safetensors_shape, "safetensors"),
    "zip-zeros": Bomb(zip_zeros, "archive"),
    "zip-members": Bomb(zip_members, "archive"),
}


def _read(reader: str, path: Path) -> None:
    """Read a file as segcore does. Raises SegcoreError."""
    from segcore.checkpoint.archive import unpack
    from segcore.checkpoint.weights import read_weights
    from segcore.config.load import read_yaml
    from segcore.data.coco import read_coco
    from segcore.data.convert.labelme import LabelMe
    from segcore.data.label import decode_label
    from segcore.data.listfile import read_class_list, read_rows
    from segcore.data.paths import read_file

    if reader == "labelme":
        dataset = LabelMe().read(path.parent)
        for index in range(len(dataset.names)):
            dataset.load(index)
        return
    readers: dict[str, Callable[[], object]] = {
        "label": lambda: decode_label(read_file(path, path.name), path.name),
        "coco": lambda: read_coco(path),
        "yaml": lambda: read_yaml(path),
        "list": lambda: list(read_rows(path)),
        "classes": lambda: read_class_list(path),
        "weights": lambda: read_weights(path),
        "safetensors": lambda: read_weights(path),
        "archive": lambda: unpack(path, path.with_name("unpacked")),
        "zipfile": lambda: _unzip(path),
        "json": lambda: _json(path),
    }
    readers[reader]()


def _unzip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    sum(map(len, content.values()))


def _json(path: Path) -> None:
    content = json.loads(path.read_bytes())
    {record["id"]: record for record in content["images"]}


_HARMLESS: dict[str, Callable[[], bytes]] = {
    "label": lambda: _png(8, 8),
    "coco": lambda: _coco({"segmentation": [[1, 1, 5, 1, 5, 5]]}), "yaml": lambda: b"a: 1\n",
    "list": lambda: b"a b\n", "classes": lambda: b"a\n",
    "json": lambda: b'{"images": []}',
}  # fmt: skip


def explode(reader: str, path: Path) -> dict[str, object]:
    """Read the file in this process, after a harmless one; give what it cost."""
    from segcore.errors import SegcoreError

    with tempfile.TemporaryDirectory() as folder:
        harmless = Path(folder, path.name)
        if reader in _HARMLESS:
            harmless.write_bytes(_HARMLESS[reader]())
        with contextlib.suppress(SegcoreError, OSError):
            _read(reader, harmless)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    said = "read"
    try:
        _read(reader, path)
    except SegcoreError as error:
        said = f"refused: {error}"
    except Exception as error:  # what must not happen is reported, too
        said = f"foreign: {type(error).__name__}: {error}"
    seconds = time.monotonic() - begun
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"said": said.splitlines()[0][:300], "seconds": seconds, "memory": max(0, memory)}


def measure(reader: str, path: Path, limit_s: float = 120.0) -> dict[str, object]:
    """Read the file in a process of its own, of at most 8 GiB."""
    command = [sys.executable, "-m", "tests.campaigns.bombs", "--explode", reader, str(path)]
    few = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, check=False,
            env={**os.environ, **few},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"said": f"not done after {limit_s:g} s", "seconds": float(limit_s), "memory": 0}
    if done.returncode != 0:
        return {
            "said": f"died: {done.returncode} {done.stderr[-200:]}",
            "seconds": 0.0,
            "memory": 0,
        }
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def try_bomb(name: str, folder: Path) -> tuple[dict[str, object], str]:
    """Measure the bomb `name`; give that, and what is wrong with it, if anything."""
    bomb = BOMBS[name]
    place = folder / name
    place.mkdir()
    suffix = {
        "weights": ".pdparams", "safetensors": ".safetensors", "archive": ".zip", "coco": ".json",
        "labelme": ".json", "yaml": ".yaml", "list": ".txt", "classes": ".txt",
    }.get(bomb.reader, f".{name.partition('-')[0]}")  # fmt: skip
    path = place / f"a{suffix}"
    path.write_bytes(bomb.make())
    if bomb.reader == "labelme":
        (place / "a.png").write_bytes(_png(8, 8))
    size = path.stat().st_size
    answer = {"bomb": name, "bytes": size, **measure(bomb.reader, path)}
    said, seconds, memory = str(answer["said"]), answer["seconds"], answer["memory"]
    assert isinstance(seconds, float)
    assert isinstance(memory, int)
    wanted = "refused: " if bomb.is_refused else ("refused: ", "read")
    fault = ""
    if not said.startswith(wanted):
        fault = said
    elif seconds > MOST_SECONDS + size / 2**22:
        fault = f"takes {seconds:.1f} s"
    elif memory > MOST_MEMORY + 20 * size:
        fault = f"takes {memory / 2**20:.0f} MiB more"
    return answer, fault


def control(folder: Path) -> list[str]:
    """Measure readers without limits on two of the bombs; name those that were noticed."""
    noticed = []
    for name, reader in (("zip-zeros", "zipfile"), ("json-numbers", "json")):
        path = folder / f"control-{name}"
        path.write_bytes(BOMBS[name].make())
        answer = measure(reader, path, limit_s=30)
        seconds, memory = answer["seconds"], answer["memory"]
        assert isinstance(seconds, float)
        assert isinstance(memory, int)
        if seconds > MOST_SECONDS or memory > MOST_MEMORY:
            noticed.append(name)
    return noticed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bomb", choices=BOMBS, action="append")
    parser.add_argument("--explode", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.explode:
        print(json.dumps(explode(options.explode[0], Path(options.explode[1]))))
        return 0
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.bomb or BOMBS:
            answer, fault = try_bomb(name, Path(folder))
            rows.append(
                (name, answer["bytes"], answer["seconds"], int(str(answer["memory"])) / 2**20,
                 str(answer["said"]).replace(folder, "")[:60])
            )  # fmt: skip
            if fault:
                faults.append(f"{name}: {fault}")
        noticed = control(Path(folder))
    headers = ("bomb", "bytes", "seconds", "MiB more", "what was said")
    print(tabulate(rows, headers, floatfmt=".2f", intfmt=","))
    print("\n".join(faults), end="\n" if faults else "")
    print(
        f"{len(rows)} bombs: {len(faults)} too dear; negative control: {len(noticed)} of 2 readers "
        "without limits noticed"
    )
    return int(bool(faults) or len(noticed) != 2)


if __name__ == "__main__":
    sys.exit(main())
