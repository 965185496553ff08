"""Instance segmentation: each object by itself, with its box, its class and its mask."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import paddle
from paddle import nn

from segcore.errors import ConfigError, DataError, ExportError
from segcore.tasks.coco_results import CocoIds, coco_rows, is_coco_results
from segcore.tasks.instance_batch import (
    SIZE_DIVISOR,
    InstanceBatch,
    collate_instances,
    join_images,
    scale_of,
)
from segcore.tasks.instances import Detections, Mask, Truth
from segcore.tasks.memory import fits, require_memory, running_out_told
from segcore.tasks.paste import paste_mask
from segcore.tasks.preprocess import to_preprocess
from segcore.tasks.rle import Rle, decode_mask, encode_mask
from segcore.tasks.sample import Sample
from segcore.tasks.serial import SerialSession
from segcore.tasks.task import Task

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import InferenceSession

__all__ = ["DetectionNetwork", "InstanceTask"]

log = logging.getLogger(__name__)

_INPUTS = ("image", "im_shape", "scale_factor")
_OUTPUTS = ("bbox", "bbox_num", "mask")
_EXAMPLE_SIZE_PX = (192, 176)  # some of the width is filling
_SAME_BOX_PX = 1.0
_SAME_SCORE = 0.01
_SAME_SHARE = 0.9
COCO_RESULTS = "coco_results.json"

# Bytes at the peak, as measured with MaskRCNN-ResNet18-FPN, the lightest network there is: 726 to
# 765 for each pixel of its input; for each object 7.9 for each pixel of the original image where
# the graph draws the mask, and 8.0 for each pixel of its box where that is pasted here.
_NETWORK_BYTES = 700
_MASK_BYTES = 8
_MOST_OBJECTS = 100  # that networks tell of an image, as COCO's rules have it
_NETWORK_ADVICE = "use a smaller size (predict.target_size, eval.transforms) or batch"
_MASKS_ADVICE = (
    "use the runtime eager, which keeps masks small, or smaller images, or fewer in a batch"
)


class InstanceTask(Task):
    """Images of any sizes in; boxes, scores, classes and masks of objects out.

    A network takes one mapping. In training it holds `image` (N, C, H, W), `im_shape` (N, 2, height
    and width without the filling), `scale_factor` (N, 2, y and x) and, as lists of N, `gt_bbox`
    (K, 4), `gt_class` (K,), `gt_mask` (K segmentations: lists of polygons (n, 2), or a bitmap
    (H, W) uint8) and `is_crowd` (K,), all in pixels of the network's input. The network gives its
    losses by name, which are added.

    In eval mode it takes the first three and gives `bbox`, rows (M, 6) of class, score and
    x1, y1, x2, y2 in the original image, `bbox_num` (N,) rows of each image, and `mask` (M, H, W)
    of 0 and 1 in the size of the original image. Where it has a method `detect` of the same
    inputs, that one is used: it gives `mask_prob` (M, R, R), probabilities over each box, in place
    of `mask`, which spares memory. A row of a class below 0 is none.
    """

    name = "instance"
    has_scores = True
    folder_names: ClassVar = {COCO_RESULTS: is_coco_results}
    collate = staticmethod(collate_instances)

    def __init__(self, config: Config, class_names: Sequence[str], catalogue: Catalogue) -> None:
        super().__init__(config, class_names, catalogue)
        if config.eval.sliding is not None:
            raise ConfigError(
                "eval.sliding: windows cut objects apart; leave it out for instance models"
            )

    def losses(self, network: nn.Layer, batch: InstanceBatch) -> Mapping[str, paddle.Tensor]:
        """Give the sum of the network's own losses as `loss`, and each by its name.

        Raises ConfigError where `train.losses` names others.
        """
        if self.config.train.losses:
            raise ConfigError(
                "train.losses: instance networks bring their own losses; leave it empty"
            )
        terms = network(_training_inputs(batch))
        total = sum(terms.values(), paddle.zeros([]))
        return {"loss": total, **{name: term.detach() for name, term in terms.items()}}

    def inference_network(self, network: nn.Layer) -> nn.Layer:
        return DetectionNetwork(network)

    def input_specs(self) -> list[paddle.static.InputSpec]:
        image = [None, self.config.data.channels, None, None]
        return [
            paddle.static.InputSpec(image, "float32", "image"),
            paddle.static.InputSpec([None, 2], "float32", "im_shape"),
            paddle.static.InputSpec([None, 2], "float32", "scale_factor"),
        ]

    def example_inputs(self, size: tuple[int, int] | None = None) -> Mapping[str, np.ndarray]:
        size = size or _EXAMPLE_SIZE_PX
        filled = [-(-side // SIZE_DIVISOR) * SIZE_DIVISOR for side in size]
        shape = (1, self.config.data.channels, *filled)
        noise = np.random.default_rng(0).uniform(-1.0, 1.0, shape)
        return {
            "image": noise.astype(np.float32),
            "im_shape": np.array([size], np.float32),
            "scale_factor": np.array([[1.5, 1.5]], np.float32),
        }

    def disagreement(
        self, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]
    ) -> str | None:
        """Say how two sets of detections differ, or None where most of each has its like.

        The order of sums decides which of two overlapping boxes of like scores stays, so that some
        rows may differ.
        """
        if len(actual) != len(expected):
            return f"it gives {len(actual)} outputs instead of {len(expected)}"
        rows, others = expected[0], actual[0]
        for one, two in ((rows, others), (others, rows)):
            alike = _count_alike(one, two)
            if alike < _SAME_SHARE * len(one):
                return f"{len(one) - alike} of {len(one)} boxes have no like among {len(two)}"
        if actual[2].shape[1:] != expected[2].shape[1:]:
            return f"masks are {actual[2].shape[1:]} instead of {expected[2].shape[1:]}"
        return None

    def deployment(self) -> Mapping[str, Any]:
        return {"inputs": list(_INPUTS), "outputs": list(_OUTPUTS)}

    def foreign_sections(self, steps: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Give what PaddleX and PaddleDetection read of models of boxes and masks.

        Without the operations that prepare images they refuse the model, which is better than
        wrong results: that is so where `steps` have no like there, and a warning says it.
        """
        sections: dict[str, Any] = {
            "mode": "paddle",
            "metric": "COCO",
            "arch": "RCNN",  # the family of graphs that take and give what this task's do
            "mask": True,
            "use_dynamic_shape": False,
            "min_subgraph_size": 40,
            "draw_threshold": self.config.predict.score_threshold,
            "label_list": list(self.class_names),
        }
        try:
            sections["Preprocess"] = to_preprocess(steps)
        except ExportError as error:
            log.warning("PaddleX cannot prepare images for this export: %s", error)
        return sections

    def session(self, network: nn.Layer) -> InferenceSession:
        return _NetworkSession(network)

    def infer(self, session: InferenceSession, samples: Sequence[Sample]) -> list[Detections]:
        """Give the objects of each sample, best first, in pixels of its original image.

        Neighbours that are filled up to one size run as one batch.
        """
        found: list[Detections] = []
        for _, neighbours in groupby(samples, key=_filled_size):
            group = list(neighbours)
            _require_memory_to_run(group)
            inputs = _inference_inputs(group)
            _require_memory_to_draw(session, group, inputs)
            outputs = session.run(inputs)
            if len(outputs) != len(_OUTPUTS):
                raise ExportError(
                    f"the graph gives {len(outputs)} outputs instead of {', '.join(_OUTPUTS)}: it "
                    "is no model of boxes with masks"
                )
            found += _split(group, *outputs)
        return found

    def memory_settings(self) -> str:
        count = self.config.train.batch_size
        return f"train.batch_size={count} and images of the sizes that train.transforms makes"

    def truth(self, sample: Sample) -> Truth:
        if sample.instances is None:
            raise DataError(f"{sample.source}: has no objects, which measuring needs")
        return Truth(_original_size(sample), sample.instances)

    def check_ids(self, ids: CocoIds) -> None:
        for name in self.class_names:
            ids.category(name)

    def folder_files(
        self, results: Sequence[Mapping[str, Any]], ids: CocoIds | None = None
    ) -> Mapping[str, Any]:
        """Give all objects in the form of COCO's results."""
        return {COCO_RESULTS: coco_rows(results, ids)}


