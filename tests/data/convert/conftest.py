"""Small datasets in every format, made by code."""

import base64
import json
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

SIZE = (48, 40)  # width, height


def encode(array, form="PNG", **options):
    file = BytesIO()
    Image.fromarray(np.asarray(array)).save(file, form, **options)
    return file.getvalue()


def photo(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
    return path


def b64(data):
    return base64.b64encode(data).decode()


def shape(label, kind, points, group=None, **more):
    return {
        "label": label, "shape_type": kind, "points": points, "group_id": group, "flags": {}, **more
    }  # fmt: skip


def mask_shape(label, mask, left, top):
    height, width = mask.shape
    corners = [[left, top], [left + width - 1, top + height - 1]]
    picture = b64(encode(mask.astype(np.uint8) * 255))
    return shape(label, "mask", corners, mask=picture)


def labelme(shapes, image="photo.png", size=SIZE, data=None):
    return {
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image,
        "imageData": data, "imageWidth": size[0], "imageHeight": size[1],
    }  # fmt: skip


def bitmap(mask, left, top):
    """A bitmap as Supervisely packs it: the alpha channel of a PNG, zlib, base64."""
    picture = np.zeros((*mask.shape, 4), np.uint8)
    picture[mask] = 255
    data = b64(zlib.compress(encode(picture)))
    return {"geometryType": "bitmap", "bitmap": {"data": data, "origin": [left, top]}}


@pytest.fixture
def folder(tmp_path):
    """Make a LabelMe folder of one image from its shapes."""

    def make(*shapes, name="set", **more):
        root = tmp_path / name
        write(root / "photo.png", encode(photo()))
        write(root / "photo.json", labelme(list(shapes), **more))
        return root

    return make


@pytest.fixture
def convert(tmp_path):
    """Convert a folder, and give the report and the class maps by name."""
    from segcore.data.convert.run import convert_dataset

    def run(root, **options):
        output = tmp_path / options.pop("name", "out")
        report = convert_dataset(root, "SegDataset", output, **options)
        maps = {
            path.relative_to(output / "annotations").with_suffix("").as_posix(): np.asarray(
                Image.open(path)
            )
            for path in sorted((output / "annotations").rglob("*.png"))
        }
        return report, maps

    return run
