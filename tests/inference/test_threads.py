"""One model serves threads, tasks, generators and processes; so do its copies."""

import copy
import os
import pickle
import shutil
import sys
import threading
import warnings
from itertools import product
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from segcore import create_model
from segcore.errors import RequestError
from segcore.inference.predictor import Predictor
from tests.campaigns.threads import RUNTIMES, WAYS, all_of, control

SLOW = ("eager", "spawned workers")
PAIRS = [
    pytest.param(*pair, marks=[pytest.mark.slow] if pair == SLOW else [])
    for pair in product(RUNTIMES, WAYS)
]


@pytest.mark.parametrize(("runtime", "way"), PAIRS)
def test_everybody_gets_the_answer_to_their_own_image(colour_run, runtime, way):
    model = create_model(model_dir=colour_run, device="cpu", runtime=runtime)
    ask, _ = WAYS[way]
    answers = ask(model, range(40))
    assert answers == [True] * 40


def test_the_comparison_notices_a_model_without_its_lock(colour_run):
    assert control(colour_run, 400) > 0


def test_a_copy_and_a_pickle_predict_as_the_model_does(colour_run, stripes):
    model = create_model(model_dir=colour_run, device="cpu", batch_size=3, target_size=16)
    (expected,) = model.predict(stripes)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        (result,) = other.predict(stripes)
        np.testing.assert_array_equal(result.label_map, expected.label_map)
        assert result.json == expected.json
        assert other.batch_size == 3


def test_a_pickle_finds_its_model_from_another_folder(colour_run, tmp_path, monkeypatch):
    monkeypatch.chdir(colour_run.parent)
    data = pickle.dumps(create_model(model_dir=colour_run.name, device="cpu"))
    monkeypatch.chdir(tmp_path)
    assert all(all_of(pickle.loads(data), range(3)))


def test_a_pickle_does_not_become_another_model_in_silence(colour_run, tmp_path):
    run = shutil.copytree(colour_run, tmp_path / "run")
    data = pickle.dumps(create_model(model_dir=run, device="cpu"))
    weights = run / "best_model/model.pdparams"
    os.utime(weights, ns=(1, 1))
    with pytest.raises(RequestError, match="no longer those that it was loaded from"):
        pickle.loads(data)


def test_a_model_that_was_built_by_hand_says_how_to_pickle_one(colour_run):
    model = create_model(model_dir=colour_run, device="cpu")
    built = Predictor(model.session, model.task)
    with pytest.raises(RequestError, match="create_model"):
        pickle.dumps(built)


def test_results_pickle(colour_run, stripes):
    (result,) = create_model(model_dir=colour_run, device="cpu").predict(stripes)
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.label_map, result.label_map)
    assert again.json == result.json
    assert again.pictures() == result.pictures()


IN_THREADS = """
    import sys, threading
    from tests.campaigns.threads import is_right

    def work(number):
        start.wait()
        from segcore import create_model

        model = create_model(model_dir=sys.argv[1], device="cpu", runtime=sys.argv[2])
        right.append(is_right(model, number))
        models.append(model)

    right, models, start = [], [], threading.Barrier(8)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Paddle was imported by a thread that has ended
    right += [is_right(model, 9) for model in models]
    thread = threading.Thread(target=lambda: right.append(is_right(models[0], 10)))
    thread.start()
    thread.join()
    print("still there", file=sys.stderr)
    print(right)
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_first_models_of_a_process_may_come_from_threads(colour_site, colour_run, runtime):
    path = os.pathsep.join((str(colour_site.folder), str(Path(__file__).parents[2])))
    code = dedent(IN_THREADS)
    done = colour_site.python("-c", code, str(colour_run), runtime, PYTHONPATH=path)
    assert done.stdout.strip() == str([True] * 17), done.stderr
    assert done.stderr.strip() == "still there"


def test_images_of_threads_leave_the_warnings_of_the_process_alone(save_image, tmp_path):
    """Pillow's warnings are caught while it decodes, which is a setting of the whole process."""
    from segcore.config.schema import DataConfig
    from segcore.data.decode import decode_image

    data = save_image(np.zeros((8, 8, 3), np.uint8), tmp_path / "image.bmp").read_bytes()
    before, shown = list(warnings.filters), warnings.showwarning
    start = threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(20):
            decode_image(data, "image.bmp", DataConfig())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert warnings.filters == before
    assert warnings.showwarning is shown
