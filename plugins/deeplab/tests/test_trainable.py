"""The class DeepLabv3p has PaddleX's constructor, takes any backbone, and trains and predicts."""

import inspect
import sys

import numpy as np
import pytest

from segcore.config.resolve import resolve_config
from segcore.data.demo import draw_dataset
from segcore.discovery import catalogue as catalogues
from segcore.errors import UnknownNameError
from segcore.testing.site import Site
from segcore_deeplab import DeepLabv3p

# a script as the tutorials of PaddleX 1.x have it; only its imports are others
SCRIPT = """
import segcore.trainable as pdx
from segcore.trainable.seg import transforms

train_transforms = transforms.Compose([
    transforms.RandomHorizontalFlip(),
    transforms.ResizeRangeScaling(min_value=56, max_value=72),
    transforms.RandomPaddingCrop(crop_size=48),
    transforms.Normalize()
])
eval_transforms = transforms.Compose([
    transforms.ResizeByLong(long_size=64),
    transforms.Padding(target_size=64),
    transforms.Normalize()
])
train_dataset = pdx.datasets.SegDataset(
    data_dir='optic_disc_seg',
    file_list='optic_disc_seg/train_list.txt',
    label_list='optic_disc_seg/labels.txt',
    transforms=train_transforms,
    shuffle=True)
eval_dataset = pdx.datasets.SegDataset(
    data_dir='optic_disc_seg',
    file_list='optic_disc_seg/val_list.txt',
    label_list='optic_disc_seg/labels.txt',
    transforms=eval_transforms)
num_classes = len(train_dataset.labels)
model = pdx.seg.DeepLabv3p(
    num_classes=num_classes, backbone='MobileNetV2_x0.25', class_weight='dynamic')
model.train(
    num_epochs=2,
    train_dataset=train_dataset,
    train_batch_size=4,
    eval_dataset=eval_dataset,
    learning_rate=0.01,
    save_dir='output/deeplab')
metrics, details = model.evaluate(eval_dataset, batch_size=1, epoch_id=2, return_details=True)
model = pdx.load_model('output/deeplab/best_model')
result = model.predict(eval_dataset.file_list[0][0])
tiles = model.overlap_tile_predict(
    eval_dataset.file_list[0][0], tile_size=[32, 32], pad_size=[8, 8], batch_size=4)
"""

BACKBONE = """
from segcore.plugin import BackboneSpec, hookimpl

@hookimpl
def segcore_backbones():
    return [BackboneSpec(name="mine", target="my_network:Mine")]
"""

NETWORK = """
from paddle import nn
from segcore.nn.backbone import Backbone


class Mine(Backbone):
    in_channels = 3
    feature_channels = (8, 16)
    feature_strides = (4, 8)

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2D(3, 8, 3, stride=4, padding=1)
        self.coarse = nn.Conv2D(8, 16, 3, stride=2, padding=1)

    def forward(self, images):
        fine = self.fine(images)
        return [fine, self.coarse(fine)]
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A backbone of a stranger's, installed."""
    site = Site(tmp_path / "site")
    site.install("my_plugin", BACKBONE)
    site.write(site.folder / "my_network.py", NETWORK)
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setattr(catalogues, "_catalogues", {})
    yield site
    for name in ("my_plugin", "my_network"):
        sys.modules.pop(name, None)


def network(model):
    catalogue = catalogues.get_catalogue()
    config = resolve_config(model.name, None, (), model._own, catalogue).config
    return catalogue.build_model(
        catalogue.models.find(model.name), config.data.num_classes, config.model.options
    )


def layout(model):
    return {name: tuple(value.shape) for name, value in network(model).state_dict().items()}


