"""Random drawings in every format that is read, converted and compared with numpy.

Objects are drawn as masks with numpy, painted in order into a class map, and written down by small
writers of this module, which share no code with segcore's readers. What `segcore data convert`
makes of them must be the same pixels:

    python -m tests.campaigns.conversions --count 50

Negative control: the same folders with the first shape on top instead of the last.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

from segcore.data.convert.cityscapes import _CLASSES as CITYSCAPES
from segcore.data.convert.run import convert_dataset

CLASSES = ("background", "cat", "dog & co", "hen", "pig")
IGNORED = 255
SPLITS = ("train", "val", "test")


@dataclass
class Shape:
    """An object of a drawing: its class from 1 on, and its pixels (H, W) of bool."""

    index: int
    mask: np.ndarray
    is_rectangle: bool = False

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The first column and row, and those after the last."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @property
    def part(self) -> np.ndarray:
        """The pixels of the box."""
        left, top, right, bottom = self.box
        return self.mask[top:bottom, left:right]


@dataclass
class Drawing:
    """An image with its shapes in painting order; `ignored` are pixels to be left out."""

    name: str
    split: str
    image: np.ndarray
    shapes: list[Shape]
    ignored: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[:2]

    @property
    def classes(self) -> np.ndarray:
        """The class map (H, W), later shapes over earlier ones."""
        painted = np.zeros(self.size, np.uint8)
        for shape in self.shapes:
            painted[shape.mask] = shape.index
        return painted


def draw(rng: np.random.Generator, number: int) -> Drawing:
    """Draw an image of random size with up to eight discs, blobs, dust and rectangles."""
    height, width = (int(side) for side in rng.integers(9, 90, 2))
    rows, columns = np.mgrid[:height, :width]
    shapes = []
    for _ in range(int(rng.integers(0, 9))):
        kind = rng.choice(["rectangle", "disc", "blob", "dust"])
        y, x = rng.integers(0, (height, width))
        if kind == "rectangle":
            far = rng.integers((y, x), (height, width)) + 1
            mask = (rows >= y) & (rows < far[0]) & (columns >= x) & (columns < far[1])
        elif kind == "disc":
            mask = np.hypot(rows - y, columns - x) <= rng.uniform(0, max(height, width) / 2)
        elif kind == "blob":
            cells = rng.random((height // 8 + 1, width // 8 + 1)) < 0.3
            mask = np.kron(cells, np.ones((8, 8), bool))[:height, :width]
        else:
            mask = rng.random((height, width)) < 0.02
        if mask.any():
            shapes.append(Shape(int(rng.integers(1, len(CLASSES))), mask, kind == "rectangle"))
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    ignored = rng.random((height, width)) < rng.choice([0, 0.1])
    return Drawing(f"im {number}", SPLITS[number % 3], image, shapes, ignored)


def png(array: np.ndarray, palette: bool = False) -> bytes:
    """Encode an array; with `palette` as indices into colours."""
    picture, file = Image.fromarray(array), io.BytesIO()
    if palette:
        picture = picture.convert("P") if picture.mode != "L" else picture
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(file, "PNG")
    return file.getvalue()


def put(path: Path, content: bytes | str | object) -> None:
    """Write a file; what is neither bytes nor text becomes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)


def base64_of(data: bytes) -> str:
    """Encode bytes as text."""
    return base64.b64encode(data).decode()


# Each writer puts drawings into a folder, and gives the class map that they must become.
Wanted = Callable[[Drawing], np.ndarray]


def painted(drawing: Drawing) -> np.ndarray:
    """The class map of shapes."""
    return drawing.classes


def with_ignored(drawing: Drawing) -> np.ndarray:
    """The class map of a format that stores the class of each pixel."""
    return np.where(drawing.ignored, IGNORED, drawing.classes).astype(np.uint8)


def write_segdataset(root: Path, drawings: list[Drawing]) -> Wanted:
    lists: dict[str, list[str]] = {}
    for drawing in drawings:
        image, label = f"images/{drawing.name}.png", f"annotations/{drawing.name}.png"
        put(root / image, png(drawing.image))
        put(root / label, png(with_ignored(drawing), palette=bool(len(drawing.shapes) % 2)))
        lists.setdefault(drawing.split, []).append(f"{image}\t{label}\n")
    for split, lines in lists.items():
        put(root / f"{split}.txt", "".join(lines))
    put(root / "labels.txt", "\n".join(CLASSES) + "\n")
    return with_ignored


