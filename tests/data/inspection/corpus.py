"""A clean dataset, and one fault of each kind to plant in it: the corpus is code, not binaries.

`PLANTS` lists for each row of the table of bad inputs what is planted, and what a check must find:
the code, the file that it names and how many samples have it.
"""

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 48, 64
TRAIN, VAL = range(8), range(8, 12)


@dataclass(frozen=True)
class Plant:
    """A fault: the row of the table, what `plant` does, and what is to be found."""

    row: int
    name: str
    plant: Callable[[Path], None]
    code: str
    file: str
    count: int = 1
    settings: dict = field(default_factory=dict)
    also: tuple = ()

    def __str__(self):
        return f"row {self.row}: {self.name}"


def picture(number, height=HEIGHT, width=WIDTH):
    """Draw clouds, (height, width, 3) uint8, other ones for each number."""
    rng = np.random.default_rng([7, number])
    coarse = rng.integers(30, 226, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def label(number, height=HEIGHT, width=WIDTH):
    """Draw a box of class 1 and a disc of class 2 on 0."""
    drawn = np.zeros((height, width), np.uint8)
    drawn[8 : 20 + number % 4, 6:24] = 1
    cv2.circle(drawn, (44, 30), 9 + number % 3, 2, -1)
    return drawn


def encode(array, kind="PNG", **options):
    """Encode an array or a Pillow image."""
    file = io.BytesIO()
    image = Image.fromarray(array) if isinstance(array, np.ndarray) else array
    image.save(file, kind, **options)
    return file.getvalue()


def image_name(number):
    return f"images/{number:02}.jpg"


def label_name(number):
    return f"annotations/{number:02}.png"


def draw_clean(root):
    """Write the clean dataset into `root`."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for number in (*TRAIN, *VAL):
        (root / image_name(number)).write_bytes(encode(picture(number), "JPEG", quality=95))
        (root / label_name(number)).write_bytes(encode(label(number)))
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        rows = [f"{image_name(number)} {label_name(number)}\n" for number in numbers]
        (root / f"{split}.txt").write_text("".join(rows))
    (root / "labels.txt").write_text("background\nbox\ndisc\n")
    return root


# -- what plants are made of


def put_image(make, number=3):
    """Replace the bytes of an image; the name stays."""
    return lambda root: (root / image_name(number)).write_bytes(make(picture(number)))


def change_image(change, number=3):
    """Replace the bytes of an image by those that `change` makes of the old ones."""

    def plant(root):
        path = root / image_name(number)
        path.write_bytes(change(path.read_bytes()))

    return plant


def named_image(suffix, make, number=3):
    """Give a row an image of another name."""

    def plant(root):
        (root / f"images/odd{suffix}").write_bytes(make(picture(number)))
        replace_row(root, "train", number, f"images/odd{suffix} {label_name(number)}")

    return plant


def put_label(make, number=3):
    return lambda root: (root / label_name(number)).write_bytes(make(label(number)))


def put_labels(make, numbers=(*TRAIN, *VAL)):
    def plant(root):
        for number in numbers:
            put_label(make, number)(root)

    return plant


def named_label(suffix, make, number=3):
    def plant(root):
        (root / f"annotations/odd{suffix}").write_bytes(make(label(number)))
        replace_row(root, "train", number, f"{image_name(number)} annotations/odd{suffix}")

    return plant


def replace_row(root, split, index, row):
    path = root / f"{split}.txt"
    lines = path.read_text().splitlines()
    lines[index] = row
    path.write_text("\n".join(lines) + "\n")


def add_rows(split, *rows):
    def plant(root):
        path = root / f"{split}.txt"
        path.write_text(path.read_text() + "".join(f"{row}\n" for row in rows))

    return plant


def write(name, data):
    return lambda root: (root / name).write_bytes(data)


def with_row(make, name="images/odd.png", number=3):
    """Make something in the place of an image, and list it."""

    def plant(root):
        make(root / name)
        replace_row(root, "train", number, f"{name} {label_name(number)}")

    return plant


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height, colour=2):
    """Give a PNG file that claims a size and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", pixels)
        + png_chunk(b"IEND", b"")
    )


def break_crc(array):
    data = bytearray(encode(array))
    at = data.index(b"IDAT") + 200
    data[at] ^= 0xFF
    return bytes(data)


