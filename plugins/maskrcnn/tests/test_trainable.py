"""The class MaskRCNN has PaddleX's face, and trains, measures and predicts by the engine."""

import inspect

import numpy as np
import pytest

import segcore.trainable as pdx
from segcore.config.load import read_yaml
from segcore.config.resolve import resolve_config
from segcore.config.schema import Config
from segcore.data.dataset import open_dataset
from segcore.data.demo import draw_dataset
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import RequestError, UnknownNameError
from segcore.trainable.det import transforms
from segcore_maskrcnn import MaskRCNN

EMPTY = inspect.Parameter.empty
CONSTRUCTOR = {
    "num_classes": 80,  # 81 in PaddleX, which counts the background
    "backbone": "ResNet50",
    "with_fpn": True,
    "aspect_ratios": [0.5, 1.0, 2.0],
    "anchor_sizes": [32, 64, 128, 256, 512],
    "with_dcn": False,
    "rpn_cls_loss": "SigmoidCrossEntropy",
    "rpn_focal_loss_alpha": 0.25,
    "rpn_focal_loss_gamma": 2,
    "rcnn_bbox_loss": "SmoothL1Loss",
    "rcnn_nms": "MultiClassNMS",
    "keep_top_k": 100,
    "nms_threshold": 0.5,
    "score_threshold": 0.05,
    "softnms_sigma": 0.5,
    "bbox_assigner": "BBoxAssigner",
    "fpn_num_channels": 256,
    "input_channel": 3,
    "rpn_batch_size_per_im": 256,
    "rpn_fg_fraction": 0.5,
    "test_pre_nms_top_n": None,
    "test_post_nms_top_n": 1000,
}
# what a quick training needs: a narrow network that learns all of its layers
NARROW = {
    "model.options.norm": "batch",
    "model.options.freeze_at": -1,
    "model.options.rcnn_channels": 32,
    "model.options.mask_channels": 16,
    "model.options.rcnn_batch_size_per_im": 16,
    "model.options.train_pre_nms_top_n": 50,
    "model.options.train_post_nms_top_n": 30,
    "train.num_workers": 0,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("objects") / "data"
    return draw_dataset(root, "instances", images=10, size=64)


def dataset(root, split, composed=None):
    return pdx.datasets.CocoDetection(
        data_dir=str(root / "images"),
        ann_file=str(root / "annotations" / f"instance_{split}.json"),
        transforms=composed,
    )


def steps(mode):
    return transforms.ComposedRCNNTransforms(mode, min_max_size=[64, 96])


def create(labels, **settings):
    model = pdx.det.MaskRCNN(
        num_classes=len(labels),
        backbone="ResNet18",
        anchor_sizes=[8, 16, 32, 64, 128],
        fpn_num_channels=16,
        test_pre_nms_top_n=50,
        test_post_nms_top_n=20,
        score_threshold=0.0,
    )
    model.device = "cpu"
    model.settings = {**NARROW, **settings}
    return model


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model after a short epoch, the folder of its run, and what train gave."""
    train, val = dataset(data, "train", steps("train")), dataset(data, "val", steps("eval"))
    model = create(train.labels)
    run = tmp_path_factory.mktemp("maskrcnn") / "run"
    result = model.train(
        num_epochs=1,
        train_dataset=train,
        train_batch_size=4,
        eval_dataset=val,
        save_dir=run,
        pretrain_weights=None,
        learning_rate=0.002,
        warmup_steps=1,
        lr_decay_epochs=[1],
    )
    return model, run, result


def test_parameters_and_defaults_are_those_of_paddlex():
    parameters = inspect.signature(MaskRCNN).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == CONSTRUCTOR


def test_the_options_of_the_constructor_reach_the_network():
    model = MaskRCNN(3, rcnn_nms="MultiClassSoftNMS", with_fpn=False, input_channel=5, keep_top_k=7)
    config = resolve_config(model.name, None, (), model._own, get_catalogue()).config
    options = config.model.options
    assert (options["rcnn_nms"], options["with_fpn"], options["keep_top_k"]) == (
        *("MultiClassSoftNMS", False, 7),
    )
    assert (options["rcnn_bbox_loss"], config.data.channels) == ("SmoothL1Loss", 5)


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("ResNet18", "MaskRCNN-ResNet18-FPN"),
        ("ResNet50_vd_ssld", "MaskRCNN-ResNet50_vd-FPN"),
        ("HRNet_W18", "MaskRCNN-HRNet_W18-FPN"),
        ("ResNet34", "MaskRCNN-ResNet50-FPN"),
    ],
)
def test_backbones_go_by_the_names_of_paddlex(backbone, name):
    model = MaskRCNN(4, backbone)
    assert model.name == name
    assert model._own["model.options"]["backbone"] == backbone.removesuffix("_ssld")


def test_a_wrong_backbone_is_refused():
    with pytest.raises(UnknownNameError, match="VGG16"):
        MaskRCNN(4, backbone="VGG16")


def test_arguments_become_the_configuration(trained, data):
    _, run, result = trained
    config = read_yaml(run / "config.yaml")
    train = config["train"]
    assert (result["steps"], train["epochs"], train["eval_interval"]) == (2, 1, 2)
    assert train["schedule"] == {
        **train["schedule"],
        "type": "step",
        "milestones": [2],
        "gamma": 0.1,
        "warmup_iters": 1,
    }
    assert (train["optimizer"]["weight_decay"], config["eval"]["best"]) == (1e-4, "box_ap")
    assert [step["type"] for step in train["transforms"]] == [
        *("RandomHorizontalFlip", "Normalize", "ResizeByShort")
    ]
    assert config["data"]["path"] == str(data.resolve())


def test_the_saved_configuration_finds_the_data_again(trained, data):
    _, run, _ = trained
    config = Config.model_validate(read_yaml(run / "config.yaml"))
    for split in ("train", "val"):
        again = open_dataset(config, split, get_catalogue(), "instance")
        assert again.fingerprint() == dataset(data, split).open(split, config).fingerprint()


def test_metrics_go_by_the_names_of_paddlex(trained, data):
    model, _, result = trained
    val = dataset(data, "val", steps("eval"))
    metrics, details = model.evaluate(val, return_details=True)
    assert list(metrics) == ["bbox_mmap", "segm_mmap"]
    assert metrics["bbox_mmap"] == result["models"]["best"]["score"]
    assert list(model.evaluate(val, metric="VOC")) == ["bbox_map", "segm_map"]
    with pytest.raises(RequestError, match="metric='area'"):
        model.evaluate(val, metric="area")
    assert list(details) == ["bbox", "mask", "gt"]
    assert len(details["bbox"]) == len(details["mask"])
    opened = val.open("val", Config.model_validate({"model": {"name": "any"}}))
    assert [image["id"] for image in details["gt"]["images"]] == list(opened.image_ids)
    assert {row["category_id"] for row in details["gt"]["annotations"]} <= {*opened.category_ids}


def test_details_measure_as_the_engine_does(trained, data):
    from faster_coco_eval import COCO, COCOeval_faster

    model, _, _ = trained
    metrics, details = model.evaluate(dataset(data, "val", steps("eval")), return_details=True)
    truth = COCO(details["gt"])
    for kind, name, found in (
        ("bbox", "bbox_mmap", details["bbox"]),
        ("segm", "segm_mmap", details["mask"]),
    ):
        measured = COCOeval_faster(truth, truth.loadRes(found), kind, print_function=len)
        measured.run()
        assert measured.stats[0] == pytest.approx(metrics[name], abs=1e-9)


def test_results_answer_as_lists_of_dictionaries(trained, data, tmp_path):
    model, run, _ = trained
    image = dataset(data, "val").file_list[0][0]
    result = model.predict(image)
    assert len(result) == len(list(result)) > 0
    first = result[0]
    assert set(first) == {"category_id", "category", "bbox", "score", "mask"}
    assert model.labels[first["category_id"]] == first["category"]
    assert (first["mask"].shape, first["mask"].dtype) == ((64, 64), np.uint8)
    assert len(first["bbox"]) == 4
    x1, y1, x2, y2 = result.found.boxes[0]
    np.testing.assert_allclose(first["bbox"], [x1, y1, x2 - x1, y2 - y1], rtol=1e-6)
    assert [row["score"] for row in result] == sorted((r["score"] for r in result), reverse=True)
    batch = pdx.load_model(run / "best_model", device="cpu").batch_predict([image, image])
    assert [[row["score"] for row in each] for each in batch] == [[r["score"] for r in result]] * 2
    pdx.det.visualize(image, result, threshold=0.0, save_dir=tmp_path)
    assert [path.name.partition("_")[0] for path in tmp_path.iterdir()] == ["visualize"]
    few = pdx.det.visualize(image, result, threshold=1.0, save_dir=None)
    many = pdx.det.visualize(image, result, threshold=0.0, save_dir=None)
    assert (few != many).any()
    with pytest.raises(RequestError, match="as it is"):
        pdx.det.visualize(image, list(result))


def test_a_background_is_not_to_be_counted(data, tmp_path):
    train = dataset(data, "train", steps("train"))
    model = create([*train.labels, "background"])
    with pytest.raises(RequestError, match=f"give num_classes={len(train.labels)}"):
        model.train(1, train, save_dir=tmp_path / "run", pretrain_weights=None)


def test_frozen_random_layers_are_told_of(data, tmp_path, caplog):
    train = dataset(data, "train", steps("train"))
    model = MaskRCNN(len(train.labels), "ResNet18")
    with pytest.raises(RequestError, match=r"train\.learning_rate"):
        model.train(1, train, save_dir=tmp_path, pretrain_weights=None, learning_rate=-1.0)
    assert "do not learn" in caplog.text
