"""PaddleDetection's side of a comparison; runs with a Python that has it, beside this folder alone.

    PYTHON paddledet_side.py versions
    PYTHON paddledet_side.py run FOLDER

`run` builds its Mask R-CNN on ResNet18 with the settings of its `mask_rcnn_r50_fpn_1x_coco`, gives
it `weights.pdparams` of the folder, and does with `inputs.npz` what each line of the standard input
says, `step` or `prediction`, answered by a line of JSON: seconds and what was computed.

What both sides have in common, from the inputs to the clocks, is `open_actions` and `timed`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from paddleseg_side import concat_scalars, print_versions

# As published, in YAML, but for three things. The first of equal samples is taken instead of any,
# so that losses can be compared. ResNet has 18 layers. RoIAlign is not `aligned`, as segcore's; the
# sources of PaddleDetection have come to leave it out whatever the configuration says.
CONFIG = """
architecture: MaskRCNN
num_classes: 80
use_gpu: false
MaskRCNN:
  backbone: ResNet
  neck: FPN
  rpn_head: RPNHead
  bbox_head: BBoxHead
  mask_head: MaskHead
  bbox_post_process: BBoxPostProcess
  mask_post_process: MaskPostProcess
ResNet: {depth: 18, norm_type: bn, freeze_at: 0, return_idx: [0, 1, 2, 3], num_stages: 4}
FPN: {out_channel: 256}
RPNHead:
  anchor_generator:
    aspect_ratios: [0.5, 1.0, 2.0]
    anchor_sizes: [[32], [64], [128], [256], [512]]
    strides: [4, 8, 16, 32, 64]
  rpn_target_assign:
    batch_size_per_im: 256
    fg_fraction: 0.5
    negative_overlap: 0.3
    positive_overlap: 0.7
    use_random: false
  train_proposal:
    min_size: 0.0
    nms_thresh: 0.7
    pre_nms_top_n: 2000
    post_nms_top_n: 1000
    topk_after_collect: true
  test_proposal: {min_size: 0.0, nms_thresh: 0.7, pre_nms_top_n: 1000, post_nms_top_n: 1000}
BBoxHead:
  head: TwoFCHead
  roi_extractor: {resolution: 7, sampling_ratio: 0, aligned: false}
  bbox_assigner: BBoxAssigner
BBoxAssigner:
  batch_size_per_im: 512
  bg_thresh: 0.5
  fg_thresh: 0.5
  fg_fraction: 0.25
  use_random: false
TwoFCHead: {out_channel: 1024}
BBoxPostProcess:
  decode: RCNNBox
  nms: {name: MultiClassNMS, keep_top_k: 100, score_threshold: 0.05, nms_threshold: 0.5}
MaskHead:
  head: MaskFeat
  roi_extractor: {resolution: 14, sampling_ratio: 0, aligned: false}
  mask_assigner: MaskAssigner
  share_bbox_feat: false
MaskFeat: {num_convs: 4, out_channel: 256}
MaskAssigner: {mask_resolution: 28}
MaskPostProcess: {binary_thresh: 0.5}
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["versions", "run"])
    parser.add_argument("folder", type=Path, nargs="?")
    options = parser.parse_args()
    if options.what == "versions":
        print_versions("paddlepaddle", "paddledet", "numpy")
    else:
        run(options.folder)


def run(folder):
    import paddle

    paddle.set_device("cpu")
    concat_scalars(paddle)
    network = build_network()
    missing, unexpected = network.set_state_dict(paddle.load(str(folder / "weights.pdparams")))
    if missing or unexpected:
        raise SystemExit(f"the weights do not fit: {missing}, {unexpected}")
    with np.load(folder / "inputs.npz") as arrays:
        inputs = dict(arrays)
    boxes, classes = inputs["gt_bbox"], inputs["gt_class"]
    objects = {
        "gt_bbox": [paddle.to_tensor(boxes)],
        "gt_class": [paddle.to_tensor(classes.astype("int32")[:, None])],
        "gt_poly": [[[outline.reshape(-1).tolist()] for outline in inputs["gt_outline"]]],
        "is_crowd": [paddle.zeros([len(boxes), 1], "int32")],
    }
    actions = open_actions(network, inputs, objects)
    for line in sys.stdin:
        print("\n" + json.dumps(timed(actions[line.strip()])), flush=True)


def build_network():
    from ppdet.core.workspace import create, load_config

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yml")
        file.write_text(CONFIG)
        return create(load_config(str(file)).architecture)


def open_actions(network, inputs, objects):
    """Give a training step and a prediction by name; `objects` are what the step has to learn."""
    import paddle

    images = {name: paddle.to_tensor(inputs[name]) for name in ("image", "im_shape")}
    images["scale_factor"] = paddle.ones([len(inputs["image"]), 2])

    def step():
        network.train()
        losses = network({**images, **objects})
        total = losses.pop("loss") if "loss" in losses else sum(losses.values())
        total.backward()
        values = {name: float(value) for name, value in losses.items()}
        network.clear_gradients()
        return values

    def predict():
        network.eval()
        with paddle.no_grad():
            found = network(images)
            return {name: found[name].numpy() for name in ("bbox", "mask")}

    return {"step": step, "prediction": predict}


def timed(action):
    """Run an action: give its seconds, those of the processor, and its values, masks as areas."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    values = action()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
    if "mask" in values:
        values = {"bbox": values["bbox"].tolist(), "area": values["mask"].sum(axis=(1, 2)).tolist()}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "values": values}


if __name__ == "__main__":
    main()
