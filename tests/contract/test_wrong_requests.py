"""Wrong data, settings and weights end with 2 and one message that names what to mend."""

import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

MODEL = "PP-LiteSeg-T"
BRIEF = ("-o", "train.iters=1", "-o", "train.num_workers=0", "-o", "train.crop_size=[64, 64]")


@pytest.fixture
def refuse(segcore, tmp_path):
    """Give the message of a training that must be refused."""

    def refuse(data, *options, model=MODEL):
        arguments = ("train", model, "--data", data, "--output", tmp_path / "run", *BRIEF)
        answer = segcore(*arguments, *options, code=2)
        assert not list(tmp_path.glob("run/best_model/*"))
        return answer.stderr

    return refuse


@pytest.fixture
def copy(data, tmp_path):
    """A copy of the dataset, to spoil."""
    return shutil.copytree(data, tmp_path / "copy")


@pytest.fixture
def first(copy):
    """The image and the label of the first row of train.txt."""
    return [copy / name for name in (copy / "train.txt").open().readline().split()]


def test_masks_of_0_and_255(refuse, copy):
    for path in (copy / "annotations").iterdir():
        label = np.asarray(Image.open(path))
        Image.fromarray(np.where(label > 0, 255, 0).astype(np.uint8)).save(path)
    (copy / "labels.txt").write_text("background\nshape\n")
    assert "data.label_map={255: 1}" in refuse(copy)


def test_a_missing_image(refuse, copy, first):
    first[0].unlink()
    message = refuse(copy)
    assert first[0].name in message
    assert "train.txt" in message


def test_a_label_of_another_size(refuse, copy, first):
    Image.fromarray(np.zeros((64, 63), np.uint8)).save(first[1])
    message = refuse(copy, "-o", "train.batch_size=8")
    assert first[1].name in message
    assert "63" in message


def test_a_class_that_does_not_exist(refuse, copy, first):
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(first[1])
    message = refuse(copy, "-o", "train.batch_size=8")
    assert first[1].name in message
    assert "9" in message


def test_an_unknown_key(refuse, data):
    message = refuse(data, "-o", "train.itres=3")
    assert "train.itres: unknown key; did you mean 'iters'" in message


def test_weights_that_run_code(refuse, data, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it-ran"),)

    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({"weight": Payload()}))
    assert "model.pdparams" in refuse(data, "--weights", path)
    assert not (tmp_path / "it-ran").exists()


def test_weights_of_another_model(segcore, refuse, data, tmp_path):
    path = tmp_path / "model.pdparams"
    segcore.python(
        "import sys, paddle, segcore\n"
        "network = segcore.build_model('PP-LiteSeg-B', num_classes=5)\n"
        "paddle.save(network.state_dict(), sys.argv[1])",
        path,
    )
    assert "model.pdparams" in refuse(data, "--weights", path)
