"""Non-maximum suppression: of boxes of one class that overlap, keep the ones with the best scores.

"MultiClassNMS" drops what overlaps a better box; "MultiClassSoftNMS" lowers its score instead
(Bodla et al., https://arxiv.org/abs/1704.04503); "MultiClassCiouNMS" takes boxes whose centres are
far apart for different objects (Zheng et al., https://arxiv.org/abs/1911.08287; PaddleX's name,
although it leaves out the term of the aspect ratio); "MatrixNMS" lowers all scores at once (Wang et
al., https://arxiv.org/abs/2003.10152). The first one is an operator of Paddle's; the others are
made of operators, so that every kind can be exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import paddle
from paddle.base.layer_helper import LayerHelper

from segcore_maskrcnn.boxes import best_of_each_image, image_index, pairwise_iou

__all__ = ["Suppression"]

_MOST_CANDIDATES = 1000  # of an image, for MatrixNMS, whose cost grows with their square
_TINY = 1e-10


@dataclass(frozen=True)
class Suppression:
    """How boxes are suppressed: `overlap` for hard kinds, `sigma` for MultiClassSoftNMS."""

    kind: str = "MultiClassNMS"
    keep: int = 100
    score: float = 0.05
    overlap: float = 0.5
    sigma: float = 0.5

    def __call__(self, boxes: Any, scores: Any, counts: Any) -> tuple[Any, Any]:
        """Give rows (K, 6) of class, score and box, and how many are of each image (N,), int32.

        `boxes` are (M, C, 4) and `scores` (M, C), of which `counts` (N,) are of each image; at most
        `keep` are left of an image.
        """
        if self.kind == "MultiClassNMS":
            return _paddle_nms(boxes, scores, counts, self)
        if self.kind == "MatrixNMS":
            return _matrix_nms(boxes, scores, counts, self)
        return _one_by_one(boxes, scores, counts, self)


def _paddle_nms(boxes: Any, scores: Any, counts: Any, options: Suppression) -> tuple[Any, Any]:
    """Run Paddle's operator, which has no public function.

    Its options are the score below which boxes do not count, and how many count of each class
    before suppression (-1 is all) and of all classes after it; no class is the background.
    """
    attributes = {
        "score_threshold": options.score,
        "nms_top_k": -1,
        "keep_top_k": options.keep,
        "nms_threshold": options.overlap,
        "normalized": True,
        "nms_eta": 1.0,
        "background_label": -1,
    }
    if _calls_operators():
        operator = paddle._C_ops.multiclass_nms3  # noqa: SLF001 - there is no public way
        rows, _, numbers = operator(boxes, scores, counts, *attributes.values())
        return rows, numbers
    # graphs of the older format are made by Paddle 2.6, and by later ones for ONNX and Lite
    helper = LayerHelper("multiclass_nms3")
    rows, index, numbers = (
        helper.create_variable_for_type_inference(dtype=dtype)
        for dtype in (boxes.dtype, "int32", "int32")
    )
    helper.append_op(
        type="multiclass_nms3",
        inputs={"BBoxes": boxes, "Scores": scores, "RoisNum": counts},
        outputs={"Out": rows, "Index": index, "NmsRoisNum": numbers},
        attrs=attributes,
    )
    rows.stop_gradient = True
    return rows, numbers


def _calls_operators() -> bool:
    """Say whether operators are called as functions here, and not appended to an old program."""
    known = getattr(paddle.framework, "in_dynamic_or_pir_mode", paddle.in_dynamic_mode)
    return bool(known())


def _one_by_one(boxes: Any, scores: Any, counts: Any, options: Suppression) -> tuple[Any, Any]:
    """Take the best box of all images and classes, lower the scores of those that it overlaps.

    Classes and images do not know each other, so that one loop serves all of them.
    """
    image = image_index(counts, scores)  # (M,)
    by_class = paddle.transpose(boxes, [1, 0, 2])  # (C, M, 4)
    left = paddle.transpose(scores, [1, 0])  # (C, M)
    left = left * (left >= options.score).astype("float32")
    number = paddle.shape(scores)[0]
    taken = counts * 0
    most = paddle.shape(counts)[0] * options.keep
    found = paddle.zeros([most, 7], "float32")  # class, score, box and image of each
    step = paddle.zeros([1], "int64")

    def goes_on(step: Any, left: Any, *_: Any) -> Any:
        return paddle.logical_and(step < most, (left.max() > 0).reshape([1]))

    def take(step: Any, left: Any, taken: Any, found: Any) -> list[Any]:
        best = paddle.argmax(left).reshape([1])
        row_class, place = best // number, best % number
        of_class = left.gather(row_class)  # (1, M)
        candidates = by_class.gather(row_class)[0]  # (M, 4)
        box = candidates.gather(place)  # (1, 4)
        owner = image.gather(place)
        row = [row_class.astype("float32"), of_class[0].gather(place), box[0]]
        row.append(owner.astype("float32"))
        found = paddle.scatter(found, step, paddle.concat(row).reshape([1, 7]))
        weight = _kept_share(box, candidates, options)  # (1, M)
        is_near = (image == owner).astype("float32").unsqueeze(0)  # of the same image
        of_class = of_class * (weight * is_near + (1.0 - is_near))
        of_class = of_class * (paddle.arange(number, dtype="int64") != place).astype("float32")
        of_class = of_class * (of_class >= options.score).astype("float32")
        left = paddle.scatter(left, row_class, of_class)
        taken = taken + (paddle.arange(paddle.shape(counts)[0]) == owner).astype(taken.dtype)
        is_open = (taken < options.keep).astype("float32").gather(image)
        return [step + 1, left * is_open, taken, found]

    step, left, taken, found = paddle.static.nn.while_loop(
        goes_on, take, [step, left, taken, found]
    )
    place = paddle.arange(most, dtype="int64")
    is_found = place < step
    # empty rows go behind those of the last image
    last = paddle.shape(counts)[0].astype("int64")
    group = paddle.where(is_found, found[:, 6].astype("int64"), last.expand_as(place))
    order = paddle.argsort(group * most.astype("int64") + place)
    return found.gather(order[: paddle.sum(taken)])[:, :6], taken


def _kept_share(box: Any, others: Any, options: Suppression) -> Any:
    """Give for `box` (1, 4) what is left of the scores of `others` (M, 4): (1, M), 0 to 1."""
    overlap = pairwise_iou(box, others)
    if options.kind == "MultiClassSoftNMS":
        return paddle.exp(-(overlap**2) / options.sigma)
    low, high = paddle.minimum(box, others), paddle.maximum(box, others)
    diagonal = ((high[:, 2:] - low[:, :2]) ** 2).sum(axis=1)
    apart = (((box[:, :2] + box[:, 2:]) - (others[:, :2] + others[:, 2:])) ** 2).sum(axis=1) / 4
    distance = ((apart + _TINY) / (diagonal + _TINY)).unsqueeze(0)
    return (overlap - distance <= options.overlap).astype("float32")


def _matrix_nms(boxes: Any, scores: Any, counts: Any, options: Suppression) -> tuple[Any, Any]:
    """Lower each score by the overlaps with better boxes, less what lowered these themselves."""
    # the first box goes along with a score of 0, since not every operator takes nothing at all
    places = paddle.nonzero(scores > options.score)  # (K, 2), row and class
    places = paddle.concat([places, paddle.zeros([1, 2], places.dtype)])
    values = scores.gather_nd(places)
    values = values * (values > options.score).astype("float32")
    owner = image_index(counts, scores).gather(places[:, 0])
    candidates, _ = best_of_each_image(values, owner, _count(owner, counts), _MOST_CANDIDATES)
    order = candidates.gather(paddle.argsort(values.gather(candidates), descending=True))
    places, values, owner = places.gather(order), values.gather(order), owner.gather(order)
    found = boxes.gather_nd(places)  # (K, 4), best first
    group = owner * scores.shape[1] + places[:, 1]
    alike = (group.unsqueeze(0) == group.unsqueeze(1)).astype("float32")
    overlap = paddle.triu(pairwise_iou(found, found) * alike, 1)  # (better, worse)
    lowered = overlap.max(axis=0).unsqueeze(1)
    # a box that overlaps a better one wholly is lost itself, and lowers nobody
    share = ((1 - overlap) / paddle.clip(1 - lowered, min=_TINY)).min(axis=0)
    values = values * paddle.clip(share, max=1.0)
    chosen, _ = best_of_each_image(values, owner, _count(owner, counts), options.keep)
    is_good = values.gather(chosen) > options.score
    counted = is_good.astype("int64")
    # the bad ones belong to image -1, which is none
    numbers = _count(owner.gather(chosen) * counted + counted - 1, counts)
    label = places[:, 1:].astype("float32")
    rows = paddle.concat([label, values.unsqueeze(1), found], axis=1)
    return rows.gather(paddle.masked_select(chosen, is_good)), numbers.astype("int32")


def _count(owner: Any, counts: Any) -> Any:
    """Count the rows of each of N images."""
    images = paddle.arange(paddle.shape(counts)[0], dtype="int64")
    return (owner.unsqueeze(1) == images.unsqueeze(0)).astype("int64").sum(axis=0)
