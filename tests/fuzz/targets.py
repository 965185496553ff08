"""What is fuzzed: each reader of files from strangers, with sound files to damage."""

import base64
import io
import json
import os
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segcore.checkpoint.archive import unpack
from segcore.checkpoint.download import DownloadRules, _Download
from segcore.checkpoint.files import DISK
from segcore.checkpoint.lock import _read_holder
from segcore.checkpoint.manifest import read_any_manifest
from segcore.checkpoint.pdparams import decode, encode
from segcore.checkpoint.weights import read_weights
from segcore.config.load import parse_document
from segcore.config.resolve import resolve_config
from segcore.config.schema import DataConfig
from segcore.data.coco import read_coco
from segcore.data.convert.cvat import CvatConverter
from segcore.data.convert.labelme import LabelMe
from segcore.data.convert.supervisely import SuperviselyConverter
from segcore.data.convert.voc import VocConverter
from segcore.data.decode import decode_image
from segcore.data.label import decode_label
from segcore.data.label_repair import LabelRules, Picture, repair_label
from segcore.data.list_repair import ListText
from segcore.data.listfile import read_class_list, read_rows
from segcore.data.replacement import finish_list_replacement
from segcore.data.split_source import CocoSource
from segcore.discovery.catalogue import get_catalogue
from segcore.engine.state import TrainState
from segcore.errors import DataError
from segcore.export.yml import read_description
from segcore.tasks.rle import decode_mask, read_rle, rle_area, rle_box

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


def _npy(pixels):
    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


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


def read_description_file(data, folder):
    read_description(_put(folder, "export/inference.yml", data))


def read_archive(data, folder):
    path = _put(folder, "archives/a.zip", data)
    shutil.rmtree(folder / "archives/out", ignore_errors=True)
    unpack(path, folder / "archives/out")


def read_set(format_name, file, others):
    """Give a reader of `file` of a dataset in a format, beside sound `others`."""

    def read(data, folder):
        root = folder / format_name
        for name, content in others.items():
            if not (root / name).exists():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)
        dataset = CONVERTERS[format_name]().read(root)
        for index in range(len(dataset.names)):
            dataset.load(index)

    return read


def read_runs(data, folder):
    value = json.loads(data)
    rle = read_rle(value)
    rle_area(rle), rle_box(rle)
    if rle.height * rle.width <= MAX_PIXELS:
        decode_mask(rle)


def _read_json_first(read):
    """Leave inputs that are no JSON to the readers of JSON."""

    def guarded(data, folder):
        try:
            json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DataError("no JSON") from error
        read(data, folder)

    return guarded


def _archive(tar):
    file = io.BytesIO()
    if tar is None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/model.pdparams", b"weights" * 30)
            archive.writestr("b.txt", b"text")
    else:
        with tarfile.open(fileobj=file, mode=tar) as archive:
            info = tarfile.TarInfo("a/model.pdparams")
            info.size = 210
            archive.addfile(info, io.BytesIO(b"weights" * 30))
    return file.getvalue()


def _safetensors():
    from safetensors.numpy import save

    return save({"a.weight": np.ones((2, 3), np.float32), "b": np.arange(4)})


def _supervisely():
    points = {"exterior": [[1, 1], [9, 2], [8, 8]], "interior": [[[3, 3], [4, 3], [4, 4]]]}
    drawing = base64.b64encode(zlib.compress(_encode(np.eye(4, dtype=np.uint8), "PNG"))).decode()
    figures = [
        {"classTitle": "cat", "geometryType": kind, "points": points}
        for kind in ("polygon", "rectangle", "line", "point")
    ]
    figures.append(
        {
            "classTitle": "cat",
            "geometryType": "bitmap",
            "bitmap": {"data": drawing, "origin": [2, 2]},
        }
    )
    content = {"size": {"width": WIDTH, "height": HEIGHT}, "objects": figures}
    return (json.dumps(content).encode(),)