def rotated(orientation, make=lambda array: array):
    """Make a JPEG of the turned array with an EXIF orientation."""

    def encode_rotated(array):
        exif = Image.Exif()
        exif[0x0112] = orientation
        return encode(make(array), "JPEG", exif=exif)

    return encode_rotated


def square_rotated(root):
    (root / image_name(3)).write_bytes(rotated(6)(picture(3, 48, 48)))
    (root / label_name(3)).write_bytes(encode(label(3, 48, 64)[:, :48]))


def opaque(array, alpha=255):
    return encode(np.dstack([array, np.full(array.shape[:2], alpha, np.uint8)]))


def frames(array):
    images = [Image.fromarray(array), Image.fromarray(array[::-1])]
    file = io.BytesIO()
    images[0].save(file, "TIFF", save_all=True, append_images=images[1:])
    return file.getvalue()


def nan_tiff(array):
    values = array[..., 0].astype(np.float32)
    values[0, :5] = np.nan
    return cv2.imencode(".tiff", values)[1].tobytes()


def palette_png(indices):
    image = Image.fromarray(indices).convert("P")
    image = Image.new("P", (indices.shape[1], indices.shape[0]))
    image.putdata(indices.ravel().tolist())
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return encode(image)


def colours(indices):
    return encode(np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)[indices])


def deep(factor):
    return lambda indices: encode(Image.fromarray(indices.astype(np.uint16) * np.uint16(factor)))


def signed_tiff(indices):
    values = indices.astype(np.int16)
    values[0, :4] = -1
    return cv2.imencode(".tiff", values)[1].tobytes()


def float_tiff(indices):
    return cv2.imencode(".tiff", indices.astype(np.float32))[1].tobytes()


def blended(indices):
    """Draw a mask as image editors do, with soft edges."""
    mask = ((indices > 0) * np.uint8(200)).astype(np.uint8)
    return encode(cv2.GaussianBlur(mask, (7, 7), 0))


def corner(value, pixels):
    def make(indices):
        indices = indices.copy()
        indices[0, :pixels] = value
        return encode(indices)

    return make


def without(number):
    return lambda indices: encode(np.where(indices == number, 0, indices).astype(np.uint8))


def specks(indices):
    drawn = np.zeros_like(indices)
    drawn[20:22, 30:32] = 1
    drawn[indices == 2] = 2
    return encode(drawn)


def swap(first, second):
    """Exchange two values of labels."""

    def make(indices):
        table = np.arange(256, dtype=np.uint8)
        table[[first, second]] = second, first
        return encode(table[indices])

    return make


def copy_content(root):
    (root / "images/again.jpg").write_bytes((root / image_name(1)).read_bytes())
    add_rows("val", f"images/again.jpg {label_name(1)}")(root)


def copy_within(root):
    (root / "images/again.jpg").write_bytes((root / image_name(1)).read_bytes())
    add_rows("train", f"images/again.jpg {label_name(1)}")(root)


def copy_nearly(root):
    """Compress a picture again, a little brighter and smaller, as another export would."""
    brighter = cv2.convertScaleAbs(picture(1), alpha=1.0, beta=4)
    smaller = cv2.resize(brighter, (WIDTH - 4, HEIGHT - 3), interpolation=cv2.INTER_AREA)
    (root / "images/again.jpg").write_bytes(encode(smaller, "JPEG", quality=60))
    smaller_label = cv2.resize(label(1), (WIDTH - 4, HEIGHT - 3), interpolation=cv2.INTER_NEAREST)
    (root / "annotations/again.png").write_bytes(encode(smaller_label))
    add_rows("val", "images/again.jpg annotations/again.png")(root)


def link_outside(root):
    (root.parent / "secret.png").write_bytes(encode(picture(3)))
    (root / "images/odd.png").symlink_to(root.parent / "secret.png")
    replace_row(root, "train", 3, f"images/odd.png {label_name(3)}")


def outside(root):
    (root.parent / "secret.png").write_bytes(encode(picture(3)))
    replace_row(root, "train", 3, f"../secret.png {label_name(3)}")


def loop(path):
    path.symlink_to(path.with_name("b.png"))
    path.with_name("b.png").symlink_to(path.name)


