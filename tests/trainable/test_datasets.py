"""Datasets by PaddleX's constructor, with lists of any name."""

import inspect

import numpy as np
import pytest

from segcore.config.schema import Config
from segcore.errors import ListFileError, RequestError
from segcore.trainable import SegDataset, transforms
from segcore.trainable.datasets import describe, place_settings

CONFIG = Config.model_validate({"model": {"name": "any"}})

SPLITS = ("train", "val")


@pytest.fixture
def renamed(shapes, tmp_path):
    """Lists outside the folder of the dataset, with names of their own."""
    for name in ("train", "val"):
        (tmp_path / f"{name}_list.txt").write_text((shapes / f"{name}.txt").read_text())
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    return tmp_path


def test_the_parameters_are_those_of_paddlex():
    parameters = inspect.signature(SegDataset).parameters
    empty = inspect.Parameter.empty
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "data_dir": empty,
        "file_list": empty,
        "label_list": None,
        "transforms": None,
        "num_workers": "auto",
        "buffer_size": 100,
        "parallel_method": "process",
        "shuffle": False,
    }


def test_what_scripts_read_is_there(shapes, renamed):
    dataset = SegDataset(shapes, renamed / "train_list.txt", renamed / "classes.txt")
    assert dataset.labels == ["a", "b", "c", "d", "e"]
    assert dataset.num_samples == len(dataset.file_list) == 16
    assert all((shapes / image).is_file() for image, _ in dataset.file_list)


@pytest.mark.parametrize(("split", "count"), [("train", 16), ("val", 4)])
def test_samples_are_those_of_the_list(shapes, renamed, split, count):
    lists = str(renamed / f"{split}_list.txt"), str(renamed / "classes.txt")
    opened = SegDataset(str(shapes), *lists).open(split, CONFIG)
    assert (len(opened), opened.class_names) == (count, ("a", "b", "c", "d", "e"))
    assert opened.load(0).image.shape == (64, 64, 3)


def test_the_list_of_the_other_split_is_no_leak_of_itself(shapes):
    opened = SegDataset(shapes, shapes / "val.txt", shapes / "labels.txt").open("train", CONFIG)
    assert len(opened) == 4


def test_settings_are_those_of_the_split(shapes):
    composed = transforms.Compose([transforms.Normalize(max_val=[1023.0])])
    lists = shapes / "val.txt", shapes / "labels.txt"
    dataset = SegDataset(shapes, *lists, transforms=composed, num_workers=1)
    assert describe(dataset, "val") == {
        "eval.transforms": composed.components(),
        "data.value_range": [0.0, 1023.0],
        "train.num_workers": 1,
    }
    assert describe(dataset, "train")["data.path"] == str(shapes)


def test_wrong_arguments_are_refused_at_once(shapes):
    with pytest.raises(ListFileError, match="cannot be read"):
        SegDataset(shapes, shapes / "missing.txt")
    with pytest.raises(RequestError, match="Compose"):
        SegDataset(shapes, shapes / "val.txt", transforms=[transforms.Normalize()])
    with pytest.raises(RequestError, match="num_workers"):
        SegDataset(shapes, shapes / "val.txt", num_workers="many")
    with pytest.raises(RequestError, match="is no dataset"):
        describe(np.zeros(3), "train")


def test_places_are_said_where_names_are_others(shapes, renamed):
    usual = [SegDataset(shapes, shapes / f"{s}.txt", shapes / "labels.txt") for s in SPLITS]
    assert place_settings(*usual) == {}
    others = [
        SegDataset(shapes, renamed / f"{s}_list.txt", renamed / "classes.txt") for s in SPLITS
    ]
    assert place_settings(*others) == {
        "data.list_files": {s: (renamed / f"{s}_list.txt").as_posix() for s in SPLITS},
        "data.format": "SegDataset",
        "data.class_file": (renamed / "classes.txt").as_posix(),
    }
    assert place_settings(shapes, others[1]) == {}  # a folder says itself where its lists are