def write_voc(root: Path, drawings: list[Drawing]) -> Wanted:
    names: dict[str, list[str]] = {}
    for drawing in drawings:
        numbers = np.zeros(drawing.size, np.uint8)
        for number, shape in enumerate(drawing.shapes, start=1):
            numbers[shape.mask] = number
        numbers[drawing.ignored] = IGNORED
        put(root / f"JPEGImages/{drawing.name}.png", png(drawing.image))
        put(root / f"SegmentationClass/{drawing.name}.png", png(with_ignored(drawing), True))
        put(root / f"SegmentationObject/{drawing.name}.png", png(numbers, True))
        names.setdefault(drawing.split, []).append(drawing.name + "\n")
    for split, lines in names.items():
        put(root / f"ImageSets/Segmentation/{split}.txt", "".join(lines))
    put(root / "class_names.txt", "\n".join(CLASSES) + "\n")
    return with_ignored


def write_labelme(root: Path, drawings: list[Drawing]) -> Wanted:
    put(root / "labels.txt", "\n".join(CLASSES) + "\n")
    for drawing in drawings:
        records = []
        for shape in drawing.shapes:
            left, top, right, bottom = shape.box
            record = {
                "label": CLASSES[shape.index], "shape_type": "rectangle", "group_id": None,
                "points": [[left, top], [right - 1, bottom - 1]], "flags": {},
            }  # fmt: skip
            if not shape.is_rectangle:
                mask = base64_of(png(shape.part.astype(np.uint8) * 255))
                record |= {"shape_type": "mask", "mask": mask}
            records.append(record)
        height, width = drawing.size
        put(root / f"{drawing.name}.png", png(drawing.image))
        content = {
            "version": "5.5.0", "flags": {}, "shapes": records, "imageData": None,
            "imagePath": f"{drawing.name}.png", "imageWidth": width, "imageHeight": height,
        }  # fmt: skip
        put(root / f"{drawing.name}.json", content)
    return painted


def write_coco(root: Path, drawings: list[Drawing]) -> Wanted:
    from pycocotools import mask as coco

    categories = [{"id": 10 * n, "name": CLASSES[n]} for n in range(1, len(CLASSES))]
    for split in SPLITS:
        images, annotations = [], []
        for number, drawing in enumerate(drawings):
            if drawing.split != split:
                continue
            height, width = drawing.size
            put(root / f"images/{drawing.name}.png", png(drawing.image))
            images.append(
                {
                    "id": number + 7, "file_name": f"{drawing.name}.png",
                    "width": width, "height": height,
                }
            )  # fmt: skip
            for position, shape in enumerate(drawing.shapes):
                left, top, right, bottom = shape.box
                if shape.is_rectangle:
                    segmentation = [[left, top, right, top, right, bottom, left, bottom]]
                elif position % 2:
                    runs = coco.encode(np.asfortranarray(shape.mask.astype(np.uint8)))
                    segmentation = {**runs, "counts": runs["counts"].decode()}
                else:
                    pixels = shape.mask.T.reshape(-1)
                    ends = np.flatnonzero(np.diff(pixels, prepend=False, append=not pixels[-1]))
                    counts = np.diff(ends, prepend=0).tolist()
                    segmentation = {"size": [height, width], "counts": counts}
                annotations.append(
                    {
                        "id": len(annotations) + 1, "image_id": number + 7, "iscrowd": 0,
                        "category_id": 10 * shape.index, "segmentation": segmentation,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": int(shape.mask.sum()),
                    }
                )  # fmt: skip
        if images:
            put(
                root / f"annotations/instance_{split}.json",
                {"images": images, "annotations": annotations, "categories": categories},
            )
    return painted


