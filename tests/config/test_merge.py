from pathlib import Path

import pytest

from segcore.config.load import parse_document
from segcore.config.merge import DEFAULT, Layers
from segcore.errors import ConfigError


def layered(*texts, options=(), flags=None):
    layers = Layers()
    for number, text in enumerate(texts):
        layers.add_document(parse_document(text, f"{number}.yaml"), "file")
    layers.add_options(options)
    layers.add_flags(flags or {})
    return layers


def test_sections_merge_and_other_values_are_replaced():
    layers = layered(
        "train: {batch_size: 2, crop_size: [8, 8], optimizer: {type: adam}}\n"
        "data: {label_map: {255: 1}}",
        "train: {crop_size: [4, 4], optimizer: {beta1: 0.5}}\ndata: {label_map: {7: 0}}",
    )
    train = layers.data["train"]
    assert (train["batch_size"], train["crop_size"]) == (2, [4, 4])
    assert (train["optimizer"]["type"], train["optimizer"]["beta1"]) == ("adam", 0.5)
    assert layers.data["data"]["label_map"] == {7: 0}


def test_files_yield_to_options_and_options_to_flags():
    layers = layered(
        "train: {batch_size: 2, seed: 2, iters: 2}",
        options=["train.seed=3", "train.iters=3"],
        flags={"train.iters": 4, "data.path": None},
    )
    train = layers.data["train"]
    assert (train["batch_size"], train["seed"], train["iters"]) == (2, 3, 4)
    assert layers.data["data"]["path"] is None


def test_every_value_knows_where_it_came_from():
    layers = layered(
        "train:\n  transforms:\n    - {type: A, x: 1}\n    - type: B\n",
        options=["train.transforms.1.x=5"],
        flags={"data.path": Path("folder")},
    )
    transforms = ("train", "transforms")
    assert str(layers.origin((*transforms, 0, "x"))) == "0.yaml:3"
    assert str(layers.origin((*transforms, 1, "type"))) == "0.yaml:4"
    assert str(layers.origin((*transforms, 1, "x"))) == "-o train.transforms.1.x=5"
    assert str(layers.origin(("data", "path"))) == "command line (data.path)"
    assert layers.origin(("train", "seed")) == DEFAULT


def test_what_a_later_source_replaced_says_nothing_about_origins():
    layers = layered("train: {crop_size: [1, 2]}", options=["train.crop_size=[3, 4]"])
    assert layers.origin(("train", "crop_size", 1)).kind == "option"


def test_default_lists_can_be_changed_by_position():
    layers = layered(options=["train.transforms.0.min_scale_factor=0.25"])
    assert layers.data["train"]["transforms"][0]["min_scale_factor"] == 0.25
    assert layers.data["train"]["transforms"][0]["type"] == "ResizeStepScaling"


def test_defaults_are_not_shared_between_merges():
    layered(options=["train.transforms.0.type=Other"])
    assert Layers().data["train"]["transforms"][0]["type"] == "ResizeStepScaling"


def test_a_position_outside_the_list_is_refused():
    with pytest.raises(ConfigError, match=r"-o train\.losses\.4\.coef=2: .* positions: 0 to 0"):
        layered(options=["train.losses.4.coef=2"])


def test_an_option_may_give_a_whole_section():
    layers = layered("train: {seed: 1}", options=["train={batch_size: 9}"])
    assert (layers.data["train"]["seed"], layers.data["train"]["batch_size"]) == (1, 9)


def test_label_values_are_numbers_in_options_as_well():
    assert layered(options=["data.label_map.255=1"]).data["data"]["label_map"] == {255: 1}


@pytest.mark.parametrize("option", ["train.seed", "=3", "train..seed=3", ".=1", "a." * 60 + "a=1"])
def test_an_option_that_is_no_assignment_is_refused(option):
    with pytest.raises(ConfigError, match=r"must be dotted\.key=value"):
        layered(options=[option])


def test_an_option_whose_value_is_no_yaml_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"-o train\.seed=\[1"):
        layered(options=["train.seed=[1"])


def test_epochs_replace_the_iterations_of_an_earlier_source():
    train = layered("train: {iters: 100}", options=["train.epochs=3"]).data["train"]
    assert (train["iters"], train["epochs"]) == (None, 3)


def test_null_epochs_leave_the_iterations_alone():
    assert layered("train: {iters: 9}", "train: {epochs: null}").data["train"]["iters"] == 9


def test_iterations_and_epochs_of_one_source_both_stay_to_be_refused():
    train = layered("train: {iters: 100, epochs: 3}").data["train"]
    assert (train["iters"], train["epochs"]) == (100, 3)
