"""The card of every model says what it must."""

import json

import pytest

from segcore.cli.main import run
from segcore.config.resolve import resolve_config
from segcore.discovery.catalogue import get_catalogue
from segcore.discovery.weights import known_weights
from segcore.specs import Published

CATALOGUE = get_catalogue()
SEMANTIC = [entry for entry in CATALOGUE.models if entry.spec.task == "semantic"]
OURS = [entry for entry in SEMANTIC if entry.plugin.distribution.startswith("segcore-")]
# of these nobody has published an accuracy, as far as the documents of PaddleSeg and PaddleX tell
UNPUBLISHED = {
    *("DeepLabv3p-Xception41", "DeepLabv3p-Xception65", "DeepLabv3p-MobileNetV3_large_x1_0"),
    *(f"DeepLabv3p-MobileNetV2_x{scale}" for scale in ("0.25", "0.5", "1.0", "1.5", "2.0")),
    *(f"HRNet-FCN-{size}" for size in ("W18_Small_V1", "W30", "W32", "W40", "W44", "W60", "W64")),
    "UNet-deconv",
}


def name_of(entry):
    return entry.name


def test_there_are_forty():
    assert len(OURS) == 40


@pytest.mark.parametrize("entry", OURS, ids=name_of)
def test_a_card_is_complete(entry):
    spec = entry.spec
    assert spec.parameters > 10**5
    assert spec.paper.startswith("https://")
    assert spec.licence
    assert isinstance(spec.published, Published)
    assert (not spec.published.accuracy) == (spec.name in UNPUBLISHED)
    for score in spec.published.accuracy:
        assert 0.3 < score.value < 0.9
        assert all((score.metric, score.dataset, score.input, score.source))
    for time, device in (("gpu_ms", "gpu"), ("cpu_ms", "cpu")):
        known = getattr(spec.published, time) is not None
        assert known == bool(getattr(spec.published, device))
        assert not known or spec.published.cost_source
    resolve_config(spec.name, None, (), {}, CATALOGUE)  # its recipe is there and valid


@pytest.mark.parametrize("entry", [*OURS, *CATALOGUE.backbones], ids=name_of)
def test_addresses_of_weights_are_such(entry):
    names = [(weights.trained_on, weights.part) for weights in entry.spec.weights]
    assert len(set(names)) == len(names)
    for weights in entry.spec.weights:
        assert weights.trained_on == weights.trained_on.upper()
        assert weights.url.startswith("https://")
        # one is spelt without its last letter where it is published
        assert weights.url.endswith((".pdparams", ".pdparam", ".tar.gz"))
        assert weights.part in ("network", "backbone")
        assert (weights.num_classes is None) == (weights.part == "backbone")


def test_the_backbone_that_is_chosen_decides_whose_weights_are_known():
    entry = CATALOGUE.models.find("Deeplabv3_Plus-R50")
    of_101 = known_weights(entry, {"backbone": "ResNet101_vd"}, CATALOGUE)
    assert [w.url for w in of_101 if w.part == "backbone"] == [
        "https://bj.bcebos.com/paddleseg/dygraph/resnet101_vd_ssld.tar.gz"
    ]


@pytest.mark.parametrize("entry", list(CATALOGUE.models), ids=name_of)
def test_every_name_of_weights_stands_for_one_file(entry):
    known = [(w.trained_on, w.part) for w in known_weights(entry, {}, CATALOGUE)]
    assert len(set(known)) == len(known)


def test_the_list_shows_accuracy_and_size(capsys):
    assert run(["models", "--task", "semantic"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "0.7704 mIoU, Cityscapes val" in lines["PP-LiteSeg-T"]
    assert "28.5 MB" in lines["PP-LiteSeg-T"]
    assert "~48.0 MB" in lines["UNet-deconv"]  # not published, so counted


def test_a_card_keeps_what_is_published_apart_from_what_is_measured(capsys):
    size = ["--size", "128", "64", "--json"]
    assert run(["models", "show", "PP-LiteSeg-T", *size]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["published"]["accuracy"][0]["value"] == 0.7704
    assert card["published"]["gpu"] == "NVIDIA Tesla T4, FP32"
    assert card["measured"]["parameters"] == card["parameters"]
    assert [w["trained_on"] for w in card["weights"]] == ["CITYSCAPES", "CAMVID", "IMAGENET"]


def test_a_card_in_words_names_source_and_device(capsys):
    assert run(["models", "show", "PP-LiteSeg-T"]) == 0
    shown = capsys.readouterr().out
    assert "0.7704 mIoU on Cityscapes val, 2048x1024 (PaddleSeg configs/pp_liteseg)" in shown
    assert "7.6827 ms on NVIDIA Tesla T4, FP32 (PaddleX 3.0" in shown
    assert run(["models", "show", "UNet-deconv"]) == 0
    assert "no accuracy" in capsys.readouterr().out
