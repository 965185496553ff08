"""Draw a LabelMe folder over one photograph: the cup of coffee that scikit-image carries.

    python docs/examples/labelme_demo.py DIR

The photograph is cut into overlapping pieces, as if each had been annotated by itself: the saucer,
the cup and the coffee are polygons, the spoon is made of a circle, lines and a turned rectangle,
the dark corner is a mask, and glare is left out of training by points and a rectangle. So every
kind of shape that LabelMe has occurs. The cup is a group with a hole where the coffee is.

As in folders that people have, images lie in two folders, half of them are embedded in their JSON
files, and one was stored turned, with the EXIF orientation that says so.
"""

import base64
import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from segcore.tasks.polygon import clip_polygon

PIECE_PX = 200
STEP_PX = 50
TURNED = 6  # EXIF: a quarter turn to the right makes it upright

SAUCER = [
    (78, 205), (84, 170), (104, 135), (135, 103), (180, 74), (300, 40), (418, 108), (448, 142),
    (470, 180), (479, 222), (474, 262), (458, 297), (430, 330), (392, 358), (345, 378), (290, 387),
    (235, 384), (185, 370), (140, 344), (106, 305), (86, 258),
]  # fmt: skip
COFFEE = [
    (204, 140), (216, 115), (245, 100), (285, 95), (325, 101), (355, 120), (369, 150), (368, 160),
    (350, 180), (320, 190), (280, 192), (240, 183), (215, 163),
]  # fmt: skip
CUP = [
    (174, 100), (180, 75), (200, 48), (235, 27), (285, 19), (335, 26), (375, 49), (400, 80),
    (408, 120), (404, 165), (385, 210), (355, 250), (325, 276), (290, 284), (258, 280), (262, 262),
    (240, 300), (215, 307), (196, 292), (203, 262), (222, 232), (200, 218), (183, 190), (175, 150),
]  # fmt: skip
# label, kind, points and group, in drawing order
SHAPES = [
    ("saucer", "polygon", SAUCER, None),
    ("spoon", "oriented_rectangle", [(398, 70), (422, 68), (420, 92), (404, 100)], 2),
    ("spoon", "linestrip", [(412, 92), (400, 150), (388, 205)], 2),
    ("spoon", "line", [(388, 205), (374, 245)], 2),
    ("spoon", "circle", [(367, 284), (367, 324)], 2),
    ("coffee", "polygon", COFFEE, None),
    ("cup", "polygon", CUP, 1),
    ("cup", "polygon", COFFEE, 1),
    ("__ignore__", "point", [(228, 257)], None),
    ("__ignore__", "points", [(148, 200), (114, 150)], None),
    ("__ignore__", "rectangle", [(486, 338), (528, 399)], None),
]


def dark_corner(photograph: np.ndarray) -> np.ndarray:
    """Give (H, W) bool, true where the photograph shows what lies behind the table."""
    mask = photograph.max(axis=2) < 45
    mask[110:] = mask[:, 160:] = False
    return mask


def piece_of_shape(label: str, kind: str, points: list, group: int | None, corner: tuple) -> dict:
    """Give a shape as it stands in the file of the piece at `corner`; empty outside of it."""
    moved = np.array(points, float) - corner
    if kind in ("polygon", "oriented_rectangle"):
        moved = clip_polygon(moved, PIECE_PX, PIECE_PX)
        kind = "polygon" if len(moved) != 4 else kind
    elif kind == "points":
        moved = moved[((moved >= 0) & (moved < PIECE_PX)).all(axis=1)]
    else:
        reach = np.linalg.norm(moved[-1] - moved[0]) if kind == "circle" else 0
        if (moved.max(axis=0) + reach < 0).any() or (moved.min(axis=0) - reach >= PIECE_PX).any():
            return {}
    if len(moved) == 0:
        return {}
    shape = {"label": label, "points": moved.tolist(), "shape_type": kind}
    return {**shape, "group_id": group, "flags": {}}


def piece_of_mask(mask: np.ndarray) -> list[dict]:
    """Give the mask of a piece as LabelMe stores it: a PNG and the corners of its box."""
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return []
    top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
    part = Image.fromarray(mask[top : bottom + 1, left : right + 1].astype(np.uint8) * 255)
    corners = [[int(left), int(top)], [int(right), int(bottom)]]
    picture = base64.b64encode(encode(part, "PNG")).decode()
    return [{"label": "__ignore__", "points": corners, "shape_type": "mask", "mask": picture,
             "group_id": None, "flags": {}}]  # fmt: skip


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    """Give the content of an image file."""
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def main(folder: Path) -> None:
    """Write the pieces of the photograph with their JSON files into `folder`."""
    photograph = data.coffee()
    corner = dark_corner(photograph)
    height, width = photograph.shape[:2]
    places = [
        (x, y)
        for y in range(0, height - PIECE_PX + 1, STEP_PX)
        for x in range(0, width - PIECE_PX + 1, STEP_PX)
    ]
    for number, (x, y) in enumerate(places):
        area = np.s_[y : y + PIECE_PX, x : x + PIECE_PX]
        place = folder / ("front" if y >= height // 4 else "back")
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(photograph[area])
        exif = Image.Exif()
        if number == 0:  # stored lying on its side
            picture, exif[274] = picture.transpose(Image.Transpose.ROTATE_90), TURNED
        content = encode(picture, "JPEG", quality=92, exif=exif)
        name = f"coffee_{number:02}.jpg"
        embedded = base64.b64encode(content).decode() if number % 2 else None
        if embedded is None:
            (place / name).write_bytes(content)
        shapes = [piece_of_shape(*shape, (x, y)) for shape in SHAPES]
        annotation = {
            "version": "5.5.0", "flags": {}, "imagePath": name, "imageData": embedded,
            "imageHeight": PIECE_PX, "imageWidth": PIECE_PX,
            "shapes": [*piece_of_mask(corner[area]), *filter(None, shapes)],
        }  # fmt: skip
        (place / f"{Path(name).stem}.json").write_text(json.dumps(annotation, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