class DetectionNetwork(nn.Layer):
    """An instance network whose inputs and outputs are tensors, as exports have them."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, image: paddle.Tensor, im_shape: paddle.Tensor, scale_factor: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Give `bbox` (M, 6), `bbox_num` (N,) and `mask` (M, H, W)."""
        inputs = {"image": image, "im_shape": im_shape, "scale_factor": scale_factor}
        found = self.network(inputs)
        return found["bbox"], found["bbox_num"], found["mask"]


class _NetworkSession:
    """A network behind the interface of inference runtimes; masks are small where it can."""

    def __init__(self, network: nn.Layer) -> None:
        self._network = network
        self._detect = getattr(network, "detect", None)

    @property
    def has_small_masks(self) -> bool:
        """Whether masks come in the resolution of the network, not of the image."""
        return self._detect is not None

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        was_training = self._network.training
        self._network.eval()
        try:
            with paddle.no_grad(), running_out_told(inputs):
                tensors = {name: paddle.to_tensor(array) for name, array in inputs.items()}
                found = (self._detect or self._network)(tensors)
        finally:
            if was_training:
                self._network.train()
        masks = found["mask_prob" if self.has_small_masks else "mask"]
        return [found["bbox"].numpy(), found["bbox_num"].numpy(), masks.numpy()]


def _training_inputs(batch: InstanceBatch) -> dict[str, Any]:
    instances = batch.instances
    return {
        "image": paddle.to_tensor(batch.images),
        "im_shape": paddle.to_tensor(batch.im_shape),
        "scale_factor": paddle.to_tensor(batch.scale_factor),
        "gt_bbox": [paddle.to_tensor(of_image.boxes) for of_image in instances],
        "gt_class": [paddle.to_tensor(of_image.classes) for of_image in instances],
        "gt_mask": [[_as_network_takes(mask) for mask in of_image.masks] for of_image in instances],
        "is_crowd": [paddle.to_tensor(of_image.is_crowd) for of_image in instances],
    }