def write_cvat(root: Path, drawings: list[Drawing]) -> Wanted:
    labels = "".join(
        f"<label><name>{name.replace('&', '&amp;')}</name></label>" for name in CLASSES
    )
    images = []
    for number, drawing in enumerate(drawings):
        height, width = drawing.size
        put(root / f"images/{drawing.name}.png", png(drawing.image))
        elements = []
        for position, shape in enumerate(drawing.shapes):
            left, top, right, bottom = shape.box
            common = f"label={quoteattr(CLASSES[shape.index])} z_order='{position}'"
            if shape.is_rectangle:
                elements.append(
                    f"<box {common} xtl='{left}.0' ytl='{top}.0' xbr='{right}.0' ybr='{bottom}.0'/>"
                )
                continue
            pixels = shape.part.reshape(-1)
            changes = np.flatnonzero(np.diff(pixels)) + 1
            starts = [0] if pixels[0] else []
            runs = np.diff([*starts, *changes, pixels.size], prepend=0)
            elements.append(
                f"<mask {common} left='{left}' top='{top}' width='{right - left}' "
                f"height='{bottom - top}' rle='{', '.join(map(str, runs.tolist()))}'/>"
            )
        elements.reverse()  # the order in the file is not that of painting
        images.append(
            f"<image id='{number}' name='{drawing.name}.png' subset='{drawing.split}' "
            f"width='{width}' height='{height}'>{''.join(elements)}</image>"
        )
    put(
        root / "annotations.xml",
        f"<annotations><meta><task><labels>{labels}</labels></task></meta>{''.join(images)}"
        "</annotations>",
    )
    return painted


def write_supervisely(root: Path, drawings: list[Drawing]) -> Wanted:
    put(root / "meta.json", {"classes": [{"title": name, "color": "#102030"} for name in CLASSES]})
    for drawing in drawings:
        objects = []
        for shape in drawing.shapes:
            left, top, right, bottom = shape.box
            record = {"classTitle": CLASSES[shape.index], "geometryType": "rectangle"}
            if shape.is_rectangle:
                corners = [[left, top], [right - 1, bottom - 1]]
                record["points"] = {"exterior": corners, "interior": []}
            else:
                picture = np.zeros((*shape.part.shape, 4), np.uint8)
                picture[shape.part] = 255
                data = base64_of(zlib.compress(png(picture)))
                record |= {
                    "geometryType": "bitmap", "bitmap": {"data": data, "origin": [left, top]},
                }  # fmt: skip
            objects.append(record)
        height, width = drawing.size
        put(root / f"{drawing.split}/img/{drawing.name}.png", png(drawing.image))
        put(
            root / f"{drawing.split}/ann/{drawing.name}.png.json",
            {"size": {"width": width, "height": height}, "objects": objects},
        )
    return painted


def write_cityscapes(root: Path, drawings: list[Drawing]) -> Wanted:
    ids = np.array([0, *(label_id for _, label_id, _ in CITYSCAPES)], np.uint8)  # 0 is unlabelled
    for drawing in drawings:
        folder = f"{drawing.split}/town/{drawing.name}"
        put(root / f"leftImg8bit/{folder}_leftImg8bit.png", png(drawing.image))
        put(root / f"gtFine/{folder}_gtFine_labelIds.png", png(ids[drawing.classes]))
    # class n of a drawing is train id n - 1, and what is unlabelled counts for nothing
    return lambda drawing: (drawing.classes.astype(int) - 1).astype(np.uint8)


def write_ade20k(root: Path, drawings: list[Drawing]) -> Wanted:
    folders = {"train": "training", "val": "validation", "test": "testing"}
    for drawing in drawings:
        name = f"{folders[drawing.split]}/{drawing.name}.png"
        put(root / f"images/{name}", png(drawing.image))
        put(root / f"annotations/{name}", png(drawing.classes))
    return lambda drawing: (drawing.classes.astype(int) - 1).astype(np.uint8)


FORMATS: dict[str, Callable[[Path, list[Drawing]], Wanted]] = {
    "SegDataset": write_segdataset,
    "VOC": write_voc,
    "LabelMe": write_labelme,
    "COCO": write_coco,
    "CVAT": write_cvat,
    "Supervisely": write_supervisely,
    "Cityscapes": write_cityscapes,
    "ADE20K": write_ade20k,
}
# formats whose shapes are objects, each with all of its pixels
SHAPES = ("LabelMe", "COCO", "CVAT", "Supervisely")


def read_labels(root: Path, folder: str) -> dict[str, np.ndarray]:
    """Read the label maps of a folder with Pillow, by the last part of their names."""
    return {path.stem: np.asarray(Image.open(path)) for path in (root / folder).rglob("*.png")}