CVAT = b"""<?xml version='1.0'?><annotations><meta><task><labels><label><name>cat</name>
<color>#ff0000</color></label></labels></task></meta>
<image id='0' name='a.png' width='16' height='12'>
<polygon label='cat' points='1,1;9,1;9,9' z_order='0'/>
<box label='cat' xtl='1' ytl='1' xbr='9' ybr='9' rotation='30'/>
<mask label='cat' rle='3, 4, 5, 6, 2' left='1' top='4' width='5' height='4'/>
<ellipse label='cat' cx='5' cy='5' rx='3' ry='4'/><polyline label='cat' points='1,1;5,5'/>
<points label='cat' points='3,3'/></image></annotations>"""
META = b'{"classes": [{"title": "cat", "color": "#ff0000"}]}'
PADDLEX_YML = b"""Global: {model_name: PP-LiteSeg-T}
Deploy:
  model: inference.json
  params: inference.pdiparams
  transforms:
  - type: Resize
    target_size: [512, 512]
  - type: Normalize
    mean: [0.5, 0.5, 0.5]
    std: [0.5, 0.5, 0.5]
"""
DETECTION_YML = b"""mode: paddle
arch: MaskRCNN
mask: true
draw_threshold: 0.5
Preprocess:
- {type: Resize, target_size: [800, 1333], keep_ratio: true, interp: 1}
- {type: NormalizeImage, mean: [0.4, 0.4, 0.4], std: [0.2, 0.2, 0.2], is_scale: true}
- {type: Permute}
- {type: PadStride, stride: 32}
label_list: [cat, dog]
"""
NOTE = b'{"url": "https://a.org/b", "validator": "\\"one\\"", "total_bytes": 12}'
HOLDER = b"""{"host": "a", "boot": "b", "pid": 1, "birth": "2", "started": "now", "token": "t"}"""


def _state():
    from segcore.engine.state import TrainState

    return TrainState(step=3, window={"loss": 0.5}).to_json()


def _manifest():
    from segcore.checkpoint.manifest import FileRecord, Manifest

    files = {"model.pdparams": FileRecord.of(b"weights")}
    return Manifest(run_id="a", step=3, files=files).to_bytes()


def read_note(data, folder):
    target = folder / "notes" / "a.bin"
    _put(folder, "notes/a.bin.part.json", data)
    _Download("https://a.org/b", target, DownloadRules(), DISK, str)._read_note()


CONVERTERS = {"cvat": CvatConverter, "supervisely": SuperviselyConverter, "voc": VocConverter}

PLAN = (
    b'{"retire":{"train.txt":"train.txt.bak"},'
    b'"install":{".planned-list-12-0123abcd0123abcd0123abcd":"train.txt"}}'
)

_PHOTO = _encode(_photo(), "PNG")

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
    "npy": Target(
        lambda data, folder: decode_image(data, "a.npy", DataConfig(max_pixels=MAX_PIXELS)),
        tuple(_npy(pixels) for pixels in (_photo(), _classes(), _classes() / np.float32(4))),
    ),
    "cvat": Target(read_set("cvat", "annotations.xml", {"images/a.png": _PHOTO}), (CVAT,)),
    "supervisely": Target(
        read_set("supervisely", "d/ann/a.png.json", {"meta.json": META, "d/img/a.png": _PHOTO}),
        _supervisely(),
    ),
    "voc": Target(
        read_set(
            "voc",
            "SegmentationObject/a.png",
            {
                "JPEGImages/a.png": _PHOTO,
                "SegmentationClass/a.png": _encode(_classes(), "PNG"),
                "class_names.txt": b"background\na\nb\nc\n",
            },
        ),
        (_encode(_classes(), "PNG"), _encode(_classes().astype(np.uint16) * 300, "PNG")),
    ),
    "config": Target(
        lambda data, folder: resolve_config(
            "FastSCNN", _put(folder, "c.yaml", data), (), {}, get_catalogue()
        ),
        (
            b"train: {iters: 5, batch_size: 2, crop_size: [64, 64]}\ndata: {num_classes: 2, "
            b"label_map: {255: 1}}\neval: {transforms: [{type: Normalize}]}\n",
        ),
    ),
    "description": Target(read_description_file, (PADDLEX_YML, DETECTION_YML)),
    "safetensors": Target(
        lambda data, folder: read_weights(_put(folder, "a.safetensors", data)), (_safetensors(),)
    ),
    "archive": Target(read_archive, tuple(_archive(kind) for kind in (None, "w", "w:gz"))),
    "runs": Target(
        _read_json_first(read_runs),
        (
            b'{"size": [12, 16], "counts": [10, 20, 162]}',
            b'{"size": [12, 16], "counts": ":d0R5"}',
        ),
    ),
    "state": Target(lambda data, folder: TrainState.from_json(data), (_state(),)),
    "manifest": Target(
        lambda data, folder: read_any_manifest(_put(folder, "run/MANIFEST.json", data).parent),
        (_manifest(),),
    ),
    "lock": Target(lambda data, folder: _read_holder(_put(folder, "run.lock", data)), (HOLDER,)),
    "note": Target(read_note, (NOTE,)),
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
    # readers without their guard
    "unguarded-json": Target(
        lambda data, folder: [record["id"] for record in json.loads(data)["images"]], _coco()
    ),
    "unguarded-pillow": Target(lambda data, folder: Image.open(io.BytesIO(data)).load(), _images()),
}
