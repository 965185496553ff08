"""Inputs become results: one each, in order, in the size of the image."""

import numpy as np
import pytest

from segcore import create_model
from segcore.errors import DataError, ImageError, RequestError
from segcore.inference.predictor import Predictor


@pytest.fixture
def model(colour_run):
    return create_model(model_dir=colour_run, device="cpu")


class Spy:
    """Pass on to a session, and remember the shapes of its inputs."""

    def __init__(self, session):
        self.session, self.shapes = session, []

    def run(self, inputs):
        self.shapes.append(inputs["x"].shape)
        return self.session.run(inputs)


@pytest.fixture
def spied(model):
    spy = Spy(model.session)
    return Predictor(spy, model.task), spy


def test_a_path_a_folder_an_array_and_a_list_are_inputs(model, stripes, save_image, tmp_path):
    path = save_image(stripes, tmp_path / "images/a.png")
    maps = [
        next(model.predict(given)).label_map
        for given in (path, str(path), path.parent, stripes, [path, stripes])
    ]
    for labels in maps[1:]:
        np.testing.assert_array_equal(labels, maps[0])


def test_an_array_counts_as_it_is_given(model, stripes):
    expected = next(model.predict(stripes)).label_map
    buffer = stripes.copy()
    results = model.predict(buffer)
    buffer[:] = buffer[:, ::-1].copy()  # the next picture of a camera
    np.testing.assert_array_equal(next(results).label_map, expected)
    assert not np.array_equal(next(model.predict(buffer)).label_map, expected)


def test_results_come_in_the_order_of_the_inputs(model, stripes):
    arrays = [stripes[:, start : start + 8] for start in (16, 0, 8, 0)]
    results = list(model.predict(arrays, batch_size=3))
    assert [int(result.label_map[0, 0]) for result in results] == [2, 0, 1, 0]
    assert [result.name for result in results] == ["array_0", "array_1", "array_2", "array_3"]


def test_neighbours_of_equal_size_run_as_one_batch(spied, stripes):
    predictor, spy = spied
    list(predictor.predict([stripes, stripes, stripes[:8], stripes, stripes], batch_size=3))
    assert spy.shapes == [(2, 3, 16, 24), (1, 3, 8, 24), (2, 3, 16, 24)]


def test_results_come_before_all_inputs_are_asked_for(model, stripes):
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield stripes

    next(model.predict(endless(), batch_size=2))
    assert len(asked) <= 3


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (None, (16, 24)),
        (-1, (16, 24)),
        (32, (32, 32)),
        ((48, 20), (20, 48)),
        ([48, 20], (20, 48)),
    ],
)
def test_the_target_size_is_what_the_network_sees(spied, stripes, stripe_classes, size, shape):
    predictor, spy = spied
    (result,) = predictor.predict(stripes, target_size=size)
    assert spy.shapes == [(1, 3, *shape)]
    assert result.label_map.shape == (16, 24)
    assert (result.label_map == stripe_classes).mean() > 0.9


def test_the_call_comes_before_the_constructor_and_that_before_the_configuration(model, stripes):
    predict = model.config.predict.model_copy(update={"target_size": 40})
    model.task.config = model.config.model_copy(update={"predict": predict})
    seen = []
    for constructor, call in ((None, None), (30, None), (30, (10, 20)), (30, -1)):
        spy = Spy(model.session)
        predictor = Predictor(spy, model.task, target_size=constructor)
        next(predictor.predict(stripes, target_size=call))
        seen.append(spy.shapes[0][2:])
    assert seen == [(40, 40), (30, 30), (20, 10), (16, 24)]


def test_a_resize_of_the_configuration_gives_way_to_the_target_size(model, stripes):
    transforms = ({"type": "Resize", "target_size": [64, 64]}, {"type": "Normalize"})
    evaluation = type(model.config.eval).model_validate({"transforms": transforms})
    model.task.config = model.config.model_copy(update={"eval": evaluation})
    seen = []
    for size in (None, 24, -1):
        spy = Spy(model.session)
        next(Predictor(spy, model.task).predict(stripes, target_size=size))
        seen.append(spy.shapes[0][2:])
    assert seen == [(64, 64), (24, 24), (16, 24)]


@pytest.mark.parametrize("size", [0, -2, (10, 0), (10,), (10, 20, 30), (10, -1), "big"])
def test_other_target_sizes_are_refused_before_any_work(model, size):
    with pytest.raises(RequestError, match="target_size"):
        Predictor(model.session, model.task, target_size=size)


def test_a_batch_size_below_one_is_refused(model, stripes):
    with pytest.raises(RequestError, match="batch_size 0"):
        next(model.predict(stripes, batch_size=0))


def test_an_image_that_cannot_be_read_stops_the_predictions(model, stripes, save_image, tmp_path):
    save_image(stripes, tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(ImageError, match=r"a\.png"):
        list(model.predict(tmp_path))


def test_it_is_left_out_where_somebody_takes_the_error(model, stripes, save_image, tmp_path):
    save_image(stripes, tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"junk")
    errors = []
    results = list(model.predict(tmp_path, batch_size=2, on_bad_image=errors.append))
    assert [result.name for result in results] == ["b"]
    assert len(errors) == 1
    assert isinstance(errors[0], DataError)
