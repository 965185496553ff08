"""The face of instance models has the parameters and defaults of PaddleX 1.x."""

import inspect

import pytest

from segcore.config.schema import Config
from segcore.errors import DataError, RequestError
from segcore.trainable import CocoDetection, InstanceModel, det
from segcore.trainable.datasets import coco_settings, require_apart
from segcore.trainable.det import transforms

EMPTY = inspect.Parameter.empty
CONFIG = Config.model_validate({"model": {"name": "any"}})
DATASET = {
    "transforms": None,
    "num_workers": "auto",
    "buffer_size": 100,
    "parallel_method": "process",
    "shuffle": False,
}
CALLABLES = {
    CocoDetection: {"data_dir": EMPTY, "ann_file": EMPTY, **DATASET},
    InstanceModel.train: {
        "self": EMPTY,
        "num_epochs": EMPTY,
        "train_dataset": EMPTY,
        "train_batch_size": 1,
        "eval_dataset": None,
        "save_interval_epochs": 1,
        "log_interval_steps": 2,
        "save_dir": "output",
        "pretrain_weights": "IMAGENET",
        "optimizer": None,
        "learning_rate": 1 / 800,
        "warmup_steps": 500,
        "warmup_start_lr": 1 / 2400,
        "lr_decay_epochs": [8, 11],
        "lr_decay_gamma": 0.1,
        "metric": None,
        "use_vdl": False,
        "early_stop": False,
        "early_stop_patience": 5,
        "resume_checkpoint": None,
    },
    InstanceModel.evaluate: {
        "self": EMPTY,
        "eval_dataset": EMPTY,
        "batch_size": 1,
        "epoch_id": None,
        "metric": None,
        "return_details": False,
    },
    InstanceModel.predict: {"self": EMPTY, "img_file": EMPTY, "transforms": None},
    InstanceModel.batch_predict: {"self": EMPTY, "img_file_list": EMPTY, "transforms": None},
    transforms.Resize: {"target_size": 608, "interp": "LINEAR"},
    transforms.ResizeByShort: {"short_size": 800, "max_size": 1333},
    transforms.Padding: {"coarsest_stride": 1, "target_size": None},
    transforms.Normalize: {
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "min_val": (0, 0, 0),
        "max_val": (255.0, 255.0, 255.0),
    },
    transforms.ComposedRCNNTransforms: {
        "mode": EMPTY,
        "min_max_size": (800, 1333),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "random_horizontal_flip": True,
    },
}


@pytest.mark.parametrize("called", CALLABLES, ids=lambda called: called.__qualname__)
def test_parameters_and_defaults_are_those_of_paddlex(called):
    parameters = inspect.signature(called).parameters
    assert {key: value.default for key, value in parameters.items()} == CALLABLES[called]


@pytest.fixture
def coco(objects):
    """Give the dataset of a split."""

    def open_split(split, **arguments):
        return CocoDetection(
            objects / "images", objects / "annotations" / f"instance_{split}.json", **arguments
        )

    return open_split


def test_what_scripts_read_is_there(coco):
    dataset = coco("val")
    assert dataset.num_samples == len(dataset.file_list) == 3
    opened = dataset.open("val", CONFIG)
    assert tuple(dataset.labels) == opened.class_names
    assert opened.load(0).instances is not None


def test_places_are_relative_to_what_all_files_share(coco, objects):
    found = coco_settings({"train": coco("train"), "val": coco("val")})
    assert found == {
        "data.path": str(objects.resolve()),
        "data.format": "COCO",
        "data.annotation_files": {
            "train": "annotations/instance_train.json",
            "val": "annotations/instance_val.json",
        },
        "data.image_folders": {"train": "images", "val": "images"},
    }


def test_images_that_were_learnt_are_not_measured_on(coco):
    require_apart(coco("train"), coco("val"))
    with pytest.raises(DataError, match="3 images are in train_dataset and in eval_dataset"):
        require_apart(coco("val"), coco("val"))


def test_padding_follows_the_batches():
    steps = transforms.Compose(
        [transforms.Padding(coarsest_stride=32), transforms.Padding(target_size=[96, 64])]
    )
    assert steps.components() == [
        {"type": "Padding", "target_size": [96, 64], "im_padding_value": 0.0}
    ]
    with pytest.raises(RequestError, match="coarsest_stride=48"):
        transforms.Padding(coarsest_stride=48)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"use_vdl": True}, "use_vdl"),
        ({"metric": "area"}, "metric"),
        ({"optimizer": object()}, "optimizer"),
        ({"early_stop": True}, "eval_dataset"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(toys, coco, tmp_path, argument, said):
    model = InstanceModel("Toy-Boxes", 4, {})
    with pytest.raises(RequestError, match=said):
        model.train(1, coco("train"), save_dir=tmp_path, pretrain_weights=None, **argument)


def test_without_data_to_measure_on_predictions_are_prepared_as_in_training(
    toys, coco, configure_instances, tmp_path, caplog
):
    data = configure_instances().model_dump()
    settings = {"eval.metrics": data["eval"]["metrics"]}
    model = InstanceModel("Toy-Boxes", 4, settings)
    model.device, model.settings = "cpu", {"train.num_workers": 0}
    steps = transforms.ComposedRCNNTransforms("train", min_max_size=[48, 96])
    model.train(
        1, coco("train", transforms=steps), 4, save_dir=tmp_path / "run", pretrain_weights=None
    )
    assert "warmup_steps=500 ends after" in caplog.text
    types = [step.type for step in model._opened().config.eval.transforms]
    assert types == ["Normalize", "ResizeByShort"]
    with pytest.raises(RequestError, match="box_ap"):
        model.evaluate(coco("val"))


def test_what_nobody_offers_is_told():
    with pytest.raises(AttributeError, match="segcore-maskrcnn"):
        _ = det.Nothing
