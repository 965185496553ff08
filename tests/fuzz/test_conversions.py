"""Damaged annotations of every format end in one of segcore's errors, or in a report."""

import json

import numpy as np
import pytest

from segcore.data.convert.run import convert_dataset
from segcore.errors import SegcoreError

from ..data.convert.conftest import (  # noqa: TID252 - tests are no installed package
    bitmap,
    encode,
    labelme,
    mask_shape,
    photo,
    shape,
    write,
)
from .mutation import mutated

MASK = np.ones((5, 6), bool)
SQUARE = [[5, 5], [25, 5], [25, 25], [5, 25]]


def _labelme():
    kinds = {"polygon": SQUARE, "rectangle": SQUARE[::2], "circle": SQUARE[:2], "line": SQUARE[:2],
             "point": SQUARE[:1], "linestrip": SQUARE, "points": SQUARE}  # fmt: skip
    shapes = [shape(kind, kind, points, 1) for kind, points in kinds.items()]
    return labelme([*shapes, mask_shape("mask", MASK, 4, 4)], "a.png")


def _supervisely():
    points = {"exterior": SQUARE, "interior": [[[8, 8], [12, 8], [12, 12]]]}
    kinds = {"polygon": SQUARE, "rectangle": SQUARE[::2], "line": SQUARE, "point": SQUARE[:1]}
    objects = [
        {"classTitle": "cat", "geometryType": kind, "points": {**points, "exterior": outline}}
        for kind, outline in kinds.items()
    ]
    size = {"width": 48, "height": 40}
    return {"size": size, "objects": [*objects, {"classTitle": "cat", **bitmap(MASK, 3, 4)}]}


def _coco():
    record = {"image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5], "area": 9, "iscrowd": 0}
    outlines = [[[5, 5, 30, 8, 20, 35]], {"size": [40, 48], "counts": [100, 20, 1800]}]
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 48, "height": 40}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {"id": n, "segmentation": outline, **record} for n, outline in enumerate(outlines)
        ],
    }


CVAT = b"""<?xml version='1.0'?><annotations><meta><task><labels><label><name>cat</name>
<color>#ff0000</color></label></labels></task></meta>
<image id='0' name='a.png' width='48' height='40'>
<polygon label='cat' points='1,1;9,1;9,9' z_order='0'/>
<box label='cat' xtl='1' ytl='1' xbr='9' ybr='9' rotation='30'/>
<mask label='cat' rle='3, 4, 5, 6, 2' left='1' top='4' width='5' height='4'/>
<ellipse label='cat' cx='5' cy='5' rx='3' ry='4'/><polyline label='cat' points='1,1;5,5'/>
<points label='cat' points='3,3'/></image></annotations>"""

# the file to damage, its sound content, and the other files of a dataset
SETS = {
    "LabelMe": ("a.json", json.dumps(_labelme()).encode(), {"a.png": None}),
    "Supervisely": (
        "d/ann/a.png.json",
        json.dumps(_supervisely()).encode(),
        {"meta.json": {"classes": [{"title": "cat", "color": "#ff0000"}]}, "d/img/a.png": None},
    ),
    "COCO": (
        "annotations/instance_train.json",
        json.dumps(_coco()).encode(),
        {"images/a.png": None},
    ),
    "CVAT": ("annotations.xml", CVAT, {"images/a.png": None}),
}


@pytest.mark.parametrize("source", SETS)
def test_damaged_annotations_raise_nothing_foreign(source, tmp_path):
    file, seed, others = SETS[source]
    for name, content in others.items():
        write(tmp_path / "set" / name, encode(photo()) if content is None else content)
    rng = np.random.default_rng(7)
    converted = 0
    for number in range(61):
        write(tmp_path / "set" / file, mutated(seed, rng, b"{}") if number else seed)
        target = ("SegDataset", "COCO", "VOC")[number % 3]
        try:
            convert_dataset(tmp_path / "set", target, tmp_path / "o", format=source, force=True)
        except SegcoreError:
            assert number, "the sound one is refused"
        else:
            converted += 1
    assert converted
