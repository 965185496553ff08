import cv2
import numpy as np
import pytest

from segcore.data.demo import KINDS, draw_dataset, draw_sample
from segcore.data.drawing import fundus, shapes
from segcore.data.segdataset import SegDataset
from segcore.errors import OutputError, RequestError


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["optic-disc", "shapes"])
def test_a_drawn_dataset_can_be_read(tmp_path, kind):
    draw_dataset(tmp_path, kind, images=6, size=64)
    train, val = SegDataset(tmp_path, "train"), SegDataset(tmp_path, "val")
    assert (len(train), len(val)) == (5, 1)
    for dataset in (train, val):
        for index in range(len(dataset)):
            sample = dataset.load(index)
            assert sample.image.shape == (64, 64, 3)
            assert sample.warnings == ()


def test_the_layout_is_that_of_segdataset(tmp_path):
    draw_dataset(tmp_path, "optic-disc", images=2, size=32)
    assert (tmp_path / "labels.txt").read_text() == "background\noptic_disc\n"
    assert (tmp_path / "train.txt").read_text() == "images/eye_0000.jpg annotations/eye_0000.png\n"
    label = cv2.imdecode(
        np.frombuffer((tmp_path / "annotations/eye_0001.png").read_bytes(), np.uint8),
        cv2.IMREAD_UNCHANGED,
    )
    assert label.ndim == 2
    assert set(np.unique(label)) <= {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_bytes(tmp_path, kind):
    first = files(draw_dataset(tmp_path / "a", kind, images=3, size=48, seed=9))
    second = files(draw_dataset(tmp_path / "b", kind, images=3, size=48, seed=9))
    other = files(draw_dataset(tmp_path / "c", kind, images=3, size=48, seed=10))
    assert first == second
    assert first.keys() == other.keys()
    assert first != other


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_set_begins_with_the_images_of_a_smaller_one(tmp_path, kind):
    small = files(draw_dataset(tmp_path / "a", kind, images=5, size=48))
    large = files(draw_dataset(tmp_path / "b", kind, images=8, size=48))
    images = [name for name in small if name.startswith("images/")]
    assert all(small[name] == large[name] for name in images)


def test_every_eye_has_a_bright_disc_of_plausible_size():
    for index in range(12):
        image, label = draw_sample("optic-disc", 128, seed=1, index=index)
        disc = label == 1
        assert 0.004 < disc.mean() < 0.05
        assert image[disc].mean() > 1.3 * image[~disc].mean()


def test_every_eye_is_a_photograph_in_a_dark_surround():
    for index in range(12):
        image, _ = draw_sample("optic-disc", 128, seed=2, index=index)
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.median(corners) < 40
        red, green, blue = image[40:88, 40:88].reshape(-1, 3).mean(axis=0)
        assert red > green > blue


def test_shapes_of_all_classes_occur():
    seen = set()
    for index in range(12):
        _, label = draw_sample("shapes", 96, seed=3, index=index)
        seen |= set(np.unique(label).tolist())
    assert seen == set(range(len(shapes.CLASS_NAMES)))


def test_discs_lie_on_both_sides_and_vary_in_light():
    centres, lights = [], []
    for index in range(16):
        image, label = draw_sample("optic-disc", 64, seed=4, index=index)
        centres.append(np.flatnonzero(label.any(axis=0)).mean())
        lights.append(image.mean())
    assert min(centres) < 32 < max(centres)
    assert max(lights) > 1.2 * min(lights)


def test_drawings_do_not_touch_the_global_generator():
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002 - the one to leave alone
    fundus.draw_fundus(np.random.default_rng(0), 32)
    shapes.draw_shapes(np.random.default_rng(0), 32)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


@pytest.mark.parametrize(("images", "size"), [(1, 64), (4, 31), (4, 10**6)])
def test_arguments_that_make_no_dataset_are_refused(tmp_path, images, size):
    with pytest.raises(RequestError, match="2 to 1000000 images"):
        draw_dataset(tmp_path / "set", images=images, size=size)
    assert not (tmp_path / "set").exists()


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(RequestError, match="seed -1"):
        draw_dataset(tmp_path / "set", seed=-1)


def test_an_unknown_kind_is_refused_with_those_that_exist(tmp_path):
    with pytest.raises(RequestError, match="optic-disc and shapes"):
        draw_dataset(tmp_path, "cats")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "set").write_bytes(b"")
    with pytest.raises(OutputError):
        draw_dataset(tmp_path / "set", images=2, size=32)


def test_nothing_is_left_where_no_dataset_may_be_drawn(tmp_path):
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "step-3").mkdir(parents=True)
    with pytest.raises(OutputError, match="among the checkpoints of the run"):
        draw_dataset(checkpoints / "new", "shapes", 2, 32, force=True)
    assert [path.name for path in checkpoints.iterdir()] == ["step-3"]