def test_parameters_and_defaults_are_those_of_paddlex():
    parameters = inspect.signature(DeepLabv3p).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "num_classes": 2,
        "backbone": "MobileNetV2_x1.0",
        "output_stride": 16,
        "aspp_with_sep_conv": True,
        "decoder_use_sep_conv": True,
        "encoder_with_aspp": True,
        "enable_decoder": True,
        "use_bce_loss": False,
        "use_dice_loss": False,
        "class_weight": None,
        "ignore_index": 255,
        "pooling_crop_size": None,
        "input_channel": 3,
    }
    assert inspect.signature(DeepLabv3p.train).parameters["pretrain_weights"].default == "IMAGENET"


@pytest.mark.slow
def test_a_script_for_paddlex_runs_with_other_imports(tmp_path, monkeypatch):
    data = draw_dataset(tmp_path / "optic_disc_seg", "optic-disc", images=10, size=64)
    for split in ("train", "val"):
        (data / f"{split}.txt").rename(data / f"{split}_list.txt")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(SCRIPT, "script.py", "exec"), names)
    assert 0 <= names["metrics"]["miou"] <= 1
    assert np.sum(names["details"]["confusion_matrix"]) == 2 * 64 * 64
    assert names["result"]["score_map"].shape == names["tiles"]["score_map"].shape == (64, 64, 2)
    assert (tmp_path / "output" / "deeplab" / "best_model" / "inference").is_dir()


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("Xception65", "DeepLabv3p-Xception65"),
        ("MobileNetV2_x0.5", "DeepLabv3p-MobileNetV2_x0.5"),
        ("mobilenetv2-x2.0", "DeepLabv3p-MobileNetV2_x2.0"),
        ("MobileNetV3_large_x1_0_ssld", "DeepLabv3p-MobileNetV3_large_x1_0"),
        ("ResNet50_vd", "Deeplabv3_Plus-R50"),
    ],
)
def test_backbones_go_by_the_names_of_paddlex(backbone, name):
    assert DeepLabv3p(backbone=backbone).name == name


def test_a_wrong_backbone_is_answered_with_those_that_fit(mine):
    with pytest.raises(UnknownNameError, match=r"VGG16.*MobileNetV2_x1\.0.*Xception65"):
        DeepLabv3p(backbone="VGG16")
    with pytest.raises(UnknownNameError, match="mine"):
        DeepLabv3p(backbone="VGG16")


def test_a_strangers_backbone_is_taken(mine):
    arrays = layout(DeepLabv3p(backbone="mine"))
    assert arrays["backbone.coarse.weight"] == (16, 8, 3, 3)


def test_with_the_defaults_published_layouts_fit():
    from segcore import build_model

    plain = build_model("DeepLabv3p-MobileNetV2_x1.0", num_classes=2).state_dict()
    assert layout(DeepLabv3p()) == {name: tuple(value.shape) for name, value in plain.items()}


@pytest.mark.parametrize(
    ("changed", "has"),
    [
        (
            {"aspp_with_sep_conv": False},
            lambda a: a["head.aspp.aspp_blocks.1._conv.weight"][2] == 3,
        ),
        ({"encoder_with_aspp": False}, lambda a: not any("aspp" in name for name in a)),
        ({"enable_decoder": False}, lambda a: not any("decoder" in name for name in a)),
        ({"decoder_use_sep_conv": False}, lambda a: "head.decoder.conv_bn_relu2._conv.weight" in a),
    ],
)
def test_options_change_the_network(changed, has):
    assert has(layout(DeepLabv3p(backbone="MobileNetV2_x0.25", **changed)))


@pytest.mark.parametrize(
    ("backbone", "given", "stride"),
    [
        ("MobileNetV2_x0.25", 16, 16),
        ("MobileNetV2_x0.25", 8, 8),
        ("MobileNetV3_large_x1_0_ssld", 16, 32),
        ("MobileNetV3_large_x1_0_ssld", 8, 8),
    ],
)
def test_strides_are_those_asked_for(backbone, given, stride):
    model = DeepLabv3p(backbone=backbone, output_stride=given, pooling_crop_size=(64, 48))
    assert network(model).backbone.feature_strides[-1] == stride
