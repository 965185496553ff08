"""COCO's average precision and recall, of boxes and of masks.

The matching and the sums are those of faster-coco-eval, which computes what COCO's reference
implementation does (https://cocodataset.org/#detection-eval). `DEFINITIONS` says what the values
mean; the same sentences go into evaluate_result.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segcore.errors import PackageMissingError
from segcore.tasks.instances import Detections, Truth, mask_rle
from segcore.tasks.rle import rle_area, rle_box, rle_json

__all__ = ["DEFINITIONS", "COCOMetrics"]

_KINDS = {"box": "bbox", "mask": "segm"}
_AREAS = ("all", "small", "medium", "large")
_MOST = (1, 10, 100)  # objects of an image that count, best first

DEFINITIONS: Mapping[str, str] = {
    "ap": "average precision: mean over classes and over IoU thresholds of 0.50 to 0.95 by 0.05",
    "ap50": "the same at the IoU threshold 0.50",
    "ap75": "the same at the IoU threshold 0.75",
    "ap_small": "the same as ap, of objects of up to 32 x 32 square pixels",
    "ap_medium": "the same as ap, of objects between small and large",
    "ap_large": "the same as ap, of objects of at least 96 x 96 square pixels",
    "ar1": "average recall with the best object of each image, over classes and IoU thresholds",
    "ar10": "the same with the best 10 objects of each image",
    "ar100": "the same with the best 100 objects of each image",
    "ar_small": "the same as ar100, of small objects",
    "ar_medium": "the same as ar100, of medium objects",
    "ar_large": "the same as ar100, of large objects",
    "category_ap": "ap of each class",
    "category_ap50": "ap50 of each class",
    "category_ar100": "ar100 of each class",
}


class COCOMetrics:
    """Measure detections against objects: `segcore.protocols.Metric` for instance tasks.

    Crowds are no objects to be found, and what is found in them is no mistake. Values come twice,
    as `box_ap` and `mask_ap`; one that is 0/0 (no object of that class or size) is null.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = 255,  # noqa: ARG002 - of semantic labels
        class_names: Sequence[str] = (),
    ) -> None:
        self.num_classes = num_classes
        self.class_names = tuple(class_names)
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def update(self, prediction: Detections, truth: Truth) -> None:
        """Count one image."""
        number = len(self._images) + 1
        height, width = truth.size
        self._images.append({"id": number, "width": width, "height": height})
        known = truth.instances
        for index, mask in enumerate(known.masks):
            record = {
                "id": len(self._objects) + 1,
                "image_id": number,
                "category_id": int(known.classes[index]) + 1,
                "bbox": _as_xywh(known.boxes[index]),
                "area": float(known.areas[index]),
                "iscrowd": int(known.is_crowd[index]),
                "segmentation": rle_json(mask_rle(mask, truth.size)),
            }
            self._objects.append(record)
        for index, mask in enumerate(prediction.masks):
            found = {
                "id": len(self._found) + 1,
                "image_id": number,
                "category_id": int(prediction.classes[index]) + 1,
                "score": float(prediction.scores[index]),
                "iscrowd": 0,
                "bbox": _as_xywh(prediction.boxes[index]),
                "mask_area": rle_area(mask),
                "mask_box": [float(side) for side in rle_box(mask)],
                "segmentation": rle_json(mask),
            }
            self._found.append(found)

    def compute(self) -> dict[str, Any]:
        """Give every value of `DEFINITIONS` for boxes and masks, ready for JSON.

        Besides: `class_names`, how many `images` and `objects` there are without crowds, and
        `definitions`.
        """
        values: dict[str, Any] = {}
        for name in _KINDS:
            values.update({f"{name}_{key}": value for key, value in self._measure(name).items()})
        by_class = {key: values.pop(key) for key in list(values) if "_category_" in key}
        for key, value in by_class.items():
            kind, _, rest = key.partition("_category_")
            values[f"category_{kind}_{rest}"] = value
        return {
            **values,
            "class_names": list(self.class_names),
            "images": len(self._images),
            "objects": sum(not known["iscrowd"] for known in self._objects),
            "definitions": dict(DEFINITIONS),
        }

    def _measure(self, kind: str) -> dict[str, Any]:
        precision, recall = self._tables(kind)
        first, half, middle = slice(None), 0, 5  # IoU thresholds: all of them, 0.50, 0.75
        values: dict[str, Any] = {
            "ap": _mean(precision[first, :, :, 0, -1]),
            "ap50": _mean(precision[half, :, :, 0, -1]),
            "ap75": _mean(precision[middle, :, :, 0, -1]),
        }
        for area, name in enumerate(_AREAS[1:], start=1):
            values[f"ap_{name}"] = _mean(precision[:, :, :, area, -1])
        for number, most in enumerate(_MOST):
            values[f"ar{most}"] = _mean(recall[:, :, 0, number])
        for area, name in enumerate(_AREAS[1:], start=1):
            values[f"ar_{name}"] = _mean(recall[:, :, area, -1])
        classes = range(self.num_classes)
        values["category_ap"] = [_mean(precision[:, :, c, 0, -1]) for c in classes]
        values["category_ap50"] = [_mean(precision[half, :, c, 0, -1]) for c in classes]
        values["category_ar100"] = [_mean(recall[:, c, 0, -1]) for c in classes]
        return values

    def _tables(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Give precision (T, R, C, A, M) and recall (T, C, A, M), -1 where there is none.

        T are thresholds of the IoU, R levels of recall, A areas, M numbers of objects an image.
        """
        try:
            from faster_coco_eval import COCO, COCOeval_faster
        except ImportError as error:
            raise PackageMissingError(
                f"COCOMetrics needs faster-coco-eval ({error}); run: pip install faster-coco-eval"
            ) from error
        found = [{**record, **_as_kind(record, kind)} for record in self._found]
        evaluation = COCOeval_faster(
            COCO(self._dataset(self._objects)),
            COCO(self._dataset(found)),
            iouType=_KINDS[kind],
            print_function=_keep_quiet,
        )
        evaluation.evaluate()
        evaluation.accumulate()
        shape = (len(evaluation.params.iouThrs), len(evaluation.params.recThrs))
        tail = (self.num_classes, len(_AREAS), len(_MOST))
        precision = np.asarray(evaluation.eval["precision"]).reshape(*shape, *tail)
        recall = np.asarray(evaluation.eval["recall"]).reshape(shape[0], *tail)
        return precision, recall

    def _dataset(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "images": self._images,
            "categories": [{"id": c + 1, "name": str(c)} for c in range(self.num_classes)],
            "annotations": records,
        }


def _as_kind(record: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Give box and area as results of that kind have them: a mask's are those of its pixels."""
    if kind == "mask":
        return {"bbox": record["mask_box"], "area": record["mask_area"]}
    return {"area": record["bbox"][2] * record["bbox"][3]}


def _as_xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _mean(values: np.ndarray) -> float | None:
    """Average what is defined; None where nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _keep_quiet(*_: Any) -> None:
    """Take the progress messages of the evaluation."""
