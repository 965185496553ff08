"""A plugin with an instance network that trains in milliseconds, and a metric for it.

The network looks at a grid of cells of 8 x 8 pixels; each says whether the middle of an object is
in it, of which class, and how far its sides are. The mask of an object is its box.
"""

SETTINGS = (
    "eval.metrics=[{type: BestOverlap}]",
    "eval.best=best_overlap",
    "train.transforms=[{type: RandomHorizontalFlip}, "
    "{type: ResizeByShort, short_size: [48, 64, 80]}, {type: Normalize}]",
    "eval.transforms=[{type: Resize, target_size: [96, 72], keep_ratio: true}, {type: Normalize}]",
)
"""What it is trained and measured with, as `key=value` texts."""

PLUGIN = """
from segcore.plugin import MetricSpec, ModelSpec, hookimpl

@hookimpl
def segcore_models():
    return [ModelSpec(name="Toy-Boxes", task="instance", target="toy_boxes_network:Boxes")]

@hookimpl
def segcore_metrics():
    target = "toy_boxes_network:BestOverlap"
    return [MetricSpec(name="BestOverlap", task="instance", target=target)]
"""

NETWORK = '''
import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from segcore.tasks.instances import mask_rle
from segcore.tasks.rle import decode_mask

CELL = 8
MOST = 4  # objects an image


class Boxes(nn.Layer):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.body = nn.Sequential(
            nn.Conv2D(3, 8, 3, stride=2, padding=1), nn.BatchNorm2D(8), nn.ReLU(),
            nn.Conv2D(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2D(16, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Dropout(0.1),
        )
        self.head = nn.Conv2D(16, 1 + num_classes + 4, 1)

    def forward(self, inputs):
        x = self.head(self.body(inputs["image"]))  # (N, 1 + C + 4, H/8, W/8)
        width = paddle.shape(x)[3]
        x = paddle.transpose(x.flatten(2), [0, 2, 1])  # (N, cells, 1 + C + 4)
        score, label, sides = paddle.split(x, [1, self.num_classes, 4], axis=2)
        if self.training:
            return self._losses(score.squeeze(2), label, sides, inputs, int(width))
        score, cell = paddle.topk(functional.sigmoid(score.squeeze(2)), MOST)  # (N, MOST)
        cells = paddle.arange(paddle.shape(x)[1], dtype=cell.dtype)
        chosen = (cell.unsqueeze(2) == cells).astype("float32")  # (N, MOST, cells)
        label = paddle.matmul(chosen, label).argmax(axis=2).astype("float32")
        sides = paddle.matmul(chosen, sides)  # (N, MOST, 4)
        place = paddle.stack([cell % width, cell // width], axis=2).astype("float32") + 0.5
        centre = paddle.concat([place, place], axis=2) * CELL
        reach = functional.softplus(sides) * CELL * paddle.to_tensor([-1.0, -1.0, 1.0, 1.0])
        scale = inputs["scale_factor"].flip(1)
        scale = paddle.concat([scale, scale], axis=1).unsqueeze(1)  # x, y, x, y
        size = paddle.floor(inputs["im_shape"] / inputs["scale_factor"] + 0.5)
        limit = paddle.concat([size.flip(1), size.flip(1)], axis=1).unsqueeze(1)
        boxes = paddle.minimum(functional.relu((centre + reach) / scale), limit)
        label = paddle.where(score < 0.02, label * 0 - 1, label)
        rows = paddle.concat([label.unsqueeze(2), score.unsqueeze(2), boxes], axis=2)
        rows = rows.reshape([-1, 6])
        canvas = size.max(axis=0).astype("int64")
        return {
            "bbox": rows,
            "bbox_num": (inputs["im_shape"][:, 0] * 0 + MOST).astype("int32"),
            "mask": _filled(rows[:, 2:], canvas),
        }

    def _losses(self, score, label, sides, inputs, width):
        image, cell, classes, targets = [], [], [], []
        for number, (boxes, labels) in enumerate(zip(inputs["gt_bbox"], inputs["gt_class"])):
            boxes = boxes.numpy()
            alone = ~inputs["is_crowd"][number].numpy()
            assert all(len(shape) for shape in inputs["gt_mask"][number])
            for box, klass in zip(boxes[alone], labels.numpy()[alone]):
                centre = (box[:2] + box[2:]) / 2
                x, y = (centre // CELL).astype(int)
                image.append(number)
                cell.append(min(y * width + x, score.shape[1] - 1))
                classes.append(klass)
                middle = (np.array([x, y, x, y]) + 0.5) * CELL
                targets.append(np.abs(box - middle) / CELL)
        truth = np.zeros(score.shape, np.float32)
        truth[image, cell] = 1
        found = functional.binary_cross_entropy_with_logits(score, paddle.to_tensor(truth))
        if not cell:
            return {"loss_score": found, "loss_class": label.sum() * 0, "loss_box": sides.sum() * 0}
        place = paddle.to_tensor(np.stack([image, cell], axis=1))
        names = functional.cross_entropy(
            label.gather_nd(place), paddle.to_tensor(np.array(classes, np.int64))
        )
        reach = functional.softplus(sides.gather_nd(place))
        near = functional.smooth_l1_loss(
            reach, paddle.to_tensor(np.array(targets, np.float32).reshape(-1, 4))
        )
        return {"loss_score": found, "loss_class": names, "loss_box": near}


def _filled(boxes, canvas):
    y = (paddle.arange(canvas[0]).astype("float32") + 0.5).reshape([1, -1, 1])
    x = (paddle.arange(canvas[1]).astype("float32") + 0.5).reshape([1, 1, -1])
    left, top, right, bottom = (boxes[:, side].reshape([-1, 1, 1]) for side in range(4))
    inside = (y > top).logical_and(y < bottom).logical_and(x > left).logical_and(x < right)
    return inside.astype("int32")


class BestOverlap:
    """The mean over all objects of the best IoU with anything that was found."""

    def __init__(self, num_classes, ignore_index, class_names):
        self.best = []

    def update(self, prediction, truth):
        found = [decode_mask(mask) for mask in prediction.masks]
        for mask, is_crowd in zip(truth.instances.masks, truth.instances.is_crowd):
            pixels = decode_mask(mask_rle(mask, truth.size))
            overlaps = [(pixels & other).sum() / (pixels | other).sum() for other in found]
            if not is_crowd:
                self.best.append(max(overlaps, default=0.0))

    def compute(self):
        return {"best_overlap": float(np.mean(self.best)) if self.best else None}
'''
