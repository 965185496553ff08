"""The class FastSCNN has PaddleX's constructor, and takes images of any number of channels."""

import inspect
from io import BytesIO

import numpy as np
import pytest

from segcore import build_model, create_model
from segcore.checkpoint.weights import read_weights, write_weights
from segcore.data.demo import draw_dataset
from segcore.discovery.catalogue import get_catalogue
from segcore.engine.pretrained import find_start, load_pretrained
from segcore.errors import ConfigError
from segcore.trainable import SegDataset, transforms
from segcore_fastscnn import FastSCNN


def test_parameters_and_defaults_are_those_of_paddlex():
    parameters = inspect.signature(FastSCNN).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "num_classes": 2,
        "use_bce_loss": False,
        "use_dice_loss": False,
        "class_weight": None,
        "ignore_index": 255,
        "multi_loss_weight": [1.0],
        "input_channel": 3,
    }
    assert inspect.signature(FastSCNN.train).parameters["pretrain_weights"].default == "CITYSCAPES"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_weight_is_a_branch(count):
    weights = [1.0, 0.5, 0.25][:count]
    model = FastSCNN(multi_loss_weight=weights)
    config = model._resolve(model._own)
    network = build_model("FastSCNN", num_classes=2, **config.model.options)
    assert network.output_weights == tuple(weights)


def test_four_branches_are_refused():
    model = FastSCNN(multi_loss_weight=[1.0, 1.0, 1.0, 1.0])
    with pytest.raises(ConfigError, match="multi_loss_weight"):
        model._resolve(model._own)


@pytest.mark.parametrize(("theirs", "ours"), [(2, 1), (2, 3), (1, 2)])
def test_weights_of_other_branches_fit(tmp_path, theirs, ours):
    def built(branches, num_classes):
        options = {"multi_loss_weight": [1.0] * branches}
        return build_model("FastSCNN", num_classes=num_classes, **options)

    path = tmp_path / "theirs.pdparams"
    weights = {name: value.numpy() for name, value in built(theirs, 19).state_dict().items()}
    write_weights(path, weights)
    model = FastSCNN(multi_loss_weight=[1.0] * ours)
    settings = {"train.pretrained": str(path), "train.reset_head": "auto"}
    config = model._resolve({**model._own, **settings})
    catalogue = get_catalogue()
    entry = catalogue.models.find("FastSCNN")
    network = built(ours, 2)
    load_pretrained(
        network,
        find_start(config, entry, catalogue),
        config=config,
        entry=entry,
        class_names=("a", "b"),
        catalogue=catalogue,
    )
    state = network.state_dict()
    shared = [name for name in state if name.startswith("feature_fusion.")]
    assert shared
    assert all(np.array_equal(state[name].numpy(), weights[name]) for name in shared)


@pytest.fixture
def five_channels(tmp_path):
    """A dataset of NPY files of five channels, drawn from one of RGB."""
    import cv2

    data = draw_dataset(tmp_path / "data", "optic-disc", images=10, size=48)
    for split in ("train", "val"):
        rows = (data / f"{split}.txt").read_text().splitlines()
        for row in rows:
            path = data / row.split()[0]
            image = cv2.imread(str(path))
            buffer = BytesIO()
            np.save(buffer, np.concatenate([image, image[..., :2] // 2], axis=2))
            path.with_suffix(".npy").write_bytes(buffer.getvalue())
        renamed = [row.replace(".jpg ", ".npy ").replace(".png ", ".npy ", 1) for row in rows]
        (data / f"{split}.txt").write_text("\n".join(renamed) + "\n")
    return data


@pytest.mark.slow
def test_images_of_five_channels_are_trained_on_measured_and_predicted(five_channels, tmp_path):
    rgb = build_model("FastSCNN", num_classes=2, multi_loss_weight=[1.0])
    weights = {name: value.numpy() for name, value in rgb.state_dict().items()}
    write_weights(tmp_path / "rgb.pdparams", weights)
    steps = [
        transforms.RandomDistort(),
        transforms.RandomBlur(1.0),
        transforms.RandomPaddingCrop(32),
    ]
    data = [
        SegDataset(
            five_channels,
            five_channels / f"{split}.txt",
            five_channels / "labels.txt",
            transforms.Compose([*before, transforms.Normalize([0.5] * 5, [0.5] * 5)]),
        )
        for split, before in (("train", steps), ("val", []))
    ]
    model = FastSCNN(input_channel=5)
    model.device = "cpu"
    model.train(
        1,
        *(data[0], 4, data[1]),
        save_dir=tmp_path / "run",
        pretrain_weights=tmp_path / "rgb.pdparams",
    )
    first = "learning_to_downsample.conv_bn_relu._conv.weight"
    assert read_weights(tmp_path / "run" / "best_model" / "model.pdparams")[first].shape[1] == 5
    assert "fitted from RGB to 5 channels" in (tmp_path / "run" / "train.log").read_text()
    assert model.evaluate(data[1])["oacc"] > 0
    result = model.predict(data[1].file_list[0][0])
    assert (result.image.shape, result["score_map"].shape) == ((48, 48, 5), (48, 48, 2))
    assert result.img.size == (48, 48)
    exported = create_model(model_dir=tmp_path / "run" / "best_model" / "inference", device="cpu")
    (again,) = exported.predict(data[1].file_list[0][0])
    assert np.array_equal(again.label_map, result.label_map)