def read_objects(root: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Read the objects of COCO files with pycocotools, by image: classes and pixels, in order."""
    from pycocotools import mask as coco

    found: dict[str, list[tuple[str, bytes]]] = {}
    for path in sorted((root / "annotations").glob("*.json")):
        content = json.loads(path.read_bytes())
        names = {item["id"]: item["name"] for item in content["categories"]}
        images = {item["id"]: item for item in content["images"]}
        for image in images.values():
            found[Path(image["file_name"]).stem] = []
        for item in content["annotations"]:
            image, runs = images[item["image_id"]], item["segmentation"]
            with warnings.catch_warnings():
                # pycocotools 2.0.11 converts arrays in a way that NumPy 2 warns of
                warnings.simplefilter("ignore", DeprecationWarning)
                if isinstance(runs, list):
                    runs = coco.merge(coco.frPyObjects(runs, image["height"], image["width"]))
                pixels = coco.decode(runs).astype(bool)
            key = (names[item["category_id"]], pixels.tobytes())
            found[Path(image["file_name"]).stem].append(key)
    return found


def faults(name: str, drawings: list[Drawing], folder: Path, overlap: str) -> Iterator[str]:
    """Convert drawings from the format `name`, and tell each that became something else."""
    wanted = FORMATS[name](folder / "source", drawings)
    options = {"format": name, "overlap": overlap}
    if name in SHAPES:
        options["classes"] = CLASSES
    for kind, labels in (("SegDataset", "annotations"), ("VOC", "SegmentationClass")):
        convert_dataset(folder / "source", kind, folder / kind, **options)
        maps = read_labels(folder / kind, labels)
        for drawing in drawings:
            label = maps.get(drawing.name)
            if label is None or not np.array_equal(label, wanted(drawing)):
                yield f"{name} to {kind}: {drawing.name} became other classes"
            if name != "LabelMe" and drawing.name not in read_list(folder, kind, drawing.split):
                yield f"{name} to {kind}: {drawing.name} is not listed for {drawing.split}"
    convert_dataset(folder / "source", "COCO", folder / "COCO", **options)
    objects = read_objects(folder / "COCO")
    for drawing in drawings:
        found = objects.get(drawing.name, [("no image", b"")])
        if name in SHAPES:
            drawn = [(CLASSES[shape.index], shape.mask.tobytes()) for shape in drawing.shapes]
            if sorted(found) != sorted(drawn):
                yield f"{name} to COCO: the objects of {drawing.name} are others"
        elif name == "SegDataset" and not np.array_equal(
            joined(found, drawing.size), np.where(drawing.ignored, 0, drawing.classes)
        ):
            yield f"{name} to COCO: the objects of {drawing.name} cover other pixels"


def read_list(folder: Path, kind: str, split: str) -> str:
    """Read a list of a converted dataset; one that is missing is empty."""
    lists = folder / kind if kind == "SegDataset" else folder / kind / "ImageSets/Segmentation"
    path = lists / f"{split}.txt"
    return path.read_text() if path.exists() else ""


def joined(objects: list[tuple[str, bytes]], size: tuple[int, int]) -> np.ndarray:
    """Paint objects that do not overlap into a class map."""
    painted = np.zeros(size, int)
    for label, pixels in objects:
        mask = np.frombuffer(pixels, bool)
        if mask.size != painted.size or label not in CLASSES:
            return np.zeros(0)
        painted[mask.reshape(size)] += CLASSES.index(label)
    return painted


def run_campaign(name: str, count: int, seed: int, overlap: str = "last") -> list[str]:
    """Convert `count` random drawings from the format `name`, and give what went wrong."""
    rng = np.random.default_rng([seed, list(FORMATS).index(name)])
    drawings = [draw(rng, number) for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="segcore-conversions-") as folder:
        return list(faults(name, drawings, Path(folder), overlap))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="drawings a format")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total = 0
    for name in FORMATS:
        found = run_campaign(name, options.count, options.seed)
        total += len(found)
        print(f"{name}: {options.count} drawings, {len(found)} faults", *found[:5], sep="\n  ")
    caught = sum(bool(run_campaign(name, options.count, options.seed, "first")) for name in SHAPES)
    print(
        f"{options.count * len(FORMATS)} drawings from {len(FORMATS)} formats to SegDataset, VOC "
        f"and COCO: {total} faults; negative control: the wrong shape on top was noticed in "
        f"{caught} of {len(SHAPES)} formats"
    )
    return int(total > 0 or caught < len(SHAPES))


if __name__ == "__main__":
    raise SystemExit(main())
