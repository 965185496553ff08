"""What the instance task asks of networks, and makes of their answers."""

import numpy as np
import paddle
import pytest
from paddle import nn

from segcore.config.resolve import resolve_config
from segcore.config.schema import Config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import DataError, ExportError
from segcore.tasks.instance import InstanceTask
from segcore.tasks.rle import decode_mask
from segcore.tasks.sample import Sample


@pytest.fixture
def task():
    config = Config.model_validate({"model": {"name": "any"}, "data": {"num_classes": 2}})
    return InstanceTask(config, ("a", "b"), get_catalogue())


class Session:
    """Answers with fixed rows, and remembers what it was asked."""

    def __init__(self, rows, counts, masks):
        self.answer = [np.array(rows, np.float32).reshape(-1, 6), np.array(counts), masks]
        self.asked = []

    def run(self, inputs):
        self.asked.append({name: array.copy() for name, array in inputs.items()})
        return self.answer


def sample(height, width, geometry=()):
    return Sample(np.ones((height, width, 3), np.float32), geometry=list(geometry))


ROW = [1, 0.5, 10, 5, 30, 25]


def test_images_go_in_with_their_size_and_scale(task):
    session = Session([], [0], np.zeros((0, 4, 4), np.float32))
    padded = sample(64, 64, [("resize", (80, 100)), ("padding", (40, 50))])
    task.infer(session, [padded])
    (inputs,) = session.asked
    assert inputs["image"].shape == (1, 3, 64, 64)
    assert inputs["im_shape"].tolist() == [[40, 50]]  # without the filling of the transforms
    assert inputs["scale_factor"].tolist() == [[0.5, 0.5]]


def test_rows_are_parted_by_image_sorted_and_those_of_no_class_dropped(task):
    rows = [[0, 0.2, *ROW[2:]], ROW, [-1, 0.9, *ROW[2:]], [0, 0.3, *ROW[2:]]]
    masks = np.ones((4, 40, 50), np.int32)
    first, second = task.infer(Session(rows, [3, 1], masks), [sample(40, 50), sample(40, 50)])
    assert (first.classes.tolist(), second.classes.tolist()) == ([1, 0], [0])
    np.testing.assert_allclose(first.scores, [0.5, 0.2])
    assert first.size == (40, 50)


@pytest.mark.parametrize("shape", [(40, 50), (41, 50), (39, 49)])
def test_whole_masks_come_in_the_size_of_the_image(task, shape):
    masks = np.zeros((1, *shape), np.int32)
    masks[0, 5:25, 10:30] = 1
    (found,) = task.infer(Session([ROW], [1], masks), [sample(40, 50)])
    expected = np.zeros((40, 50), np.uint8)
    expected[5:25, 10:30] = 1
    np.testing.assert_array_equal(decode_mask(found.masks[0]), expected)


def test_small_masks_are_stretched_over_their_boxes(task):
    small = np.zeros((1, 4, 4), np.float32)
    small[0, :, 2:] = 1  # the right half
    (found,) = task.infer(Session([ROW], [1], small), [sample(40, 50)])
    mask = decode_mask(found.masks[0])
    assert mask[15, 22:30].all()
    assert not mask[:, :20].any()
    assert mask.shape == (40, 50)


def test_images_of_several_sizes_run_in_batches_of_one_size(task):
    session = Session([], [0, 0], np.zeros((0, 4, 4), np.float32))
    task.infer(session, [sample(40, 50), sample(60, 33), sample(70, 33), sample(96, 40)])
    assert [inputs["image"].shape for inputs in session.asked] == [(2, 3, 64, 64), (2, 3, 96, 64)]


def test_a_graph_of_other_outputs_is_refused(task):
    session = Session([], [0], np.zeros((0, 4, 4)))
    session.answer.append(np.zeros(1))
    with pytest.raises(ExportError, match="4 outputs instead of bbox"):
        task.infer(session, [sample(64, 64)])


def test_paddlex_is_told_how_to_prepare_images(task, caplog):
    normalize = {"type": "Normalize", "mean": [0.5] * 3, "std": [0.5] * 3}
    sections = task.foreign_sections([normalize])
    assert sections["label_list"] == ["a", "b"]
    assert (sections["draw_threshold"], sections["mask"]) == (0.5, True)
    assert [step["type"] for step in sections["Preprocess"]] == [
        "NormalizeImage", "Permute", "PadStride",
    ]  # fmt: skip
    assert not caplog.records
    # better no preparation, without which PaddleX refuses the model, than a wrong one
    assert "Preprocess" not in task.foreign_sections([{"type": "PaddingByAspectRatio"}])
    assert "PaddingByAspectRatio has no like there" in caplog.text


class Both(nn.Layer):
    def forward(self, inputs):
        raise AssertionError("the lighter way is there")

    def detect(self, inputs):
        assert not self.training
        ones = paddle.ones([1, 4, 4])
        return {
            "bbox": paddle.to_tensor([ROW]),
            "bbox_num": paddle.to_tensor([1]),
            "mask_prob": ones,
        }


def test_a_network_that_draws_small_masks_is_asked_that_way(task):
    network = Both()
    (found,) = task.infer(task.session(network), [sample(40, 50)])
    # the probability falls to one half at the sides of the box, and below it at its corners
    assert 380 <= decode_mask(found.masks[0]).sum() <= 400
    assert network.training


def test_exports_may_part_with_a_few_boxes_only(task):
    rows = np.array([[1, 0.5, 10 * i, 5, 10 * i + 8, 25] for i in range(20)], np.float32)
    whole = [rows, np.array([20]), np.zeros((20, 9, 9))]
    assert task.disagreement(whole, whole) is None
    assert task.disagreement(whole, [rows[::-1], *whole[1:]]) is None
    assert task.disagreement(whole, [rows[:19], *whole[1:]]) is None
    assert "3 of 20 boxes" in task.disagreement(whole, [rows[:17], *whole[1:]])
    assert "3 of 20 boxes" in task.disagreement([rows[:17], *whole[1:]], whole)
    moved = rows + np.array([0, 0, 3, 0, 3, 0], np.float32)
    assert "boxes have no like" in task.disagreement(whole, [moved, *whole[1:]])
    assert "masks are" in task.disagreement(whole, [*whole[:2], np.zeros((20, 8, 8))])
    assert "2 outputs instead of 3" in task.disagreement(whole, whole[:2])


def test_measuring_needs_objects(task):
    with pytest.raises(DataError, match="photo: has no objects"):
        task.truth(Sample(np.ones((8, 8, 3)), source="photo"))


def test_models_share_the_recipe_of_their_task(toys):
    config = resolve_config("Toy-Boxes", None, ["train.batch_size=7"], {}, toys).config
    assert config.train.losses == ()
    assert config.data.mean == (0.485, 0.456, 0.406)
    assert config.train.transforms[1].type == "ResizeByShort"
    assert config.train.batch_size == 7  # options lie above recipes
    other = resolve_config("Toy", None, [], {}, toys).config
    assert [term.type for term in other.train.losses] == ["CrossEntropyLoss"]
