"""A narrow Mask R-CNN, for what does not hang on its size."""

import numpy as np
import paddle
import pytest

from segcore_maskrcnn.build import build_mask_rcnn

NARROW = {
    "backbone": "ResNet18",
    "fpn_num_channels": 16,
    "rcnn_channels": 32,
    "mask_channels": 16,
    "rcnn_batch_size_per_im": 32,
    "train_pre_nms_top_n": 100,
    "train_post_nms_top_n": 50,
    "test_pre_nms_top_n": 50,
    "test_post_nms_top_n": 30,
}


@pytest.fixture
def build():
    """Build a narrow network of three classes whose heads see more in noise than fresh ones do."""

    def build(num_classes=3, **options):
        paddle.seed(0)
        network = build_mask_rcnn(num_classes, **{**NARROW, **options})
        for layer, spread in (
            (network.bbox_head.bbox_score, 0.3),
            (network.bbox_head.bbox_delta, 0.1),
        ):
            layer.weight.set_value(spread * paddle.randn(layer.weight.shape))
        return network

    return build


@pytest.fixture
def draw():
    """Draw images (N, 3, H, W) of noise, with what training needs to know of them."""

    def draw(height=64, width=96, images=1, objects=2, seed=0):
        generator = np.random.default_rng(seed)
        noise = generator.uniform(-1, 1, (images, 3, height, width)).astype(np.float32)
        corners = generator.uniform(0, 0.5, (images, objects, 2)) * (width, height)
        sizes = generator.uniform(0.3, 0.5, (images, objects, 2)) * (width, height)
        boxes = np.concatenate([corners, corners + sizes], axis=2).astype(np.float32)
        return {
            "image": paddle.to_tensor(noise),
            "im_shape": paddle.to_tensor([[float(height), float(width)]] * images),
            "scale_factor": paddle.ones([images, 2]),
            "gt_bbox": list(boxes),
            "gt_class": [np.arange(objects) % 3 for _ in range(images)],
            "gt_mask": [[[outline(box)] for box in of_image] for of_image in boxes],
            "is_crowd": [np.zeros(objects, bool) for _ in range(images)],
        }

    return draw


def outline(box):
    """Give the corners (4, 2) of a box."""
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
