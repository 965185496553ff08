"""Mask R-CNN: propose boxes, say what is in each, and draw it.

A backbone and a feature pyramid look at the image; the region proposal network finds boxes that
hold an object of whatever class; the box head says of which class, and corrects the box; the mask
head draws the object within it. Without pyramid, the backbone's stage 5 runs on what is within each
box.
Paper: He et al., "Mask R-CNN", https://arxiv.org/abs/1703.06870

Names of layers and values are those of PaddleDetection, so that its weights fit. What differs: a
batch may have images of several sizes, and images without objects in training and without findings
in prediction are nothing special.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from segcore.nn.backbone import Backbone
from segcore_maskrcnn.box_head import BoxHead, Proposals
from segcore_maskrcnn.boxes import clip_boxes, image_index
from segcore_maskrcnn.mask_head import MaskHead, paste_masks
from segcore_maskrcnn.mask_target import draw_targets
from segcore_maskrcnn.matching import step_generator
from segcore_maskrcnn.pyramid import FPN, HRFPN
from segcore_maskrcnn.resnet import LastStage
from segcore_maskrcnn.roi import align_rois
from segcore_maskrcnn.rpn import RPNHead

__all__ = ["MaskRCNN"]

_POOLED_MAPS = 4  # of a pyramid: the coarsest map is for proposals alone


class MaskRCNN(nn.Layer):
    """Find objects of `num_classes` classes, the background not counted.

    `neck` is None where the box head is the backbone's last stage; the mask head then draws from
    what that makes. `cut_feature` is the index of a feature that sends no gradient back into the
    backbone. With `use_random` off, training takes the first of equal samples instead of any.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: FPN | HRFPN | None,
        rpn_head: RPNHead,
        bbox_head: BoxHead,
        mask_head: MaskHead,
        *,
        cut_feature: int | None = None,
        use_random: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.rpn_head = rpn_head
        self.bbox_head = bbox_head
        self.mask_head = mask_head
        self.cut_feature = cut_feature
        self.use_random = use_random
        self.shares_head = isinstance(bbox_head.head, LastStage)
        strides = backbone.feature_strides if neck is None else neck.strides[:_POOLED_MAPS]
        self.pooled_strides = tuple(strides)
        self.box_resolution = 14 if self.shares_head else 7
        self.smallest_px = 1 if neck is None else neck.smallest_px

    def forward(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Give losses in training, and objects else.

        `inputs` holds `image` (N, C, H, W), `im_shape` (N, 2), height and width of each image
        without padding, and in eval mode `scale_factor` (N, 2), by which y and x were multiplied
        before. For training it also holds lists of N: `gt_bbox` (K, 4), `gt_class` (K,) from 0 on,
        `gt_mask`, K segmentations as lists of polygons (n, 2) or bitmaps (H, W), and optionally
        `is_crowd` (K,), whose objects do not count; coordinates are pixels of `image`.

        Losses: `loss_rpn_cls`, `loss_rpn_reg`, `loss_bbox_cls`, `loss_bbox_reg`, `loss_mask`,
        scalars to add up. Objects: `bbox`, rows (M, 6) of class, score, x1, y1, x2, y2 in pixels of
        the original image, grouped by image, `bbox_num` (N,) int32, how many each image has, and
        `mask` (M, H, W) int32, 0 or 1 for each pixel of the original image (of the largest one,
        where they differ). A box without any area in its image has the class -1.
        """
        if self.training:
            return self._losses(inputs)
        bbox, numbers, masks, origins = self._find_in_originals(inputs)
        canvas = paddle.max(_original_sizes(inputs), axis=0)
        mask = paste_masks(masks, bbox[:, 2:], origins, canvas)
        return {"bbox": bbox[:-1], "bbox_num": numbers, "mask": mask[:-1]}

    def detect(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Give objects with their masks as the network draws them, much smaller than `forward`.

        `bbox` and `bbox_num` are those of `forward`; `mask_prob` (M, R, R) are probabilities over
        the box, for `segcore_maskrcnn.mask_head.paste_masks` or whatever else stretches them.
        """
        bbox, numbers, masks, _ = self._find_in_originals(inputs)
        return {"bbox": bbox[:-1], "bbox_num": numbers, "mask_prob": masks[:-1]}

    def _find_in_originals(self, inputs: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
        """Give `bbox`, `bbox_num` and `mask_prob`, and the sizes (M, 2) of the rows' images.

        As in `_find` the last row is none.
        """
        rows, numbers, masks = self._find(inputs["image"], inputs["im_shape"])
        image = image_index(_one_more(numbers), rows)
        origins = _original_sizes(inputs).gather(image)
        scale = inputs["scale_factor"].gather(image)  # (M, 2) as y, x
        scale = paddle.concat([scale[:, 1:], scale[:, :1]] * 2, axis=1)
        boxes = clip_boxes(rows[:, 2:] / scale, origins)
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1, keepdim=True).astype(boxes.dtype)
        label = rows[:, :1] * has_area + (has_area - 1.0)
        return paddle.concat([label, rows[:, 1:2], boxes], axis=1), numbers, masks, origins

    def _find(self, image: Any, sizes: Any) -> tuple[Any, Any, Any]:
        """Give objects (M, 6) in pixels of `image`, how many each has (N,), and masks (M, R, R).

        A row that is none, of the last image, stands behind the others and does not count: before
        Paddle 3.3 many operators do not take nothing at all.
        """
        features = self._features(image)
        boxes, counts = self._propose(features, sizes)[3:]
        scores, deltas, _ = self.bbox_head(self._within(features, boxes, counts))
        rows, numbers = self.bbox_head.predict(scores, deltas, boxes, counts, sizes)
        rows = paddle.concat([rows, paddle.to_tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 1.0]], rows.dtype)])
        seen = self._within(features, rows[:, 2:], _one_more(numbers), True)
        if self.shares_head:
            seen = self.bbox_head.head(seen)
        return rows, numbers, self.mask_head.predict(seen, rows[:, 0].astype("int64"))

    def _features(self, image: Any) -> list[Any]:
        """Give the features that proposals come from, finest first."""
        if paddle.in_dynamic_mode():
            missing = [max(0, self.smallest_px - side) for side in image.shape[2:]]
            if any(missing):
                image = functional.pad(image, [0, missing[1], 0, missing[0]])
        features = list(self.backbone(image))
        if self.training and self.cut_feature is not None:
            features[self.cut_feature] = features[self.cut_feature].detach()
        return features if self.neck is None else self.neck(features)

    def _propose(self, features: Sequence[Any], sizes: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Give logits, offsets and anchors by map, and the proposals (M, 4) and (N,) of all."""
        scores, deltas, anchors = self.rpn_head(features)
        with paddle.no_grad():
            boxes, counts = self.rpn_head.propose(scores, deltas, anchors, sizes)
        return scores, deltas, anchors, boxes, counts

    def _within(
        self, features: Sequence[Any], boxes: Any, counts: Any, for_masks: bool = False
    ) -> Any:
        resolution = 14 if for_masks else self.box_resolution
        pooled = features[: len(self.pooled_strides)]
        return align_rois(pooled, self.pooled_strides, boxes, counts, resolution)

    def _losses(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        boxes, classes, masks = _objects(inputs)
        generator = step_generator() if self.use_random else None
        features = self._features(inputs["image"])
        scores, deltas, anchors, rois, counts = self._propose(features, inputs["im_shape"])
        losses = self.rpn_head.losses(scores, deltas, anchors, boxes, generator)
        with paddle.no_grad():
            proposals = self.bbox_head.choose(rois, counts, boxes, classes, generator)
        seen = self._within(features, proposals.boxes, proposals.counts)
        box_scores, box_deltas, shared = self.bbox_head(seen)
        losses.update(self.bbox_head.losses(box_scores, box_deltas, proposals))
        losses["loss_mask"] = self._mask_loss(features, shared, proposals, masks)
        return losses

    def _mask_loss(
        self, features: Sequence[Any], shared: Any, proposals: Proposals, masks: Sequence[Any]
    ) -> Any:
        """Draw the objects of the positive proposals, and compare with `masks` of each image."""
        is_positive = proposals.classes < self.bbox_head.num_classes
        owner = np.repeat(np.arange(len(masks)), proposals.counts.numpy())
        chosen = np.flatnonzero(is_positive)
        # where there is no object one box is drawn all the same, so that gradients exist
        rows = paddle.to_tensor(chosen if len(chosen) else np.zeros(1, np.int64))
        boxes = proposals.boxes.gather(rows)
        if self.shares_head:
            seen = shared.gather(rows)
        else:
            counts = np.bincount(owner[rows.numpy()], minlength=len(masks))
            seen = self._within(features, boxes, paddle.to_tensor(counts, "int32"), True)
        targets = [
            draw_targets(
                masks[image],
                proposals.objects[chosen][owner[chosen] == image],
                boxes.numpy()[: len(chosen)][owner[chosen] == image],
                2 * seen.shape[-1],
            )
            for image in range(len(masks))
        ]
        return self.mask_head.loss(seen, proposals.classes[chosen], np.concatenate(targets))


def _one_more(counts: Any) -> Any:
    """Count one row more of the last image."""
    is_last = paddle.arange(paddle.shape(counts)[0]) == paddle.shape(counts)[0] - 1
    return counts + is_last.astype(counts.dtype)


def _original_sizes(inputs: Mapping[str, Any]) -> Any:
    """Give height and width (N, 2) of the images before they were scaled, whole numbers."""
    return paddle.floor(inputs["im_shape"] / inputs["scale_factor"] + 0.5)


def _objects(inputs: Mapping[str, Any]) -> tuple[list[Any], list[np.ndarray], list[list[Any]]]:
    """Give the boxes, classes and segmentations of each image, without crowds."""
    boxes, classes, masks = [], [], []
    crowds = inputs.get("is_crowd")
    for image, segmentations in enumerate(inputs["gt_mask"]):
        alone = np.ones(len(segmentations), bool)
        if crowds is not None:
            alone = _array(crowds[image]).reshape(-1) == 0
        kept = _array(inputs["gt_bbox"][image]).reshape(-1, 4)[alone]
        boxes.append(paddle.to_tensor(kept, inputs["image"].dtype))
        classes.append(_array(inputs["gt_class"][image]).astype(np.int64).reshape(-1)[alone])
        masks.append([segmentations[index] for index in np.flatnonzero(alone)])
    return boxes, classes, masks


def _array(values: Any) -> np.ndarray:
    return values.numpy() if isinstance(values, paddle.Tensor) else np.asarray(values)
