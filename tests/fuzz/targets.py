"""What is fuzzed: each reader of files from strangers, with sound files to damage."""

import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segcore.checkpoint.pdparams import decode, encode
from segcore.config.load import parse_document
from segcore.config.schema import DataConfig
from segcore.data.coco import read_coco
from segcore.data.convert.labelme import LabelMe
from segcore.data.decode import decode_image
from segcore.data.label import decode_label
from segcore.data.label_repair import LabelRules, Picture, repair_label
from segcore.data.list_repair import ListText
from segcore.data.listfile import read_class_list, read_rows
from segcore.data.replacement import finish_list_replacement
from segcore.data.split_source import CocoSource

cv2.setNumThreads(1)
MAX_PIXELS = 2**20
HEIGHT, WIDTH = 12, 16


@dataclass(frozen=True)
class Target:
    """A reader: `read` gets the damaged file and a folder to put it in; `seeds` are sound."""

    read: Callable[[bytes, Path], object]
    seeds: tuple[bytes, ...]


def _rng():
    return np.random.default_rng(1)


def _photo():
    return _rng().integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def _classes():
    return _rng().integers(0, 4, (HEIGHT, WIDTH), dtype=np.uint8)


def _encode(pixels, name, **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(file, name, **options)
    return file.getvalue()


def _palette():
    image = Image.fromarray(_classes()).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


def _turned():
    exif = Image.Exif()
    exif[274] = 6
    return exif


def _images():
    photo, grey = _photo(), _classes() * 60
    return (
        _encode(photo, "JPEG"),
        _encode(photo, "JPEG", progressive=True, exif=_turned()),
        _encode(Image.fromarray(photo).convert("CMYK"), "JPEG"),
        _encode(photo, "PNG"),
        _encode(grey, "PNG", bits=4),
        _encode(np.dstack([photo, grey]), "PNG", exif=_turned()),
        _encode(_palette(), "PNG", transparency=1),
        _encode(photo, "BMP"),
        _encode(photo, "TIFF", compression="tiff_lzw"),
        _encode(photo, "TIFF", compression="tiff_adobe_deflate"),
        _encode(photo, "WebP", lossless=True),
        _encode(photo, "WebP", quality=50),
        _encode(Image.fromarray(photo), "GIF"),
    )


def _labels():
    classes = _classes()
    return (
        _encode(classes, "PNG"),
        _encode(classes.astype(np.uint16), "PNG"),
        _encode(_palette(), "PNG"),
        _encode(np.dstack([classes] * 3), "PNG"),
        _encode(np.dstack([classes, np.full_like(classes, 255)]), "PNG"),
        _encode(classes, "PNG", exif=_turned()),
        _encode(_palette(), "BMP"),
        _encode(classes, "TIFF"),
        _encode(classes.astype(np.int32), "TIFF"),
        _encode(classes.astype(np.float32), "TIFF"),
    )


LIST = (
    b"# frames\nimages/a.jpg annotations/a.png\nimages/b c.jpg\tannotations/b c.png\n"
    b'"images/d \\"e\\".jpg" "annotations/d\\u00e9.png"\r\nimages/f.jpg annotations/f.png\n'
)
CLASSES = b"ground\ncoin #ffd700\nnut 12 34 56\ntwo words 255,0,0\n"
YAML = b"""# a training
_base_: other.yaml
model: {name: PP-LiteSeg-T, options: {}}
train: &t
  iters: 500
  learning_rate: 1e-3
  crop_size: [64, 64]
other: *t
text: "a \\u00e9"
long: |
  two
  lines
"""


def _coco():
    square = [1, 1, 9, 1, 9, 8, 1, 8]
    common = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 7], "area": 56.0, "iscrowd": 0}
    runs = {"size": [HEIGHT, WIDTH], "counts": [10, 20, 162]}
    packed = {"size": [HEIGHT, WIDTH], "counts": ":d0R5"}
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT}
        for number in (1, 2)
    ]
    content = {
        "images": images,
        "categories": [{"id": 1, "name": "a"}, {"id": 5, "name": "b"}],
        "annotations": [
            {"id": 1, "segmentation": [square], **common},
            {"id": 2, "segmentation": runs, **common, "iscrowd": 1},
            {"id": 3, "segmentation": packed, **common, "image_id": 2},
        ],
    }
    return (json.dumps(content).encode(), json.dumps(content, indent=1).encode("utf-16"))