def bytes_name(root):
    name = os.fsencode(root) + b"/images/odd-\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(b"<html>")
    path = root / "train.txt"
    path.write_bytes(path.read_bytes() + b"images/odd-\xe9.jpg " + label_name(3).encode() + b"\n")


def reencode(encoding):
    def plant(root):
        path = root / "train.txt"
        path.write_bytes(path.read_text().encode(encoding))

    return plant


def case_clash(root):
    (root / "images/A.png").write_bytes(encode(picture(40)))
    (root / "images/a.png").write_bytes(encode(picture(41)))
    add_rows("train", f"images/A.png {label_name(1)}", f"images/a.png {label_name(2)}")(root)


def unreadable(path):
    path.write_bytes(encode(picture(3)))
    path.chmod(0)


def tiff_of(array, extra=None, photometric="rgb"):
    file = io.BytesIO()
    options = {"extrasamples": [extra]} if extra else {}
    tifffile.imwrite(file, array, photometric=photometric, metadata=None, **options)
    return file.getvalue()


def masked_tiff(array):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(array, photometric="rgb", metadata=None)

        mask = np.ones(array.shape[:2], bool)
        writer.write(mask, photometric="minisblack", subfiletype=4, metadata=None)
    return file.getvalue()


IMAGE, LABEL = image_name(3), label_name(3)
half = lambda data: data[: len(data) // 2]  # noqa: E731

PLANTS = [
    Plant(1, "half a JPEG", change_image(half), "SEG103", IMAGE),
    Plant(2, "a JPEG without its end", change_image(lambda data: data[:-2]), "SEG103", IMAGE),
    Plant(
        2,
        "the same, accepted",
        change_image(lambda data: data[:-2]),
        "SEG122",
        IMAGE,
        settings={"accept_truncated_tail": True},
    ),
    Plant(
        3, "half a PNG", named_image(".png", lambda a: half(encode(a))), "SEG103", "images/odd.png"
    ),
    Plant(
        3, "a PNG with a wrong checksum", named_image(".png", break_crc), "SEG104", "images/odd.png"
    ),
    Plant(5, "an empty image", put_image(lambda _: b""), "SEG101", IMAGE),
    Plant(5, "an empty label", put_label(lambda _: b""), "SEG101", LABEL),
    Plant(6, "a web page", put_image(lambda _: b"<!DOCTYPE html><html>"), "SEG102", IMAGE),
    Plant(7, "a PNG called JPEG", put_image(encode), "SEG116", IMAGE),
    Plant(
        8,
        "16 bits without a range",
        named_image(".png", lambda a: cv2.imencode(".png", a.astype(np.uint16) * 257)[1].tobytes()),
        "SEG112",
        "images/odd.png",
    ),
    Plant(9, "opaque alpha", named_image(".png", opaque), "SEG117", "images/odd.png"),
    Plant(
        9,
        "transparent pixels",
        named_image(".png", lambda a: opaque(a, 128)),
        "SEG118",
        "images/odd.png",
    ),
    Plant(
        9,
        "colours multiplied by alpha",
        named_image(".tif", lambda a: tiff_of(np.dstack([a, a[..., 0]]), "assocalpha")),
        "SEG123",
        "images/odd.tif",
    ),
    Plant(
        9,
        "infrared beside RGB",
        named_image(".tif", lambda a: tiff_of(np.dstack([a, a[..., 0]]), "unspecified")),
        "SEG124",
        "images/odd.tif",
    ),
    Plant(
        9, "a mask of valid pixels", named_image(".tif", masked_tiff), "SEG125", "images/odd.tif"
    ),
    Plant(
        9,
        "CIELab colours",
        named_image(".tif", lambda a: tiff_of(a, photometric="cielab")),
        "SEG107",
        "images/odd.tif",
    ),
    Plant(
        10,
        "CMYK",
        put_image(lambda a: encode(Image.fromarray(a).convert("CMYK"), "JPEG")),
        "SEG119",
        IMAGE,
    ),
    Plant(
        11,
        "colour where grey is declared",
        add_rows("train"),
        "SEG114",
        image_name(0),
        8,
        settings={"channels": 1},
        also=(("SEG114", image_name(8), 4),),
    ),
    Plant(
        13,
        "EXIF turns the image, not the label",
        put_image(rotated(6)),
        "SEG212",
        LABEL,
    ),
    Plant(13, "a square image turned by EXIF", square_rotated, "SEG121", IMAGE),
    Plant(14, "several pages", named_image(".tif", frames), "SEG111", "images/odd.tif"),
    Plant(14, "a GIF", named_image(".gif", lambda a: encode(a, "GIF")), "SEG111", "images/odd.gif"),
    Plant(
        15,
        "NaN",
        named_image(".tif", nan_tiff),
        "SEG113",
        "images/odd.tif",
        settings={"value_range": (0, 255)},
    ),
    Plant(
        16,
        "an image of 40 x 6",
        lambda root: (
            put_image(lambda a: encode(a[:6, :40], "JPEG"))(root),
            put_label(lambda a: encode(label(3)[14:20, :40]))(root),
        ),
        "SEG115",
        IMAGE,
    ),
    Plant(
        17, "no width", named_image(".png", lambda _: png_header(0, 9)), "SEG106", "images/odd.png"
    ),
    Plant(
        18,
        "a gigapixel bomb",
        named_image(".png", lambda _: png_header(30000, 30000)),
        "SEG105",
        "images/odd.png",
    ),
    Plant(21, "a vector drawing", put_image(lambda _: b"<svg/>"), "SEG102", IMAGE),
    Plant(21, "PostScript", put_image(lambda _: b"%!PS-Adobe-3.0 EPSF"), "SEG102", IMAGE),
    Plant(23, "a value that is no class", put_label(corner(21, 3)), "SEG207", LABEL),
    Plant(
        24,
        "masks of 0 and 255 everywhere",
        put_labels(lambda a: encode((a > 0).astype(np.uint8) * 255)),
        "SEG208",
        label_name(0),
        8,
        also=(("SEG208", label_name(8), 4),),
    ),
    Plant(
        24,
        "one mask of 0 and 255",
        put_label(lambda a: encode((a > 0).astype(np.uint8) * 255)),
        "SEG209",
        LABEL,
    ),
    Plant(25, "negative values", named_label(".tif", signed_tiff), "SEG205", "annotations/odd.tif"),
    Plant(25, "fractions", named_label(".tif", float_tiff), "SEG206", "annotations/odd.tif"),
    Plant(26, "16 bits that fit", put_label(deep(1)), "SEG214", LABEL),
    Plant(26, "16 bits that do not fit", put_label(deep(257)), "SEG215", LABEL),
    Plant(27, "a palette", put_label(palette_png), "SEG216", LABEL),
    Plant(28, "colours", put_label(colours), "SEG203", LABEL),
    Plant(
        29,
        "alpha",
        put_label(lambda a: encode(Image.fromarray(a).convert("LA"))),
        "SEG204",
        LABEL,
    ),
    Plant(30, "another size", put_label(lambda a: encode(a[:, :60])), "SEG211", LABEL),
    Plant(
        31,
        "a JPEG label",
        named_label(".jpg", lambda a: encode(a, "JPEG")),
        "SEG201",
        "annotations/odd.jpg",
    ),
    Plant(
        31,
        "a WebP label",
        named_label(".webp", lambda a: encode(a, "WebP")),
        "SEG202",
        "annotations/odd.webp",
    ),
    Plant(31, "soft edges", put_label(blended), "SEG210", LABEL),
    Plant(
        32, "everything ignored", put_label(lambda a: encode(np.full_like(a, 255))), "SEG218", LABEL
    ),
    Plant(32, "background alone", put_label(lambda a: encode(np.zeros_like(a))), "SEG217", LABEL),
    Plant(33, "a class absent from val", put_labels(without(2), VAL), "SEG301", "labels.txt"),
    Plant(33, "a class that never occurs", put_labels(without(1)), "SEG302", "labels.txt"),
    Plant(
        33,
        "a rare class",
        lambda root: (put_labels(without(1))(root), put_label(specks)(root)),
        "SEG303",
        "labels.txt",
        also=(("SEG301", "labels.txt", 1), ("SEG304", LABEL, 1)),
    ),
    Plant(33, "an object of four pixels", put_label(specks), "SEG304", LABEL),
    Plant(
        34,
        "an ignored class",
        add_rows("train"),
        "SEG018",
        "labels.txt",
        settings={"ignore_index": 1},
        also=(("SEG302", "labels.txt", 1),),
    ),
    Plant(35, "a missing image", lambda root: (root / IMAGE).unlink(), "SEG007", IMAGE),
    Plant(35, "a missing label", lambda root: (root / LABEL).unlink(), "SEG007", LABEL),
    Plant(
        35,
        "columns exchanged",
        lambda root: replace_row(root, "train", 3, f"{LABEL} {IMAGE}"),
        "SEG201",
        IMAGE,
    ),
    Plant(37, "a path that leaves the dataset", outside, "SEG006", "../secret.png"),
    Plant(
        37,
        "an absolute path",
        lambda root: replace_row(root, "train", 3, f"/etc/passwd {LABEL}"),
        "SEG006",
        "/etc/passwd",
    ),
    Plant(38, "a link that leads outside", link_outside, "SEG006", "images/odd.png"),
    Plant(38, "links in a loop", with_row(loop), "SEG008", "images/odd.png"),
    Plant(39, "a named pipe", with_row(os.mkfifo), "SEG009", "images/odd.png"),
    Plant(39, "a folder", with_row(os.mkdir), "SEG009", "images/odd.png"),
    Plant(40, "a name that is no UTF-8", bytes_name, "SEG102", "images/odd-\\udce9.jpg"),
    Plant(
        41,
        "a row of three fields",
        add_rows("train", "images/two words.jpg a.png"),
        "SEG003",
        "train.txt",
    ),
    Plant(41, "an open quote", add_rows("train", '"images/x.jpg a.png'), "SEG003", "train.txt"),
    Plant(42, "a list in UTF-16", reencode("utf-16"), "SEG002", "train.txt"),
    Plant(43, "a row twice", add_rows("train", f"{IMAGE} {LABEL}"), "SEG005", IMAGE),
    Plant(43, "an image in both splits", add_rows("val", f"{IMAGE} {LABEL}"), "SEG021", IMAGE),
    Plant(43, "a picture in both splits", copy_content, "SEG022", "images/again.jpg"),
    Plant(43, "nearly a picture of train", copy_nearly, "SEG023", "images/again.jpg"),
    Plant(43, "a picture under two names", copy_within, "SEG024", "images/again.jpg"),
    Plant(44, "an empty list", write("val.txt", b"# nothing\n"), "SEG004", "val.txt"),
    Plant(44, "no list", lambda root: (root / "val.txt").unlink(), "SEG001", "val.txt"),
    Plant(44, "no labels.txt", lambda root: (root / "labels.txt").unlink(), "SEG016", "labels.txt"),
    Plant(44, "a class twice", write("labels.txt", b"a\nb\na\n"), "SEG015", "labels.txt"),
    Plant(
        44,
        "another number of classes",
        add_rows("train"),
        "SEG017",
        "labels.txt",
        settings={"num_classes": 7},
    ),
    Plant(48, "names that differ in case", case_clash, "SEG013", "images/a.png"),
    Plant(
        48,
        "a name that Windows reserves",
        with_row(lambda path: path.write_bytes(encode(picture(3))), "images/aux.png"),
        "SEG014",
        "images/aux.png",
    ),
]
"""Rows that a check cannot see, or that are right as they are, have no plant: see the tests."""


# -- COCO


def draw_clean_coco(root):
    """Write the clean dataset in COCO's layout."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        images, annotations = [], []
        for number in numbers:
            name = f"{number:02}.jpg"
            (root / "images" / name).write_bytes(encode(picture(number), "JPEG", quality=95))
            images.append({"id": number + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
            for category, (x, y) in ((1, (5, 6)), (2, (30, 20))):
                annotations.append(
                    box_annotation(2 * number + category, number + 1, category, x, y)
                )
        categories = [{"id": 1, "name": "box"}, {"id": 2, "name": "slab"}]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"annotations/instance_{split}.json").write_text(json.dumps(document))
    return root


def box_annotation(number, image, category, x, y, width=16, height=10):
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": 0,
        "segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]],
    }


def edit_coco(change, split="train"):
    """Change the document of an annotation file."""

    def plant(root):
        path = root / f"annotations/instance_{split}.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return plant


def edit_object(index=6, **fields):
    return edit_coco(lambda document: document["annotations"][index].update(fields))


def rle(height, width, counts):
    return {"size": [height, width], "counts": counts}


TRAIN_FILE = "instance_train.json"
COCO_IMAGE = "03.jpg"

COCO_PLANTS = [
    Plant(36, "two points", edit_object(segmentation=[[1, 1, 9, 9]]), "SEG404", COCO_IMAGE),
    Plant(
        36, "NaN", edit_object(segmentation=[[1, 1, 9, float("nan"), 5, 5]]), "SEG405", COCO_IMAGE
    ),
    Plant(
        36,
        "outside the image",
        edit_object(segmentation=[[900, 1, 990, 1, 950, 90]]),
        "SEG406",
        COCO_IMAGE,
    ),
    Plant(
        36,
        "over the edge",
        edit_object(segmentation=[[5, 6, 90, 6, 90, 20, 5, 20]]),
        "SEG407",
        COCO_IMAGE,
    ),
    Plant(
        36,
        "an empty RLE",
        edit_object(segmentation=rle(HEIGHT, WIDTH, [HEIGHT * WIDTH])),
        "SEG408",
        COCO_IMAGE,
    ),
    Plant(
        36,
        "an RLE of another size",
        edit_object(segmentation=rle(9, 9, [40, 41])),
        "SEG409",
        COCO_IMAGE,
    ),
    Plant(36, "an id twice", edit_object(id=1), "SEG403", COCO_IMAGE),
    Plant(36, "an unknown category", edit_object(category_id=9), "SEG410", COCO_IMAGE),
    Plant(36, "an unknown image", edit_object(image_id=99), "SEG411", TRAIN_FILE),
    Plant(36, "no outline", edit_object(segmentation=[]), "SEG412", COCO_IMAGE),
    Plant(36, "an empty box", edit_object(bbox=[5, 6, 0, 10]), "SEG413", COCO_IMAGE),
    Plant(36, "a category of another type", edit_object(category_id="1"), "SEG402", COCO_IMAGE),
    Plant(36, "a crowd", edit_object(iscrowd=1), "SEG417", COCO_IMAGE),
    Plant(36, "a speck", edit_object(area=4.0), "SEG304", COCO_IMAGE),
    Plant(
        36,
        "a record of another size",
        edit_coco(lambda document: document["images"][3].update(width=99)),
        "SEG414",
        COCO_IMAGE,
    ),
    Plant(
        36,
        "a gap in the categories",
        lambda root: [
            edit_coco(
                lambda document: (
                    document["categories"][1].update(id=5),
                    [
                        a.update(category_id=5)
                        for a in document["annotations"]
                        if a["category_id"] == 2
                    ],
                ),
                split,
            )(root)
            for split in ("train", "val")
        ],
        "SEG415",
        TRAIN_FILE,
        also=(("SEG415", "instance_val.json", 1),),
    ),
    Plant(
        36,
        "an image without objects",
        edit_coco(
            lambda document: document.update(
                annotations=[a for a in document["annotations"] if a["image_id"] != 4]
            )
        ),
        "SEG416",
        COCO_IMAGE,
    ),
    Plant(
        36,
        "other categories in val",
        edit_coco(lambda document: document["categories"][1].update(name="plate"), "val"),
        "SEG418",
        "instance_val.json",
    ),
    Plant(
        36,
        "a file in two records",
        edit_coco(lambda document: document["images"][3].update(file_name="02.jpg")),
        "SEG419",
        "02.jpg",
    ),
    Plant(36, "no JSON", write(f"annotations/{TRAIN_FILE}", b"{"), "SEG401", TRAIN_FILE),
    Plant(
        36, "deep nesting", write(f"annotations/{TRAIN_FILE}", b"[" * 100000), "SEG401", TRAIN_FILE
    ),
    Plant(
        35, "a missing image", lambda root: (root / "images/03.jpg").unlink(), "SEG007", COCO_IMAGE
    ),
    Plant(
        37,
        "a path that leaves the dataset",
        edit_coco(lambda document: document["images"][3].update(file_name="../../secret.jpg")),
        "SEG006",
        TRAIN_FILE,
    ),
    Plant(
        1,
        "half a JPEG",
        lambda root: (root / "images/03.jpg").write_bytes(
            half((root / "images/03.jpg").read_bytes())
        ),
        "SEG103",
        COCO_IMAGE,
    ),
]
