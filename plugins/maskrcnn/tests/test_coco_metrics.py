"""COCO's values, equal to those of the reference implementation."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segcore.tasks.instances import Detections, Truth, list_instances
from segcore.tasks.rle import encode_mask, rle_box, rle_json
from segcore_maskrcnn.coco_metrics import COCOMetrics

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CLASSES = 3
STATS = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


def blob(generator, size):
    """An ellipse of any size, sometimes a speck."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    centre = generator.random(2) * size
    reach = generator.uniform(0.02, 0.45, 2) * size + 1
    return ((y - centre[0]) / reach[0]) ** 2 + ((x - centre[1]) / reach[1]) ** 2 <= 1


def random_set(seed):
    """Images with objects, crowds and findings of which some fit; images without either."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(generator.integers(1, 6)):
        size = tuple(generator.integers(40, 240, 2).tolist())
        known = [blob(generator, size) for _ in range(generator.integers(0, 5))]
        known = [mask for mask in known if mask.any()]
        classes = generator.integers(0, CLASSES, len(known))
        rles = [encode_mask(mask) for mask in known]
        boxes = [corners(rle) for rle in rles]
        areas = [float(mask.sum()) for mask in known]
        crowds = generator.random(len(known)) < 0.2
        truth = Truth(size, list_instances(boxes, classes, rles, crowds, areas))
        pairs.append((findings(generator, size, known, classes), truth))
    return pairs


def crowded_set(seed, position):
    """Three images with a crowd at `position` of the objects; every second set has one class."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(3):
        size = tuple(generator.integers(40, 240, 2).tolist())
        known = [mask for mask in (blob(generator, size) for _ in range(5)) if mask.any()]
        classes = generator.integers(0, CLASSES if seed % 2 else 1, len(known))
        crowds = np.zeros(len(known), bool)
        crowds[position] = True
        rles = [encode_mask(mask) for mask in known]
        areas = [float(mask.sum()) for mask in known]
        boxes = [corners(rle) for rle in rles]
        truth = Truth(size, list_instances(boxes, classes, rles, crowds, areas))
        pairs.append((findings(generator, size, known, classes), truth))
    return pairs


def findings(generator, size, known, classes):
    masks, labels = [], []
    for mask, label in zip(known, classes, strict=True):
        for _ in range(generator.integers(0, 3)):
            masks.append(np.roll(mask, generator.integers(-6, 7, 2), (0, 1)))
            labels.append(label if generator.random() < 0.8 else generator.integers(CLASSES))
    strays = [blob(generator, size) for _ in range(generator.integers(0, 3))]
    masks += strays
    labels += generator.integers(0, CLASSES, len(strays)).tolist()
    scores = generator.random(len(masks)).round(1)  # ties are frequent
    order = np.argsort(-scores, kind="stable")
    rles = [encode_mask(masks[number]) for number in order]
    boxes = np.array([corners(rle) for rle in rles], np.float32).reshape(-1, 4)
    return Detections(
        size, boxes + generator.uniform(-2, 2, boxes.shape).astype(np.float32),
        scores[order].astype(np.float32), np.array(labels, np.int64)[order], tuple(rles),
    )  # fmt: skip


def corners(rle):
    x, y, width, height = rle_box(rle)
    return x, y, x + width, y + height


def measured(pairs):
    metric = COCOMetrics(CLASSES, class_names=("a", "b", "c"))
    for found, truth in pairs:
        metric.update(found, truth)
    return metric.compute()


def by_reference(pairs, kind):
    """The twelve numbers and precision by class, from COCO's own files and results."""
    images, objects, results = [], [], []
    for number, (found, truth) in enumerate(pairs, 1):
        images.append({"id": number, "height": truth.size[0], "width": truth.size[1]})
        known = truth.instances
        for box, label, mask, crowd, area in zip(
            known.boxes, known.classes, known.masks, known.is_crowd, known.areas, strict=True
        ):
            objects.append({
                "id": len(objects) + 1, "image_id": number, "category_id": int(label) + 1,
                "bbox": xywh(box), "area": float(area), "iscrowd": int(crowd),
                "segmentation": rle_json(mask),
            })  # fmt: skip
        for box, label, mask, score in zip(
            found.boxes, found.classes, found.masks, found.scores, strict=True
        ):
            shape = {"bbox": xywh(box)} if kind == "box" else {"segmentation": rle_json(mask)}
            results.append({
                "image_id": number, "category_id": int(label) + 1, "score": float(score), **shape
            })  # fmt: skip
    coco = COCO()
    categories = [{"id": c + 1, "name": str(c)} for c in range(CLASSES)]
    coco.dataset = {"images": images, "annotations": objects, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        if not results:
            return None
        evaluation = COCOeval(coco, coco.loadRes(results), {"box": "bbox", "mask": "segm"}[kind])
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"][:, :, :, 0, -1]


def xywh(box):
    x1, y1, x2, y2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1]


def assert_equal_to_reference(pairs, seed):
    """Compare all values, and give how many of the two kinds the reference could measure."""
    values, compared = measured(pairs), 0
    for kind in ("box", "mask"):
        reference = by_reference(pairs, kind)
        if reference is None:
            continue
        stats, precision = reference
        ours = [values[f"{kind}_{name}"] for name in STATS]
        theirs = [None if value == -1 else value for value in stats]
        assert ours == pytest.approx(theirs, abs=1e-9), (seed, kind)
        for number, value in enumerate(values[f"category_{kind}_ap"]):
            own = precision[:, :, number]
            expected = own[own > -1].mean() if (own > -1).any() else None
            assert value == pytest.approx(expected, abs=1e-9), (seed, kind, number)
        compared += 1
    return compared


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_values_are_those_of_the_reference(start):
    seeds = range(start, start + 50)
    assert sum(assert_equal_to_reference(random_set(seed), seed) for seed in seeds) > 80


@pytest.mark.slow
@pytest.mark.parametrize(
    "position", [0, 1, 2, -2, -1, slice(None), slice(None, None, 2), slice(1, None, 2)], ids=str
)
def test_crowds_in_every_position_count_as_in_the_reference(position):
    seeds = range(25)
    compared = (assert_equal_to_reference(crowded_set(seed, position), seed) for seed in seeds)
    assert sum(compared) == 50


def test_nothing_found_is_zero_and_nothing_to_find_is_null():
    mask = encode_mask(np.pad(np.ones((20, 20), np.uint8), 10))
    nothing = Detections((40, 40), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), ())
    known = list_instances([corners(mask)], [1], [mask], [False], [400.0])
    values = measured([(nothing, Truth((40, 40), known))])
    assert values["mask_ap"] == 0
    assert values["category_box_ap"] == [None, 0, None]
    assert values["box_ap_large"] is None
    empty = measured([(nothing, Truth((40, 40), list_instances([], [], [], [], [])))])
    assert empty["mask_ap"] is None
    assert (empty["images"], empty["objects"]) == (1, 0)


def test_the_same_is_perfect_and_a_crowd_forgives():
    mask = encode_mask(np.pad(np.ones((20, 20), np.uint8), 10))
    found = Detections(
        (40, 40), np.array([corners(mask)] * 2, np.float32), np.array([0.9, 0.8]),
        np.array([1, 0]), (mask, mask),
    )  # fmt: skip
    known = list_instances([corners(mask)] * 2, [1, 0], [mask] * 2, [False, True], [400.0] * 2)
    values = measured([(found, Truth((40, 40), known))])
    assert values["box_ap"] == values["mask_ap75"] == pytest.approx(1)
    assert values["category_mask_ap"] == [None, pytest.approx(1), None]