def _labelme():
    picture = _encode(_photo(), "PNG")
    import base64

    kinds = {
        "polygon": [[1, 1], [9, 2], [8, 8]], "rectangle": [[1, 1], [6, 6]],
        "circle": [[5, 5], [5, 8]],
        "line": [[0, 0], [9, 9]], "linestrip": [[0, 0], [4, 9], [9, 0]], "point": [[3, 3]],
        "points": [[3, 3], [7, 7]],
    }  # fmt: skip
    shapes = [
        {"label": kind, "points": points, "shape_type": kind, "group_id": None, "flags": {}}
        for kind, points in kinds.items()
    ]
    mask = base64.b64encode(_encode(np.eye(4, dtype=np.uint8), "PNG")).decode()
    shapes.append(
        {
            "label": "m",
            "points": [[2, 2], [5, 5]],
            "shape_type": "mask",
            "mask": mask,
            "group_id": 1,
        }
    )
    content = {
        "version": "5.0.1", "flags": {}, "shapes": shapes, "imagePath": "a.png", "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH,
    }  # fmt: skip
    embedded = {**content, "imageData": base64.b64encode(picture).decode()}
    return (json.dumps(content).encode(), json.dumps(embedded).encode())


def _put(folder, name, data):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def read_labelme(data, folder):
    root = folder / "labelme"
    if not (root / "a.png").exists():
        _put(folder, "labelme/a.png", _encode(_photo(), "PNG"))
    _put(folder, "labelme/a.json", data)
    dataset = LabelMe().read(root)
    for index in range(len(dataset.names)):
        dataset.load(index)


def read_coco_files(data, folder):
    path = _put(folder, "annotations/instance_train.json", data)
    read_coco(path, folder)
    CocoSource(folder)


def read_list_for_repair(data, folder):
    text = ListText.read(data, "train.txt")
    text.repeated()
    ListText.read(text.written((), {}), "train.txt")


def repair(data, folder):
    rules = LabelRules({255: 1}, {(0, 0, 0): 0, (1, 1, 1): 1}, True, MAX_PIXELS)
    repair_label(data, "a.png", Picture((HEIGHT, WIDTH), 6), rules)


PLAN = (
    b'{"retire":{"train.txt":"train.txt.bak"},'
    b'"install":{".planned-list-12-0123abcd0123abcd0123abcd":"train.txt"}}'
)

TARGETS = {
    "list": Target(lambda data, folder: list(read_rows(_put(folder, "a.txt", data))), (LIST,)),
    "classes": Target(
        lambda data, folder: read_class_list(_put(folder, "b.txt", data)), (CLASSES,)
    ),
    "list-repair": Target(read_list_for_repair, (LIST, LIST.decode().encode("utf-16"))),
    "label": Target(lambda data, folder: decode_label(data, "a.png", MAX_PIXELS), _labels()),
    "label-repair": Target(repair, _labels()),
    "image": Target(
        lambda data, folder: decode_image(data, "a.png", DataConfig(max_pixels=MAX_PIXELS)),
        _images(),
    ),
    "labelme": Target(read_labelme, _labelme()),
    "coco": Target(read_coco_files, _coco()),
    "yaml": Target(
        lambda data, folder: parse_document(data.decode("utf-8", "replace"), "a.yaml"), (YAML,)
    ),
    "weights": Target(
        lambda data, folder: decode(data, source="a.pdparams"),
        (encode({"a.weight": np.ones((2, 3), np.float32), "b": np.arange(4)}),),
    ),
    "plan": Target(
        lambda data, folder: finish_list_replacement(
            _put(folder, "plans/.list-replacement.json", data).parent
        ),
        (PLAN,),
    ),
}


def _allocate(data, folder):
    return bytearray(2**32)


def _recurse(data, folder):
    return _recurse(data, folder)


# What the harness has to notice; a fuzzer that never finds anything proves nothing.
PLANTED = {
    "raises": Target(lambda data, folder: data.index(b"\0\1\2\3nothing"), (LIST,)),
    "recurses": Target(_recurse, (LIST,)),
    "allocates": Target(_allocate, (LIST,)),
    "crashes": Target(lambda data, folder: os.abort(), (LIST,)),
    "warns": Target(lambda data, folder: np.float32(1e38) * np.float32(10), (LIST,)),
    "hangs": Target(lambda data, folder: time.sleep(60), (LIST,)),
}