def _as_network_takes(mask: Mask) -> list[np.ndarray] | np.ndarray:
    return decode_mask(mask) if isinstance(mask, Rle) else list(mask)


def _inference_inputs(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    scales = np.array([scale_of(sample) for sample in samples], np.float32)
    originals = np.array([_original_size(sample) for sample in samples], np.float32)
    return {
        "image": join_images(samples),
        # what is left of the image without any filling, also that of transforms
        "im_shape": np.rint(originals * scales).astype(np.float32),
        "scale_factor": scales,
    }


def _require_memory_to_run(samples: Sequence[Sample]) -> None:
    """Raise ExhaustedError where a network takes more than is free to run on `samples`."""
    height, width = (SIZE_DIVISOR * side for side in _filled_size(samples[0]))
    what = f"{samples[0].source}: running {len(samples)} of {width} x {height} px"
    if _is_on_cpu():
        require_memory(len(samples) * height * width * _NETWORK_BYTES, what, _NETWORK_ADVICE)


def _require_memory_to_draw(
    session: InferenceSession, samples: Sequence[Sample], inputs: Mapping[str, np.ndarray]
) -> None:
    """Raise ExhaustedError where the masks that a graph draws take more than is free.

    How many there are is only known after a run. Where not all that there could be fit, the graph
    runs once more before, for images that have no more pixels than its input.
    """
    inner = session.session if isinstance(session, SerialSession) else session
    if isinstance(inner, _NetworkSession) and inner.has_small_masks:
        return
    height, width = (max(sides) for sides in zip(*map(_original_size, samples), strict=True))
    mask_bytes = height * width * (_MASK_BYTES if _is_on_cpu() else _MASK_BYTES // 2)
    if fits(len(samples) * _MOST_OBJECTS * mask_bytes):
        return
    small = {**inputs, "scale_factor": np.ones_like(inputs["scale_factor"])}
    found = len(session.run(small)[0])
    what = f"{samples[0].source}: drawing {found} masks of {width} x {height} px"
    require_memory(found * mask_bytes, what, _MASKS_ADVICE)


def _is_on_cpu() -> bool:
    """Say whether networks run in the memory of this process; other devices have their own."""
    return bool(paddle.device.get_device() == "cpu")


def _require_memory_to_paste(sample: Sample, boxes: np.ndarray) -> None:
    """Raise ExhaustedError where the largest mask is more than is free; they come one by one."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).astype(np.float64)
    largest = int(sides.prod(axis=1).max(initial=0))
    what = f"{sample.source}: drawing an object of {largest} px"
    require_memory(largest * _MASK_BYTES, what, "use smaller images")


def _original_size(sample: Sample) -> tuple[int, int]:
    return sample.geometry[0][1] if sample.geometry else sample.size


def _filled_size(sample: Sample) -> tuple[int, int]:
    height, width = (-(-side // SIZE_DIVISOR) for side in sample.size)
    return height, width


def _split(
    samples: Sequence[Sample], rows: np.ndarray, counts: np.ndarray, masks: np.ndarray
) -> list[Detections]:
    """Give the `rows` (M, 6) and `masks` of each sample."""
    ends = np.cumsum(counts.reshape(-1))
    found = []
    for sample, end, count in zip(samples, ends, counts.reshape(-1), strict=True):
        own = slice(int(end - count), int(end))
        if np.issubdtype(masks.dtype, np.floating):
            _require_memory_to_paste(sample, rows[own, 2:])
        found.append(_detections(rows[own], masks[own], _original_size(sample)))
    return found


def _detections(rows: np.ndarray, masks: np.ndarray, size: tuple[int, int]) -> Detections:
    order = np.argsort(-rows[:, 1], kind="stable")
    order = order[rows[order, 0] >= 0]
    boxes = rows[order, 2:].astype(np.float32)
    is_small = np.issubdtype(masks.dtype, np.floating)
    return Detections(
        size,
        boxes,
        rows[order, 1].astype(np.float32),
        rows[order, 0].astype(np.int64),
        tuple(
            paste_mask(masks[number], box, size) if is_small else _fitted(masks[number], size)
            for number, box in zip(order, boxes, strict=True)
        ),
    )


def _fitted(mask: np.ndarray, size: tuple[int, int]) -> Rle:
    """Encode `mask` (H, W) in `size`, from which rounding may part it by a pixel."""
    if mask.shape == size:
        return encode_mask(mask)
    fitted = np.zeros(size, np.uint8)
    height, width = (min(sides) for sides in zip(mask.shape, size, strict=True))
    fitted[:height, :width] = mask[:height, :width]
    return encode_mask(fitted)


def _count_alike(rows: np.ndarray, others: np.ndarray) -> int:
    """Count the `rows` (M, 6) of class, score and box that have a like among `others`."""
    if not len(rows) or not len(others):
        return 0
    apart = np.abs(rows[:, None] - others[None])
    limits = np.array([0.0, _SAME_SCORE, *[_SAME_BOX_PX] * 4])
    return int((apart <= limits).all(axis=2).any(axis=1).sum())
